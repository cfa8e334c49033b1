"""Shared fixtures: reading and comparing runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from syntony.training import metrics_log
from syntony.training.run_folder import RunFolder

Rows = list[dict[str, Any]]


def sorted_rows(path: Path) -> Rows:
    """Rows of a run's metrics log in a fixed order, without wall-clock times."""
    rows = [dict(row) for row in metrics_log.read_rows(RunFolder(path).metrics_path)]
    for row in rows:
        del row["wall_s"]
    return sorted(rows, key=lambda row: (row["seed"], row["step"]))


def checkpoint_arrays(path: Path, seed: int) -> dict[str, np.ndarray]:
    """Arrays of a seed's newest checkpoint, without wall-clock time and hash."""
    newest = max((path / "checkpoints").glob(f"seed-{seed}-*.npz"))
    with np.load(newest) as file:
        arrays = {name: file[name] for name in file.files}
    return {n: a for n, a in arrays.items() if n not in ("wall_s", "sha256")}


def _assert_same_run(one: Path, other: Path, seeds: range) -> None:
    """Asserts that two runs agree bit for bit, except in wall-clock times."""
    assert sorted_rows(one) == sorted_rows(other)
    for seed in seeds:
        a, b = checkpoint_arrays(one, seed), checkpoint_arrays(other, seed)
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.fixture
def assert_same_run() -> Callable[[Path, Path, range], None]:
    return _assert_same_run


@pytest.fixture
def read_rows() -> Callable[[Path], Rows]:
    return sorted_rows


@pytest.fixture
def nans_allowed():
    """Disables `jax_debug_nans`, for tests of training that diverges."""
    before = jax.config.values["jax_debug_nans"]
    jax.config.update("jax_debug_nans", False)
    yield
    jax.config.update("jax_debug_nans", before)
