"""Machines that learn to work together when what lies between them is unknown."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syntony.errors import BadInput as BadInput
    from syntony.run.load import Run as Run
    from syntony.run.load import load as load
    from syntony.run.stop import Interrupted as Interrupted
    from syntony.run.stop import TrainingDiverged as TrainingDiverged
    from syntony.run.train import resume as resume
    from syntony.run.train import train as train
    from syntony.study.presets import preset as preset
    from syntony.systems.maa2c import Maa2c as Maa2c
    from syntony.systems.smpe import Smpe as Smpe
    from syntony.tasks.foraging import Foraging as Foraging
    from syntony.tasks.ids import task as task

_HOMES = {
    "BadInput": "syntony.errors",
    "Foraging": "syntony.tasks.foraging",
    "Interrupted": "syntony.run.stop",
    "Maa2c": "syntony.systems.maa2c",
    "Run": "syntony.run.load",
    "Smpe": "syntony.systems.smpe",
    "TrainingDiverged": "syntony.run.stop",
    "load": "syntony.run.load",
    "preset": "syntony.study.presets",
    "resume": "syntony.run.train",
    "task": "syntony.tasks.ids",
    "train": "syntony.run.train",
}


def __getattr__(name: str) -> Any:
    # A name is looked up when it is first used: `syntony --help` need not wait for JAX.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "__version__":
        return import_module("importlib.metadata").version("syntony")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_HOMES, "__version__"])
