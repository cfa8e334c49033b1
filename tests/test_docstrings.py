"""Examples of docstrings: they run, and print what they say."""

import dataclasses
import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import syntony
from syntony.training import loop
from syntony.training.compiled import abstract_train_state

SOURCE = Path(syntony.__file__).parent


def modules_with_examples() -> Iterator[ModuleType]:
    for module in pkgutil.walk_packages([str(SOURCE)], "syntony."):
        path = SOURCE.parent / module.name.replace(".", "/")
        file = path / "__init__.py" if module.ispkg else path.with_suffix(".py")
        if ">>>" in file.read_text():
            yield importlib.import_module(module.name)


def test_they_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Training, which takes minutes, is only traced."""
    signature = inspect.signature(loop.train)

    def trace(*args: Any, **settings: Any) -> None:
        abstract_train_state(signature.bind(*args, **settings).arguments["system"])

    monkeypatch.setattr(syntony, "train", trace)
    for module in modules_with_examples():
        failed, attempted = doctest.testmod(module)
        assert attempted, f"no example of {module.__name__} is run"
        assert not failed, capsys.readouterr().out


def test_every_public_system_has_one():
    systems = [getattr(syntony, name) for name in syntony.__all__]
    systems = [kind for kind in systems if hasattr(kind, "init")]
    systems = [kind for kind in systems if dataclasses.is_dataclass(kind)]
    assert len(systems) > 7
    assert not [kind for kind in systems if ">>>" not in (kind.__doc__ or "")]
