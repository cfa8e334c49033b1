"""Cooperative multi-agent reinforcement learning and learned communication links."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syntony.channels.feedback import Feedback as Feedback
    from syntony.channels.feedback import feedback as feedback
    from syntony.channels.registry import channel as channel
    from syntony.errors import EnvironmentStepError as EnvironmentStepError
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
    from syntony.systems.marl.actor_critic import ActorCriticConfig as ActorCriticConfig
    from syntony.systems.marl.actor_critic import PPOConfig as PPOConfig
    from syntony.systems.marl.smpe import SMPE as SMPE
    from syntony.systems.marl.smpe import ExplorationConfig as ExplorationConfig
    from syntony.systems.marl.smpe_beliefs import BeliefConfig as BeliefConfig
    from syntony.systems.marl.smpe_official import OfficialQuirks as OfficialQuirks
    from syntony.systems.marl.smpe_official import SMPEOfficial as SMPEOfficial
    from syntony.systems.marl.value_decomposition import QMIX as QMIX
    from syntony.systems.marl.value_decomposition import VDN as VDN
    from syntony.systems.marl.value_decomposition import MixerConfig as MixerConfig
    from syntony.systems.marl.value_decomposition import (
        QLearningConfig as QLearningConfig,
    )
    from syntony.tasks.foraging.rules import Foraging as Foraging
    from syntony.tasks.registry import task as task
    from syntony.training.loop import resume as resume
    from syntony.training.loop import train as train
    from syntony.training.run import Run as Run
    from syntony.training.run import load as load
    from syntony.training.signals import SaveError as SaveError
    from syntony.training.signals import TrainingDivergedError as TrainingDivergedError
    from syntony.training.signals import TrainingInterrupted as TrainingInterrupted

_MODULES = {
    "ActorCriticConfig": "syntony.systems.marl.actor_critic",
    "BeliefConfig": "syntony.systems.marl.smpe_beliefs",
    "EnvironmentStepError": "syntony.errors",
    "ExplorationConfig": "syntony.systems.marl.smpe",
    "Feedback": "syntony.channels.feedback",
    "Foraging": "syntony.tasks.foraging.rules",
    "IA2C": "syntony.systems.marl.actor_critic",
    "IPPO": "syntony.systems.marl.actor_critic",
    "InvalidInputError": "syntony.errors",
    "Link": "syntony.systems.link.link",
    "MAA2C": "syntony.systems.marl.actor_critic",
    "MAPPO": "syntony.systems.marl.actor_critic",
    "MixerConfig": "syntony.systems.marl.value_decomposition",
    "OfficialQuirks": "syntony.systems.marl.smpe_official",
    "PPOConfig": "syntony.systems.marl.actor_critic",
    "PerturbationConfig": "syntony.systems.link.gradient_estimators",
    "QLearningConfig": "syntony.systems.marl.value_decomposition",
    "QMIX": "syntony.systems.marl.value_decomposition",
    "Run": "syntony.training.run",
    "SMPE": "syntony.systems.marl.smpe",
    "SMPEOfficial": "syntony.systems.marl.smpe_official",
    "SaveError": "syntony.training.signals",
    "TrainingDivergedError": "syntony.training.signals",
    "TrainingInterrupted": "syntony.training.signals",
    "TrainingSchedule": "syntony.systems.link.schedule",
    "VDN": "syntony.systems.marl.value_decomposition",
    "channel": "syntony.channels.registry",
    "feedback": "syntony.channels.feedback",
    "load": "syntony.training.run",
    "preset": "syntony.presets.registry",
    "resume": "syntony.training.loop",
    "task": "syntony.tasks.registry",
    "train": "syntony.training.loop",
}
"""Public names and the modules that define them, imported when first used."""

__all__ = [
    "IA2C",
    "IPPO",
    "MAA2C",
    "MAPPO",
    "QMIX",
    "SMPE",
    "VDN",
    "ActorCriticConfig",
    "BeliefConfig",
    "EnvironmentStepError",
    "ExplorationConfig",
    "Feedback",
    "Foraging",
    "InvalidInputError",
    "Link",
    "MixerConfig",
    "OfficialQuirks",
    "PPOConfig",
    "PerturbationConfig",
    "QLearningConfig",
    "Run",
    "SMPEOfficial",
    "SaveError",
    "TrainingDivergedError",
    "TrainingInterrupted",
    "TrainingSchedule",
    "channel",
    "feedback",
    "load",
    "preset",
    "resume",
    "task",
    "train",
]


def __getattr__(name: str) -> Any:
    # `syntony --help` need not wait for JAX.
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    if name == "__version__":
        return import_module("importlib.metadata").version("syntony")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_MODULES, "__version__"])
