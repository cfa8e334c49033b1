"""Cross-play: agents of one run beside agents of another.

Two teams that were trained apart may have learned different conventions. Each agent in
turn is replaced by the same agent of the other team, and the return is averaged over
these teams with one newcomer. Of two agents these are both orders of the two partners,
as in the literature on zero-shot coordination (Hu et al., "Other-Play", ICML 2020).

Of links, the receiver of one decodes what the transmitter of the other sends.
"""

from collections.abc import Sequence
from functools import partial
from typing import TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from syntony.channels.channel import AnyChannel, ChannelState
from syntony.channels.snr import finite_snr_db
from syntony.errors import InvalidInputError
from syntony.evaluation import bler
from syntony.evaluation.bler import MAX_BLOCKS, TARGET_BLOCK_ERRORS, error_rates
from syntony.evaluation.link import channels_at_snrs
from syntony.pytrees import PyTree
from syntony.systems.marl.mixed_team import MixedTeam, MixedTeamState
from syntony.systems.registry import system_name
from syntony.systems.system import (
    ActsInEpisodes,
    TransmitsMessages,
    TransmitsObservations,
    closing_black_box,
)
from syntony.tasks.task import Task
from syntony.training.metrics_log import MetricsRow, means_with_intervals
from syntony.training.run import (
    EpisodeSamples,
    Run,
    make_evaluation,
    require_link,
    with_task,
)
from syntony.training.seed_scheduler import seed_keys


class CrossPlay(TypedDict):
    """Results of cross-play, as JSON can hold them."""

    run: str
    """Name of the run folder."""
    other: str
    """Name of the other run's."""
    systems: list[str]
    """The systems of both."""
    task: str
    """Id of the task or channel."""
    cells: list[MetricsRow]
    """One for each seed of the run (`seed`) and of the other one (`other_seed`): means
    with 95 % intervals. Of teams, `newcomers` are the mean returns with each agent
    replaced. Of links, one for each SNR."""


def cross_play(
    run: Run, other: Run, *, episodes: int = 1000, task: Task | None = None
) -> CrossPlay:
    """Evaluates the teams of a run in which one agent is of another run.

    For each seed of both runs: the mean over the agents of the return when that agent
    acts as it does in the other run. Where both are one state of one run, this is the
    return of the team as it was trained.

    Args:
        run: run of a team.
        other: run of a team, of the same or another system; may be the same run.
        episodes: number of episodes for each newcomer.
        task: task to evaluate in; by default that of the first run's training.

    Raises:
        InvalidInputError: a run is not of a team, the tasks have other shapes, or a
            checkpoint cannot be used.
        EnvironmentStepError: the task is external, and failed.
    """
    team = _team_of(run, task)
    mixed = MixedTeam(task=team.task, team=team, other=_team_of(other, team.task))
    states, other_states = run.states, other.states
    samples = make_evaluation(mixed, episodes)
    with closing_black_box(mixed):
        cells = [
            {"seed": seed, "other_seed": other_seed}
            | _cell(
                [
                    samples(_mixed_state(mixed, state, other_state, newcomers), seed)
                    for newcomers in _all_newcomers(mixed, state, other_state)
                ]
            )
            for seed, state in states.items()
            for other_seed, other_state in other_states.items()
        ]
    return _results(run, other, team.task.id, cells)


def _team_of(run: Run, task: Task | None) -> ActsInEpisodes:
    if not isinstance(run.system, ActsInEpisodes):
        raise InvalidInputError(
            f"{run.path} is not a run of a team; expected two teams, or two links"
        )
    if isinstance(run.system, TransmitsObservations):
        raise InvalidInputError(
            f"the agents of {run.path} transmit to each other; expected teams that "
            "do not: cross-play exchanges actions alone"
        )
    system = run.system if task is None else with_task(run.system, task)
    assert isinstance(system, ActsInEpisodes)
    return system


def _all_newcomers(
    mixed: MixedTeam, state: PyTree[Array], other: PyTree[Array]
) -> list[Sequence[int]]:
    """Agents that are replaced, in each of the teams that are averaged."""
    # With the same state on both sides, every replacement gives the same team.
    if state is other:
        return [()]
    return [(agent,) for agent in range(mixed.task.num_agents)]


def _mixed_state(
    mixed: MixedTeam,
    state: PyTree[Array],
    other: PyTree[Array],
    newcomers: Sequence[int],
) -> MixedTeamState:
    mask = np.isin(np.arange(mixed.task.num_agents), newcomers)
    key = jax.random.key(0)
    return MixedTeamState(state, other, jnp.asarray(mask), key, jnp.int32(0))


def _cell(parts: Sequence[EpisodeSamples]) -> MetricsRow:
    """Means over all newcomers with intervals, and the return with each of them."""
    pooled = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    returns = [float(part["eval/return_mean"].mean(dtype=float)) for part in parts]
    return means_with_intervals(pooled) | {"newcomers": returns}


def cross_link(
    run: Run,
    other: Run,
    snrs_db: Sequence[float] | None = None,
    *,
    target_block_errors: int = TARGET_BLOCK_ERRORS,
    max_blocks: int = MAX_BLOCKS,
) -> CrossPlay:
    """Error rates of the transmitters of a run with the receivers of another.

    Args:
        run: run of a link, whose transmitters and channel are used.
        other: run of a link, whose receivers are used; may be the same run.
        snrs_db: Es/N0 of each point, in dB; None: only that of the training.
        target_block_errors: block errors at which a point ends.
        max_blocks: blocks at which it ends in any case.

    Raises:
        InvalidInputError: a run is not of a link, the links have other sizes, the
            channel has no SNR to sweep, or a checkpoint cannot be used.
    """
    link, receivers = require_link(run), require_link(other)
    sizes, expected = ((x.messages, x.uses) for x in (receivers, link))
    if sizes != expected:
        raise InvalidInputError(
            "{} has {} messages in {} channel uses; ".format(other.path, *sizes)
            + "expected those of {}: {} in {}".format(run.path, *expected)
        )
    channels = channels_at_snrs(link.channel, snrs_db)
    ends = target_block_errors, max_blocks
    cells: list[MetricsRow] = []
    for seed, state in run.states.items():
        for other_seed, other_state in other.states.items():
            pair = {"seed": seed, "other_seed": other_seed}
            sent = link.codewords(state), link.channel_state(state)
            rows = _error_rates(receivers, other_state, sent, channels, seed, ends)
            cells += [pair | row for row in rows]
    return _results(run, other, link.channel.id, cells)


def _error_rates(
    receivers: TransmitsMessages,
    state: PyTree[Array],
    sent: tuple[Float[Array, "M C 2"], ChannelState],
    channels: Sequence[AnyChannel],
    seed: int,
    ends: tuple[int, int],
) -> list[MetricsRow]:
    """Error rate of a receiver at each SNR, with Wilson's interval.

    Args:
        receivers: link of the receiver.
        state: its state.
        sent: codebook, and state of the channel.
        channels: one per point.
        seed: of the transmitter.
        ends: block errors and blocks at which a point ends.
    """
    codebook, channel_state = sent
    detector = bler.receiver_detector(receivers, state)
    points = bler.simulate_bler(
        partial(bler.simulate_batch, codebook, [detector]),
        channels,
        seed_keys(seed).post_training_eval,
        channel_state=channel_state,
        target_block_errors=ends[0],
        max_blocks=ends[1],
    )
    return [
        {"snr_db": finite_snr_db(channel)} | error_rates(counts, 0, None)
        for channel, counts in zip(channels, points, strict=True)
    ]


def _results(run: Run, other: Run, task: str, cells: list[MetricsRow]) -> CrossPlay:
    return {
        "run": run.path.name,
        "other": other.path.name,
        "systems": [system_name(x.system) for x in (run, other)],
        "task": task,
        "cells": cells,
    }
