"""Memory that is short during a run: one line, and all up to there is saved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from toy_system import Toy

from syntony.cli import main
from syntony.errors import OutOfMemoryError, is_memory_error
from syntony.training import seed_scheduler
from syntony.training.loop import resume, train


def jax_error() -> Exception:
    text = "RESOURCE_EXHAUSTED: Out of memory allocating 32160000000 bytes."
    return jax.errors.JaxRuntimeError(text)


def numpy_error() -> Exception:
    # A subclass of MemoryError, which NumPy does not export.
    with pytest.raises(MemoryError) as error:
        np.empty(2**60, np.uint8)
    return error.value


ERRORS = [MemoryError, jax_error, numpy_error]


@pytest.mark.parametrize("make_error", ERRORS)
def test_what_is_a_memory_error(make_error: Callable[[], Exception]):
    assert is_memory_error(make_error())
    assert not is_memory_error(jax.errors.JaxRuntimeError("INTERNAL: a fault"))
    assert not is_memory_error(ValueError("RESOURCE_EXHAUSTED"))


@pytest.mark.parametrize("make_error", ERRORS)
def test_the_state_is_saved(
    make_error: Callable[[], Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = train(Toy(), steps=300, eval_every=100, out=tmp_path / "whole", quiet=True)
    original = seed_scheduler._advance_seed

    def advance(config: Any, seed_run: Any, *args: Any) -> Any:
        if seed_run.step >= 200:
            raise make_error()
        return original(config, seed_run, *args)

    monkeypatch.setattr(seed_scheduler, "_advance_seed", advance)
    with pytest.raises(OutOfMemoryError, match="seed 0, step 20") as error:
        train(Toy(), steps=300, eval_every=100, out=tmp_path / "run", quiet=True)
    assert ": out of memory: " in str(error.value)
    assert "go on with: syntony resume" in str(error.value)
    monkeypatch.undo()
    resumed = resume(tmp_path / "run", system=Toy(), quiet=True)
    np.testing.assert_array_equal(resumed.states[0].x, whole.states[0].x)


@pytest.mark.parametrize("make_error", ERRORS)
def test_other_commands_end_in_one_line(
    make_error: Callable[[], Exception],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def execute(self: object) -> None:
        del self
        raise make_error()

    monkeypatch.setattr("syntony.cli.evaluate.Evaluate.execute", execute)
    assert main(["evaluate", "run"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("syntony: out of memory: ")
    assert error.count("\n") == 1
