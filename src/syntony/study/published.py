"""The constants of the papers on teams, by the benchmark that a task is from."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any, Literal

from syntony.systems.actor_critic import Backbone
from syntony.systems.beliefs import Beliefs
from syntony.systems.ids import system as named
from syntony.systems.maa2c import Maa2c
from syntony.systems.mappo import Mappo
from syntony.systems.released import Released
from syntony.systems.smpe import Novelty, Smpe
from syntony.systems.system import System
from syntony.systems.value_mixing import Learning, ValueMixing
from syntony.tasks.task import Task

Benchmark = Literal["foraging", "particles", "warehouse"]

SPREAD = ("SimpleSpread-", "pettingzoo:mpe2.simple_spread")
PARTICLES = (*SPREAD, "SpeakerListener", "pettingzoo:mpe2.")
WAREHOUSE = ("rware-", "gymnasium:rware")
"""What the ids of tasks start with, ours and the original packages'."""

MOST_SEPARATE = 5
"""Agents of a spread task that still have networks of their own."""

TWO_STEPS = 1e-3
"""Adam's rate for two steps of 5e-4 with the same gradient."""

LARGE_BOARD = 11
"""Rows of a foraging board on which food is found by samples, counted finely."""


def benchmark(task: Task | None) -> Benchmark:
    """Returns which benchmark a task is from; any other counts as foraging."""
    id = "" if task is None else task.id
    if id.startswith(PARTICLES):
        return "particles"
    return "warehouse" if id.startswith(WAREHOUSE) else "foraging"


def rows(task: Task | None) -> int:
    """Returns the rows of a foraging board, ours or the original's; 0 of another."""
    named = re.search(r"Foraging(?:-\d+s)?-(\d+)x", "" if task is None else task.id)
    return int(named[1]) if named else 0


def printed_backbone(task: Task | None) -> Backbone:
    """Returns the actor-critic of SMPE²'s Table 3."""
    if benchmark(task) == "warehouse":
        return Backbone(hidden=64)
    if task is None or not task.id.startswith(SPREAD):
        return Backbone()
    return Backbone(shared_actor=task.agents > MOST_SEPARATE)


def paper_backbone(task: Task | None) -> Backbone:
    """Returns the actor-critic of SMPE² as in its paper.

    In warehouses critics learn at twice the printed rate: in the released code they
    take two steps with each gradient, and teams deliver more with it.
    """
    printed = printed_backbone(task)
    if benchmark(task) == "warehouse":
        return dataclasses.replace(printed, critic_lr=TWO_STEPS)
    return printed


def paper_maa2c(task: Any) -> Maa2c:
    """Returns MAA2C as the backbone of SMPE²."""
    return Maa2c(task=task, backbone=paper_backbone(task))


def paper_mappo(task: Any) -> Mappo:
    """Returns MAPPO with the constants that SMPE²'s paper lists for it.

    There slow critics are copied every 200 updates; here they follow by and by. Who
    shares an actor is SMPE²'s: with one for all, MAPPO gets nowhere in SimpleSpread-3.
    """
    shared = printed_backbone(task).shared_actor
    backbone = Backbone(objective="ppo", hidden=64, shared_actor=shared)
    return Mappo(task=task, backbone=backbone, last_action=True)


def table_3(task: Any) -> Smpe:
    """Returns SMPE² with the constants of its Table 3, as they are printed."""
    novelty = Novelty(hashed="sample", bits=16)
    match benchmark(task):
        case "foraging":
            # The record's own defaults are this column.
            beliefs = Beliefs()
        case "particles":
            beliefs = Beliefs(
                latent=64, lambda_rec=1.0, lambda_norm=0.1, filter_critic_lr=5e-7
            )
            novelty = dataclasses.replace(novelty, intrinsic=False)
        case "warehouse":
            # The paper does not say how wide a filter is. As wide as the beliefs it
            # is a quarter of the work of one as wide as three teammates' 213 features.
            beliefs = Beliefs(
                filter_hidden=32,
                lambda_rec=1.0,
                lambda_norm=0.1,
                filter_lr=5e-5,
                filter_critic_lr=5e-7,
            )
            novelty = dataclasses.replace(novelty, beta=1e-3)
    return Smpe(
        task=task,
        backbone=printed_backbone(task),
        # The paper knows no bounds.
        beliefs=dataclasses.replace(beliefs, cut=0.0, bounded_variance=False),
        novelty=novelty,
    )


def paper_smpe(task: Any) -> Smpe:
    """Returns SMPE² as in its paper: Table 3, but for what does not learn as it did."""
    printed = table_3(task)
    beliefs: dict[str, Any] = {"cut": 5.0, "bounded_variance": True}
    counts: dict[str, Any] = {"hashed": "mean", "bits": 10}
    if rows(task) >= LARGE_BOARD:
        # Of Table 3's 0.5 and the released 0.1, all teams find food with the latter,
        # and none in the same time with the former.
        beliefs |= {"lambda_rec": 0.1}
        counts = {"bits": 13}
    if benchmark(task) == "warehouse":
        # The code counts 250 steps for ten episodes, which are 5,000 here: its 2,000
        # steps from burst to burst are eight times ten episodes.
        beliefs |= {"burst_every": 40_000}
    return dataclasses.replace(
        printed,
        backbone=paper_backbone(task),
        beliefs=dataclasses.replace(printed.beliefs, **beliefs),
        novelty=dataclasses.replace(printed.novelty, **counts),
    )


def official_compat(task: Any) -> Smpe:
    """Returns SMPE² as its released code has it: constants and ways.

    Its schedules count rounds, as 250 steps each; here they are as many steps as a
    round of full episodes has.
    """
    printed = table_3(task)
    ways: dict[str, Any] = {"norm_of": "parameters", "filter_layers": 1}
    match benchmark(task):
        case "foraging":
            ways |= {"lambda_rec": 0.1, "lambda_norm": 0.5, "filter_floor": 0.3}
            ways |= {"filter_critic_lr": 5e-4, "burst_every": 4_000}
        case "particles":
            ways |= {"filter_floor": 0.1, "filter_layers": 2, "filter_critic_lr": 5e-4}
            ways |= {"slow_every": 150_000, "filter_every": 10}
        case "warehouse":
            # Its schedule never meets a step at which the bursts train the filters.
            ways |= {"filter_floor": 0.1, "filter_every": 0, "filter_critic_lr": 5e-5}
            ways |= {"burst_every": 40_000, "slow_every": 3_000_000}
    return dataclasses.replace(
        printed,
        backbone=dataclasses.replace(printed.backbone, critic_lr=TWO_STEPS),
        beliefs=dataclasses.replace(printed.beliefs, **ways),
        released=Released(
            frozen_filtered_critic=True,
            one_filter_memory=True,
            last_step_bootstrap=True,
            full_rounds=True,
            padding=True,
            sketch=True,
            beliefs_first=True,
        ),
    )


def epymarl(system: str) -> Callable[[Any], System]:
    """Returns what makes a baseline with EPyMARL's constants for a task.

    They are the records' own defaults, the same for every task; only how much a replay
    holds follows from the task.
    """
    kind: Any = named(system)
    if issubclass(kind, ValueMixing):
        return lambda task: kind(task=task, learning=learning(task))
    return lambda task: kind(task=task)


def learning(task: Task | None) -> Learning:
    """Returns the value learners' constants.

    5,000 episodes of 500 steps by four agents who see 71 numbers each would take
    2.8 GB. A warehouse shows whole numbers below 2,048, which half precision holds
    exactly: 1,000 episodes of it take 0.3 GB.
    """
    if benchmark(task) == "warehouse":
        return Learning(replay=1_000, precision="half")
    return Learning()


def published_pace(system: str, task: Task | None) -> dict[str, Any]:
    """Returns how long a run on a task is, and how often it is measured.

    On-policy learners take ten times the steps of those with a replay, as in
    Papoudakis et al. (2021).
    """
    long = benchmark(task) == "warehouse"
    steps = 40_000_000 if long else 10_000_000
    if issubclass(named(system), ValueMixing):
        steps = 4_000_000 if long else 2_000_000
    # A hundred episodes of 500 steps, twice, are 100,000 steps.
    every = 500_000 if long else 50_000
    return {"steps": steps, "eval_every": every, "eval_episodes": 100}
