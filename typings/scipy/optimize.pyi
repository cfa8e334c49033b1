"""Roots and minima by SciPy: the parts that Syntony uses."""

from collections.abc import Callable
from typing import Any

import numpy as np

class RootResults:
    root: float

class OptimizeResult:
    x: np.ndarray
    fun: float
    success: bool

def root_scalar(
    f: Callable[[float], float], *, bracket: tuple[float, float]
) -> RootResults: ...
def minimize(
    fun: Callable[..., Any],
    x0: np.ndarray,
    *,
    jac: bool = ...,
    method: str = ...,
    options: dict[str, float] = ...,
) -> OptimizeResult: ...
def __getattr__(name: str) -> Any: ...
