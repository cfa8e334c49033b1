"""Machines that learn to work together when what lies between them is unknown."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syntony.channels.feedback import Feedback as Feedback
    from syntony.channels.feedback import feedback as feedback
    from syntony.channels.registry import channel as channel
    from syntony.errors import InvalidInputError as InvalidInputError
    from syntony.presets.registry import preset as preset
    from syntony.systems.link.gradient_estimators import (
        PerturbationConfig as PerturbationConfig,
    )
    from syntony.systems.link.link import Link as Link
    from syntony.systems.link.schedule import TrainingSchedule as TrainingSchedule
    from syntony.systems.marl.actor_critic import IA2C as IA2C
    from syntony.systems.marl.actor_critic import IPPO as IPPO
    from syntony.systems.marl.actor_critic import MAA2C as MAA2C
    from syntony.systems.marl.actor_critic import MAPPO as MAPPO
    from syntony.systems.marl.smpe import SMPE as SMPE
    from syntony.systems.marl.value_decomposition import QMIX as QMIX
    from syntony.systems.marl.value_decomposition import VDN as VDN
    from syntony.tasks.foraging.rules import Foraging as Foraging
    from syntony.tasks.registry import task as task
    from syntony.training.loop import resume as resume
    from syntony.training.loop import train as train
    from syntony.training.run import Run as Run
    from syntony.training.run import load as load
    from syntony.training.signals import TrainingDivergedError as TrainingDivergedError
    from syntony.training.signals import TrainingInterrupted as TrainingInterrupted

_HOMES = {
    "InvalidInputError": "syntony.errors",
    "PerturbationConfig": "syntony.systems.link.gradient_estimators",
    "Feedback": "syntony.channels.feedback",
    "Foraging": "syntony.tasks.foraging.rules",
    "IA2C": "syntony.systems.marl.actor_critic",
    "TrainingInterrupted": "syntony.training.signals",
    "IPPO": "syntony.systems.marl.actor_critic",
    "Link": "syntony.systems.link.link",
    "MAA2C": "syntony.systems.marl.actor_critic",
    "MAPPO": "syntony.systems.marl.actor_critic",
    "QMIX": "syntony.systems.marl.value_decomposition",
    "Run": "syntony.training.run",
    "TrainingSchedule": "syntony.systems.link.schedule",
    "SMPE": "syntony.systems.marl.smpe",
    "TrainingDivergedError": "syntony.training.signals",
    "VDN": "syntony.systems.marl.value_decomposition",
    "channel": "syntony.channels.registry",
    "feedback": "syntony.channels.feedback",
    "load": "syntony.training.run",
    "preset": "syntony.presets.registry",
    "resume": "syntony.training.loop",
    "task": "syntony.tasks.registry",
    "train": "syntony.training.loop",
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
