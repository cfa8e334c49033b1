"""Distributions and tests of SciPy: the parts that Syntony uses."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

class ConfidenceInterval(NamedTuple):
    low: float
    high: float

class BootstrapResult:
    confidence_interval: ConfidenceInterval

class MannWhitneyResult(NamedTuple):
    statistic: float
    pvalue: float

class TTestResult:
    statistic: float
    pvalue: float
    df: float
    def confidence_interval(
        self, confidence_level: float = ...
    ) -> ConfidenceInterval: ...

class BinomTestResult:
    statistic: float
    pvalue: float
    def proportion_ci(
        self, confidence_level: float = ..., method: str = ...
    ) -> ConfidenceInterval: ...

def binomtest(k: int, n: int, p: float = ...) -> BinomTestResult: ...
def bootstrap(
    data: Sequence[np.ndarray],
    statistic: Callable[..., Any],
    *,
    n_resamples: int = ...,
    batch: int | None = ...,
    confidence_level: float = ...,
    method: str = ...,
    rng: np.random.Generator | int | None = ...,
) -> BootstrapResult: ...
def mannwhitneyu(
    x: np.ndarray, y: np.ndarray, *, method: str = ...
) -> MannWhitneyResult: ...
def trim_mean(
    a: np.ndarray, proportiontocut: float, axis: int | None = ...
) -> np.ndarray: ...
def ttest_ind(
    a: np.ndarray, b: np.ndarray, *, equal_var: bool = ...
) -> TTestResult: ...
def __getattr__(name: str) -> Any: ...
