"""Special functions of SciPy, which are NumPy ufuncs."""

from typing import Any

import numpy as np

betainc: np.ufunc
betaincinv: np.ufunc
betaln: np.ufunc
ndtr: np.ufunc
ndtri: np.ufunc
stdtrit: np.ufunc

def log_softmax(x: Any, axis: int | None = ...) -> np.ndarray: ...
def softmax(x: Any, axis: int | None = ...) -> np.ndarray: ...
def __getattr__(name: str) -> Any: ...
