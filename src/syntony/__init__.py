"""Machines that learn to work together when what lies between them is unknown."""
