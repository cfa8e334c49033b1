"""What the tests of runs share: the toy, and what makes two runs the same run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

# Subprocesses import the toy as well; pytest's importlib mode adds no folder by itself.
from syntony.training import metrics_log
from syntony.training.run_folder import RunFolder

Lines = list[dict[str, Any]]


def lines(path: Path) -> Lines:
    """Returns a run's journal in a fixed order, without the time of day."""
    found = [dict(line) for line in metrics_log.read_rows(RunFolder(path).metrics_path)]
    for line in found:
        del line["wall_s"]
    return sorted(found, key=lambda line: (line["seed"], line["step"]))


def arrays(path: Path, seed: int) -> dict[str, np.ndarray]:
    """Returns what the newest checkpoint of a seed holds, without the time of day."""
    newest = max((path / "checkpoints").glob(f"seed-{seed}-*.npz"))
    with np.load(newest) as file:
        found = {name: file[name] for name in file.files}
    return {n: a for n, a in found.items() if n not in ("wall_s", "sha256")}


def assert_same(one: Path, other: Path, seeds: range) -> None:
    """Asserts that two runs agree in every bit that is not a time."""
    assert lines(one) == lines(other)
    for seed in seeds:
        a, b = arrays(one, seed), arrays(other, seed)
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.fixture
def same() -> Callable[[Path, Path, range], None]:
    return assert_same


@pytest.fixture
def journal_of() -> Callable[[Path], Lines]:
    return lines


@pytest.fixture
def nans_allowed():
    """Lets losses become NaN: it is what some tests are about."""
    before = jax.config.values["jax_debug_nans"]
    jax.config.update("jax_debug_nans", False)
    yield
    jax.config.update("jax_debug_nans", before)
