"""Figures, scenes and animations of runs."""
