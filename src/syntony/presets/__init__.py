"""Presets: named sets of constants of each system."""
