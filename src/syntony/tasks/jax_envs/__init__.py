"""Environments of other JAX libraries, compiled like the built-in tasks."""
