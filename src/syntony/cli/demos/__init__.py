"""Demonstrations of `syntony demo`."""
