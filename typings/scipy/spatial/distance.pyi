"""Distances by SciPy."""

import numpy as np

def pdist(X: np.ndarray) -> np.ndarray: ...
