"""Machines that learn to work together when what lies between them is unknown."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syntony.channels.feedback import Feedback as Feedback
    from syntony.channels.feedback import feedback as feedback
    from syntony.channels.ids import channel as channel
    from syntony.errors import BadInput as BadInput
    from syntony.run.load import Run as Run
    from syntony.run.load import load as load
    from syntony.run.stop import Interrupted as Interrupted
    from syntony.run.stop import TrainingDiverged as TrainingDiverged
    from syntony.run.train import resume as resume
    from syntony.run.train import train as train
    from syntony.study.presets import preset as preset
    from syntony.systems.estimators import Exploration as Exploration
    from syntony.systems.ia2c import Ia2c as Ia2c
    from syntony.systems.ippo import Ippo as Ippo
    from syntony.systems.link import Link as Link
    from syntony.systems.maa2c import Maa2c as Maa2c
    from syntony.systems.mappo import Mappo as Mappo
    from syntony.systems.qmix import Qmix as Qmix
    from syntony.systems.schedule import Schedule as Schedule
    from syntony.systems.smpe import Smpe as Smpe
    from syntony.systems.vdn import Vdn as Vdn
    from syntony.tasks.foraging import Foraging as Foraging
    from syntony.tasks.ids import task as task

_HOMES = {
    "BadInput": "syntony.errors",
    "Exploration": "syntony.systems.estimators",
    "Feedback": "syntony.channels.feedback",
    "Foraging": "syntony.tasks.foraging",
    "Ia2c": "syntony.systems.ia2c",
    "Interrupted": "syntony.run.stop",
    "Ippo": "syntony.systems.ippo",
    "Link": "syntony.systems.link",
    "Maa2c": "syntony.systems.maa2c",
    "Mappo": "syntony.systems.mappo",
    "Qmix": "syntony.systems.qmix",
    "Run": "syntony.run.load",
    "Schedule": "syntony.systems.schedule",
    "Smpe": "syntony.systems.smpe",
    "TrainingDiverged": "syntony.run.stop",
    "Vdn": "syntony.systems.vdn",
    "channel": "syntony.channels.ids",
    "feedback": "syntony.channels.feedback",
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
