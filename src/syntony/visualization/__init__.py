"""Figures, scenes and animations."""
