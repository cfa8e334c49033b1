"""Public names, listed once: `__init__.py` and type checkers read this file."""

from .channels.channel import AnyChannel as AnyChannel
from .channels.channel import Channel as Channel
from .channels.channel import ChannelWithMemory as ChannelWithMemory
from .channels.channel import init_channel as init_channel
from .channels.channel import transmit as transmit
from .channels.feedback import Feedback as Feedback
from .channels.feedback import feedback as feedback
from .channels.registry import channel as channel
from .cli.run_study import sweep as sweep
from .cli.train import read_config as read_config
from .comparison.compare import compare as compare
from .config import above as above
from .config import at_least as at_least
from .config import between as between
from .config import field as field
from .config import pytree_dataclass as pytree_dataclass
from .config import validate as validate
from .errors import (
    EnvironmentStepError as EnvironmentStepError,
)
from .errors import (
    InvalidInputError as InvalidInputError,
)
from .errors import (
    UntrustedCodeError as UntrustedCodeError,
)
from .evaluation.cross_play import cross_link as cross_link
from .evaluation.cross_play import cross_play as cross_play
from .evaluation.learning_curves import read_learning_curve as read_learning_curve
from .identifiers import format_id as format_id
from .presets.registry import preset as preset
from .studies.engine import Engine as Engine
from .studies.engine import EngineOptions as EngineOptions
from .studies.study import Search as Search
from .studies.study import Study as Study
from .studies.study import read_study as read_study
from .studies.trial import Job as Job
from .studies.trial import Outcome as Outcome
from .systems.air.over_the_air import OverTheAir as OverTheAir
from .systems.link.gradient_estimators import PerturbationConfig as PerturbationConfig
from .systems.link.link import Link as Link
from .systems.link.schedule import TrainingSchedule as TrainingSchedule
from .systems.marl.actor_critic import (
    IA2C as IA2C,
)
from .systems.marl.actor_critic import (
    MAA2C as MAA2C,
)
from .systems.marl.actor_critic import (
    ActorCriticConfig as ActorCriticConfig,
)
from .systems.marl.actor_critic import (
    PPOConfig as PPOConfig,
)
from .systems.marl.base import MultiAgentSystem as MultiAgentSystem
from .systems.marl.ppo import (
    IPPO as IPPO,
)
from .systems.marl.ppo import (
    MAPPO as MAPPO,
)
from .systems.marl.ppo import (
    GAEConfig as GAEConfig,
)
from .systems.marl.smpe import SMPE as SMPE
from .systems.marl.smpe import ExplorationConfig as ExplorationConfig
from .systems.marl.smpe_beliefs import BeliefConfig as BeliefConfig
from .systems.marl.smpe_official import (
    OfficialQuirks as OfficialQuirks,
)
from .systems.marl.smpe_official import (
    SMPEOfficial as SMPEOfficial,
)
from .systems.marl.value_decomposition import (
    QMIX as QMIX,
)
from .systems.marl.value_decomposition import (
    VDN as VDN,
)
from .systems.marl.value_decomposition import (
    MixerConfig as MixerConfig,
)
from .systems.marl.value_decomposition import (
    QLearningConfig as QLearningConfig,
)
from .systems.optimizers import apply_gradients as apply_gradients
from .systems.optimizers import init_opt_state as init_opt_state
from .systems.system import EvalSamples as EvalSamples
from .systems.system import Metrics as Metrics
from .systems.system import System as System
from .tasks.foraging.rules import Foraging as Foraging
from .tasks.registry import task as task
from .tasks.rollout import Policy as Policy
from .tasks.rollout import Trajectory as Trajectory
from .tasks.task import Task as Task
from .tasks.task import TimeStep as TimeStep
from .training.callbacks import StopTraining as StopTraining
from .training.loop import resume as resume
from .training.loop import train as train
from .training.player import Player as Player
from .training.run import Run as Run
from .training.run import load as load
from .training.signals import (
    SaveError as SaveError,
)
from .training.signals import (
    TrainingDivergedError as TrainingDivergedError,
)
from .training.signals import (
    TrainingInterrupted as TrainingInterrupted,
)
from .version import __version__ as __version__
from .visualization.figures import plot_learning_curves as plot_learning_curves
from .visualization.figures import save_figure as save_figure

__all__: list[str]
