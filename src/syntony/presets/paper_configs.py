"""The constants of the papers on teams, by the benchmark that a task is from."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any, Literal

from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.maa2c import MAA2C
from syntony.systems.marl.mappo import MAPPO
from syntony.systems.marl.smpe import SMPE, ExplorationConfig
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.systems.marl.smpe_official import OfficialQuirks
from syntony.systems.marl.value_decomposition import QLearningConfig, ValueDecomposition
from syntony.systems.registry import system_class as named
from syntony.systems.system import System
from syntony.tasks.task import Task

Benchmark = Literal["foraging", "particles", "warehouse"]

SPREAD_PREFIXES = ("SimpleSpread-", "pettingzoo:mpe2.simple_spread")
PARTICLE_PREFIXES = (*SPREAD_PREFIXES, "SpeakerListener", "pettingzoo:mpe2.")
WAREHOUSE_PREFIXES = ("rware-", "gymnasium:rware")
"""What the ids of tasks start with, ours and the original packages'."""

MAX_UNSHARED_ACTORS = 5
"""Agents of a spread task that still have networks of their own."""

DOUBLED_CRITIC_LR = 1e-3
"""Adam's rate for two steps of 5e-4 with the same gradient."""

LARGE_BOARD_ROWS = 11
"""Rows of a foraging board on which food is found by samples, counted finely."""


def benchmark_name(task: Task | None) -> Benchmark:
    """Returns which benchmark a task is from; any other counts as foraging."""
    id = "" if task is None else task.id
    if id.startswith(PARTICLE_PREFIXES):
        return "particles"
    return "warehouse" if id.startswith(WAREHOUSE_PREFIXES) else "foraging"


def foraging_board_rows(task: Task | None) -> int:
    """Returns the rows of a foraging board, ours or the original's; 0 of another."""
    named = re.search(r"Foraging(?:-\d+s)?-(\d+)x", "" if task is None else task.id)
    return int(named[1]) if named else 0


def table_3_actor_critic(task: Task | None) -> ActorCriticConfig:
    """Returns the actor-critic of SMPE²'s Table 3."""
    if benchmark_name(task) == "warehouse":
        return ActorCriticConfig(hidden=64)
    if task is None or not task.id.startswith(SPREAD_PREFIXES):
        return ActorCriticConfig()
    return ActorCriticConfig(shared_actor=task.num_agents > MAX_UNSHARED_ACTORS)


def paper_actor_critic(task: Task | None) -> ActorCriticConfig:
    """Returns the actor-critic of SMPE² as in its paper.

    In warehouses critics learn at twice the printed rate: in the released code they
    take two steps with each gradient, and teams deliver more with it.
    """
    printed = table_3_actor_critic(task)
    if benchmark_name(task) == "warehouse":
        return dataclasses.replace(printed, critic_lr=DOUBLED_CRITIC_LR)
    return printed


def paper_maa2c(task: Any) -> MAA2C:
    """Returns MAA2C as the backbone of SMPE²."""
    return MAA2C(task=task, actor_critic=paper_actor_critic(task))


def paper_mappo(task: Any) -> MAPPO:
    """Returns MAPPO with the constants that SMPE²'s paper lists for it.

    There slow critics are copied every 200 updates; here they follow by and by. Who
    shares an actor is SMPE²'s: with one for all, MAPPO gets nowhere in SimpleSpread-3.
    """
    shared = table_3_actor_critic(task).shared_actor
    backbone = ActorCriticConfig(objective="ppo", hidden=64, shared_actor=shared)
    return MAPPO(task=task, actor_critic=backbone, last_action=True)


def table_3_smpe(task: Any) -> SMPE:
    """Returns SMPE² with the constants of its Table 3, as they are printed."""
    novelty = ExplorationConfig(hash_input="sample", hash_bits=16)
    match benchmark_name(task):
        case "foraging":
            # The record's own defaults are this column.
            beliefs = BeliefConfig()
        case "particles":
            beliefs = BeliefConfig(
                latent_dim=64, lambda_rec=1.0, lambda_norm=0.1, filter_critic_lr=5e-7
            )
            novelty = dataclasses.replace(novelty, intrinsic_reward=False)
        case "warehouse":
            # The paper does not say how wide a filter is. As wide as the beliefs it
            # is a quarter of the work of one as wide as three teammates' 213 features.
            beliefs = BeliefConfig(
                filter_hidden=32,
                lambda_rec=1.0,
                lambda_norm=0.1,
                filter_lr=5e-5,
                filter_critic_lr=5e-7,
            )
            novelty = dataclasses.replace(novelty, bonus_coef=1e-3)
    return SMPE(
        task=task,
        actor_critic=table_3_actor_critic(task),
        # The paper knows no bounds.
        beliefs=dataclasses.replace(beliefs, obs_clip=0.0, soft_clip_log_var=False),
        exploration=novelty,
    )


def paper_smpe(task: Any) -> SMPE:
    """Returns SMPE² as in its paper: Table 3, but for what does not learn as it did."""
    printed = table_3_smpe(task)
    beliefs: dict[str, Any] = {"obs_clip": 5.0, "soft_clip_log_var": True}
    counts: dict[str, Any] = {"hash_input": "mean", "hash_bits": 10}
    if foraging_board_rows(task) >= LARGE_BOARD_ROWS:
        # Of Table 3's 0.5 and the released 0.1, all teams find food with the latter,
        # and none in the same time with the former.
        beliefs |= {"lambda_rec": 0.1}
        counts = {"hash_bits": 13}
    if benchmark_name(task) == "warehouse":
        # The code counts 250 steps for ten episodes, which are 5,000 here: its 2,000
        # steps from burst to burst are eight times ten episodes.
        beliefs |= {"belief_update_interval": 40_000}
    return dataclasses.replace(
        printed,
        actor_critic=paper_actor_critic(task),
        beliefs=dataclasses.replace(printed.beliefs, **beliefs),
        exploration=dataclasses.replace(printed.exploration, **counts),
    )


def official_smpe(task: Any) -> SMPE:
    """Returns SMPE² as its released code has it: constants and ways.

    Its schedules count rounds, as 250 steps each; here they are as many steps as a
    round of full episodes has.
    """
    printed = table_3_smpe(task)
    ways: dict[str, Any] = {"filter_regularizer": "parameters", "filter_layers": 1}
    match benchmark_name(task):
        case "foraging":
            ways |= {"lambda_rec": 0.1, "lambda_norm": 0.5, "min_filter_weight": 0.3}
            ways |= {"filter_critic_lr": 5e-4, "belief_update_interval": 4_000}
        case "particles":
            ways |= {
                "min_filter_weight": 0.1,
                "filter_layers": 2,
                "filter_critic_lr": 5e-4,
            }
            ways |= {"target_filter_interval": 150_000, "filter_update_interval": 10}
        case "warehouse":
            # Its schedule never meets a step at which the bursts train the filters.
            ways |= {
                "min_filter_weight": 0.1,
                "filter_update_interval": 0,
                "filter_critic_lr": 5e-5,
            }
            ways |= {
                "belief_update_interval": 40_000,
                "target_filter_interval": 3_000_000,
            }
    return dataclasses.replace(
        printed,
        actor_critic=dataclasses.replace(
            printed.actor_critic, critic_lr=DOUBLED_CRITIC_LR
        ),
        beliefs=dataclasses.replace(printed.beliefs, **ways),
        official_quirks=OfficialQuirks(
            frozen_filtered_critic=True,
            shared_filter_optimizer=True,
            last_step_bootstrap=True,
            count_padded_steps=True,
            include_padding=True,
            count_sketch=True,
            beliefs_first=True,
        ),
    )


def epymarl_factory(system: str) -> Callable[[Any], System]:
    """Returns what makes a baseline with EPyMARL's constants for a task.

    They are the records' own defaults, the same for every task; only how much a replay
    holds follows from the task.
    """
    kind: Any = named(system)
    if issubclass(kind, ValueDecomposition):
        return lambda task: kind(task=task, q_learning=q_learning_config(task))
    return lambda task: kind(task=task)


def q_learning_config(task: Task | None) -> QLearningConfig:
    """Returns the value learners' constants.

    5,000 episodes of 500 steps by four agents who see 71 numbers each would take
    2.8 GB. A warehouse shows whole numbers below 2,048, which half precision holds
    exactly: 1,000 episodes of it take 0.3 GB.
    """
    if benchmark_name(task) == "warehouse":
        return QLearningConfig(buffer_size=1_000, obs_dtype="float16")
    return QLearningConfig()


def paper_run_options(system: str, task: Task | None) -> dict[str, Any]:
    """Returns how long a run on a task is, and how often it is measured.

    On-policy learners take ten times the steps of those with a replay, as in
    Papoudakis et al. (2021).
    """
    long = benchmark_name(task) == "warehouse"
    steps = 40_000_000 if long else 10_000_000
    if issubclass(named(system), ValueDecomposition):
        steps = 4_000_000 if long else 2_000_000
    # A hundred episodes of 500 steps, twice, are 100,000 steps.
    every = 500_000 if long else 50_000
    return {"steps": steps, "eval_every": every, "eval_episodes": 100}
