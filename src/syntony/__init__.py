"""Cooperative multi-agent reinforcement learning and learned communication links."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syntony.channels.feedback import Feedback as Feedback
    from syntony.channels.feedback import feedback as feedback
    from syntony.channels.registry import channel as channel
    from syntony.comparison.compare import compare as compare
    from syntony.config import above as above
    from syntony.config import at_least as at_least
    from syntony.config import between as between
    from syntony.config import field as field
    from syntony.config import pytree_dataclass as pytree_dataclass
    from syntony.config import validate as validate
    from syntony.errors import EnvironmentStepError as EnvironmentStepError
    from syntony.errors import InvalidInputError as InvalidInputError
    from syntony.evaluation.learning_curves import (
        read_learning_curve as read_learning_curve,
    )
    from syntony.identifiers import format_id as format_id
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
    from syntony.systems.marl.base import MultiAgentSystem as MultiAgentSystem
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
    from syntony.systems.optimizers import apply_gradients as apply_gradients
    from syntony.systems.optimizers import init_opt_state as init_opt_state
    from syntony.systems.system import EvalSamples as EvalSamples
    from syntony.systems.system import Metrics as Metrics
    from syntony.systems.system import System as System
    from syntony.tasks.foraging.rules import Foraging as Foraging
    from syntony.tasks.registry import task as task
    from syntony.tasks.rollout import Policy as Policy
    from syntony.tasks.rollout import Trajectory as Trajectory
    from syntony.tasks.task import Task as Task
    from syntony.tasks.task import TimeStep as TimeStep
    from syntony.training.callbacks import StopTraining as StopTraining
    from syntony.training.loop import resume as resume
    from syntony.training.loop import train as train
    from syntony.training.run import Run as Run
    from syntony.training.run import load as load
    from syntony.training.signals import SaveError as SaveError
    from syntony.training.signals import TrainingDivergedError as TrainingDivergedError
    from syntony.training.signals import TrainingInterrupted as TrainingInterrupted
    from syntony.visualization.figures import (
        plot_learning_curves as plot_learning_curves,
    )
    from syntony.visualization.figures import save_figure as save_figure

_MODULES = {
    "ActorCriticConfig": "syntony.systems.marl.actor_critic",
    "BeliefConfig": "syntony.systems.marl.smpe_beliefs",
    "EnvironmentStepError": "syntony.errors",
    "EvalSamples": "syntony.systems.system",
    "ExplorationConfig": "syntony.systems.marl.smpe",
    "Feedback": "syntony.channels.feedback",
    "Foraging": "syntony.tasks.foraging.rules",
    "IA2C": "syntony.systems.marl.actor_critic",
    "IPPO": "syntony.systems.marl.actor_critic",
    "InvalidInputError": "syntony.errors",
    "Link": "syntony.systems.link.link",
    "MAA2C": "syntony.systems.marl.actor_critic",
    "MAPPO": "syntony.systems.marl.actor_critic",
    "Metrics": "syntony.systems.system",
    "MixerConfig": "syntony.systems.marl.value_decomposition",
    "MultiAgentSystem": "syntony.systems.marl.base",
    "OfficialQuirks": "syntony.systems.marl.smpe_official",
    "PPOConfig": "syntony.systems.marl.actor_critic",
    "PerturbationConfig": "syntony.systems.link.gradient_estimators",
    "Policy": "syntony.tasks.rollout",
    "QLearningConfig": "syntony.systems.marl.value_decomposition",
    "QMIX": "syntony.systems.marl.value_decomposition",
    "Run": "syntony.training.run",
    "SMPE": "syntony.systems.marl.smpe",
    "SMPEOfficial": "syntony.systems.marl.smpe_official",
    "SaveError": "syntony.training.signals",
    "StopTraining": "syntony.training.callbacks",
    "System": "syntony.systems.system",
    "Task": "syntony.tasks.task",
    "TimeStep": "syntony.tasks.task",
    "TrainingDivergedError": "syntony.training.signals",
    "TrainingInterrupted": "syntony.training.signals",
    "TrainingSchedule": "syntony.systems.link.schedule",
    "Trajectory": "syntony.tasks.rollout",
    "VDN": "syntony.systems.marl.value_decomposition",
    "above": "syntony.config",
    "apply_gradients": "syntony.systems.optimizers",
    "at_least": "syntony.config",
    "between": "syntony.config",
    "channel": "syntony.channels.registry",
    "compare": "syntony.comparison.compare",
    "feedback": "syntony.channels.feedback",
    "field": "syntony.config",
    "format_id": "syntony.identifiers",
    "init_opt_state": "syntony.systems.optimizers",
    "load": "syntony.training.run",
    "plot_learning_curves": "syntony.visualization.figures",
    "preset": "syntony.presets.registry",
    "pytree_dataclass": "syntony.config",
    "read_learning_curve": "syntony.evaluation.learning_curves",
    "resume": "syntony.training.loop",
    "save_figure": "syntony.visualization.figures",
    "task": "syntony.tasks.registry",
    "train": "syntony.training.loop",
    "validate": "syntony.config",
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
    "EvalSamples",
    "ExplorationConfig",
    "Feedback",
    "Foraging",
    "InvalidInputError",
    "Link",
    "Metrics",
    "MixerConfig",
    "MultiAgentSystem",
    "OfficialQuirks",
    "PPOConfig",
    "PerturbationConfig",
    "Policy",
    "QLearningConfig",
    "Run",
    "SMPEOfficial",
    "SaveError",
    "StopTraining",
    "System",
    "Task",
    "TimeStep",
    "TrainingDivergedError",
    "TrainingInterrupted",
    "TrainingSchedule",
    "Trajectory",
    "above",
    "apply_gradients",
    "at_least",
    "between",
    "channel",
    "compare",
    "feedback",
    "field",
    "format_id",
    "init_opt_state",
    "load",
    "plot_learning_curves",
    "preset",
    "pytree_dataclass",
    "read_learning_curve",
    "resume",
    "save_figure",
    "task",
    "train",
    "validate",
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
