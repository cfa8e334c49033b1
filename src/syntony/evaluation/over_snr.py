"""Evaluation of a team that transmits, over the SNR of its channel."""

from collections.abc import Sequence
from typing import TypedDict

from syntony.channels.channel import AnyChannel
from syntony.channels.ml import is_white_noise
from syntony.channels.snr import finite_snr_db
from syntony.errors import InvalidInputError
from syntony.evaluation.evaluate import aggregate_over_seeds
from syntony.evaluation.link import channels_at_snrs
from syntony.systems.system import TransmitsObservations, closing_black_box
from syntony.tasks.task import HasReturnBounds, Task
from syntony.training.metrics_log import MetricsRow, means_with_intervals
from syntony.training.run import Run, make_evaluation


class TeamPoint(TypedDict):
    """Metrics at one SNR."""

    snr_db: float | None
    """None for a channel without noise."""
    seeds: list[MetricsRow]
    """Of each seed, with intervals over its episodes."""
    all: MetricsRow
    """Over all seeds."""
    bounds: dict[str, float]
    """Known returns by name; empty where none are known."""


class TeamOverSNR(TypedDict):
    """Metrics of a team over SNR, as JSON can hold them."""

    run: str
    task: str
    channel: str
    """Id of the training's channel."""
    uses: int
    """Complex channel uses of an agent in a step."""
    episodes: int
    """Episodes per seed and SNR."""
    points: list[TeamPoint]


def evaluate_over_snr(
    run: Run, snrs_db: Sequence[float] | None = None, *, episodes: int = 1000
) -> TeamOverSNR:
    """Measures return and belief error of all seeds of a team over SNR.

    The receivers know the SNR; nothing is learned at the new ones. Intervals are of
    95 %: a seed's bootstrap its episodes, Student's over the seeds for all.

    Args:
        run: a run of a team that transmits.
        snrs_db: Es/N0 of each point, in dB; None: only that of the training.
        episodes: number of episodes per seed and SNR.

    Raises:
        InvalidInputError: the agents of the run do not transmit, or the channel has no
            SNR to sweep.
    """
    system = run.system
    if not isinstance(system, TransmitsObservations):
        raise InvalidInputError(
            f"{run.path} is no team that transmits; expected a run of one, e.g. of air"
        )
    channels = channels_at_snrs(system.channel, snrs_db)
    return {
        "run": run.path.name,
        "task": system.task.id,
        "channel": system.channel.id,
        "uses": system.uses,
        "episodes": episodes,
        "points": [_point(run, system, channel, episodes) for channel in channels],
    }


def _point(
    run: Run, system: TransmitsObservations, channel: AnyChannel, episodes: int
) -> TeamPoint:
    there = system.with_channel(channel)
    states = run.states
    samples = make_evaluation(there, episodes)
    with closing_black_box(there):
        metrics = {seed: samples(state, seed) for seed, state in states.items()}
    rows = [
        {"seed": seed, "step": run.steps[seed]} | means_with_intervals(of_seed)
        for seed, of_seed in metrics.items()
    ]
    return {
        "snr_db": finite_snr_db(channel),
        "seeds": rows,
        "all": aggregate_over_seeds(rows, list(next(iter(metrics.values())))),
        "bounds": known_returns(system.task, channel, system.uses),
    }


def known_returns(task: Task, channel: AnyChannel, uses: int) -> dict[str, float]:
    """Known returns by name: of white noise, and of tasks that state them."""
    snr_db = finite_snr_db(channel)
    if not isinstance(task, HasReturnBounds) or not is_white_noise(channel):
        return {}
    return {} if snr_db is None else task.return_bounds(snr_db, uses)
