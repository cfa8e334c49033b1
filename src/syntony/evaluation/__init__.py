"""Trained systems in numbers: returns, error rates, gradients and beliefs."""
