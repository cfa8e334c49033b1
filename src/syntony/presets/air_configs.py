"""Constants of teams that transmit: one set for all tasks."""

import dataclasses

from syntony.channels.awgn import AWGN
from syntony.channels.channel import AnyChannel
from syntony.errors import InvalidInputError
from syntony.presets.paper_configs import RunOptions, action_filters
from syntony.systems.air.over_the_air import OverTheAir
from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.smpe import ExplorationConfig
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.tasks.task import Task

STEPS_PER_UPDATE = 250
"""Environment steps of one update, about: several short episodes, or few long ones."""
MIN_ENVS, MAX_ENVS = 10, 100
STORED_STEPS = 20_000
"""Environment steps in the replay buffer, about."""


def environments(task: Task) -> int:
    """Environments side by side: about 250 steps in an update, 10 to 100 episodes."""
    return min(max(STEPS_PER_UPDATE // task.time_limit, MIN_ENVS), MAX_ENVS)


def tuned_air(task: Task | None, channel: AnyChannel | None = None) -> OverTheAir:
    """Team that transmits, with action feedback and without filters.

    Only two constants follow from the task, from the length of its episodes: the number
    of environments, and the size of the replay buffer.

    Args:
        task: its task.
        channel: its channel; None: AWGN.
    """
    if task is None:
        raise InvalidInputError("air has no task; expected one")
    return OverTheAir(
        task=task,
        channel=AWGN() if channel is None else channel,
        actor_critic=ActorCriticConfig(
            num_envs=environments(task),
            hidden=64,
            entropy_coef=0.01,
            actor_lr=1e-3,
            critic_lr=1e-3,
        ),
        beliefs=BeliefConfig(
            latent_dim=16,
            filters=False,
            lambda_rec=1.0,
            lambda_norm=0.1,
            belief_minibatches=100,
            buffer_size=max(STORED_STEPS // task.time_limit, 500),
        ),
        exploration=ExplorationConfig(intrinsic_reward=False),
        filtered_critic=False,
    )


def filtered_air(task: Task | None, channel: AnyChannel | None = None) -> OverTheAir:
    """Team that transmits, with belief feedback of the features that matter.

    Filters learn from a critic of actions. Without a norm loss the weights of all other
    features vanish, and with them their part of the errors that are fed back.

    Args:
        task: its task.
        channel: its channel; None: AWGN.
    """
    team = tuned_air(task, channel)
    return dataclasses.replace(
        team,
        beliefs=action_filters(team.beliefs),
        transmission=dataclasses.replace(team.transmission, feedback_signal="belief"),
        filtered_critic=True,
        filtered_critic_values="action",
    )


def air_run_options(task: Task | None) -> RunOptions:
    """Default number of steps and evaluations of a run on a task."""
    short = task is not None and task.time_limit == 1
    steps = 200_000 if short else 1_000_000
    return {"steps": steps, "eval_every": steps // 20, "eval_episodes": 1_000}
