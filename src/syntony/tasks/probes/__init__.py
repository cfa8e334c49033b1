"""Probe tasks: small tasks with known solutions."""
