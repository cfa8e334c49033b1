"""Figures of teams that transmit, for print: symbols, energy per feature, returns."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import style
from matplotlib.figure import Figure

from syntony.channels.snr import finite_snr_db
from syntony.evaluation.over_snr import TeamOverSNR
from syntony.evaluation.transmissions import AgentCode, Transmissions
from syntony.systems.system import TransmitsObservations
from syntony.training.metrics_log import MetricsRow
from syntony.visualization.legends import add_legend_below
from syntony.visualization.link_figures import BOUND_LINESTYLES
from syntony.visualization.style import (
    GRAY,
    LINE_COLORS,
    STYLE_SHEET,
    agent_color,
    agent_name,
    level_color,
)

MAX_USES = 4
"""Channel uses that are drawn at most."""
SNR_OFFSETS_DB = (-20.0, -15.0, -10.0, -5.0, 0.0, 5.0, 10.0)
"""SNRs of the returns, relative to that of the run's channel, in dB."""
FloatArray = Float[np.ndarray, " points"]


@style.context(STYLE_SHEET)
def plot_symbols(
    samples: Transmissions, codes: Sequence[AgentCode], *, title: str = ""
) -> Figure:
    """Plots the symbols of each agent, colored by what it saw: a row for each agent.

    Args:
        samples: observations and symbols.
        codes: levels of what each agent saw.
        title: title of the figure.
    """
    agents, uses = len(codes), min(samples.symbols.shape[2], MAX_USES)
    figure = Figure(
        figsize=(1.9 * uses + 1.2, 1.9 * agents + 0.2), layout="constrained"
    )
    limit = 1.08 * float(np.abs(samples.symbols).max())
    for agent, code in enumerate(codes):
        index = code.levels.assign(samples.obs[:, agent])
        for use in range(uses):
            axes = figure.add_subplot(agents, uses, agent * uses + use + 1)
            axes.axhline(0.0, color=GRAY, lw=0.3)
            axes.axvline(0.0, color=GRAY, lw=0.3)
            for level, name in enumerate(code.levels.names):
                points = samples.symbols[index == level, agent, use]
                color = level_color(level, len(code.levels.names))
                axes.scatter(*points.T, color=color, s=6, lw=0, label=name)
            axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
            axes.set_title(f"{agent_name(agent)}, use {use + 1}")
        figure.axes[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.suptitle(title, fontsize=8)
    return figure


@style.context(STYLE_SHEET)
def plot_energy_per_feature(codes: Sequence[AgentCode], *, title: str = "") -> Figure:
    """Plots the share of each agent's codeword variance that follows each entity."""
    entities = list(dict.fromkeys(entity for code in codes for entity in code.shares))
    figure = Figure(figsize=(1.6 + 0.5 * len(entities), 2.6), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(codes)
    for agent, code in enumerate(codes):
        shares = [code.shares.get(entity, np.nan) for entity in entities]
        position = np.arange(len(entities)) + width * (agent - (len(codes) - 1) / 2)
        label = agent_name(agent)
        axes.bar(position, shares, width, color=agent_color(agent), label=label)
    axes.set_xticks(range(len(entities)), entities, rotation=40, ha="right")
    axes.set(ylim=(0, 1.02), ylabel="share of the codewords' variance", title=title)
    return add_legend_below(figure)


@style.context(STYLE_SHEET)
def plot_return_over_snr(evaluation: TeamOverSNR, *, title: str = "") -> Figure:
    """Plots the mean return over the SNR: of each seed, and what is known of the task.

    Args:
        evaluation: the result of `evaluate_over_snr` at two SNRs or more.
        title: title of the figure.
    """
    figure = Figure(figsize=(4.2, 3.0), layout="constrained")
    axes, points = figure.add_subplot(), evaluation["points"]
    snrs_db = np.array([point["snr_db"] for point in points], float)
    for index in range(len(points[0]["seeds"])):
        mean, low, high = seed_returns([point["seeds"][index] for point in points])
        axes.errorbar(
            *(snrs_db, mean, (mean - low, high - mean)),
            color=LINE_COLORS[0],
            marker=".",
            lw=1.0,
            label="trained" if index == 0 else None,
        )
    bounds = points[0]["bounds"]
    for name, dash in zip(bounds, BOUND_LINESTYLES, strict=False):
        known = [point["bounds"][name] for point in points]
        axes.plot(snrs_db, known, ls=dash, color=GRAY, lw=0.8, label=name)
    axes.set(xlabel="Es/N0 (dB)", ylabel="return", title=title)
    axes.grid(which="major", lw=0.3, alpha=0.5)
    return add_legend_below(figure)


def plotted_snrs_db(system: TransmitsObservations) -> list[float]:
    """SNRs at which returns are drawn, around that of the run's channel.

    Empty if it has none, or is a black box, which may be a slow radio.
    """
    snr_db = finite_snr_db(system.channel)
    if snr_db is None or system.channel.is_black_box:
        return []
    return [snr_db + offset for offset in SNR_OFFSETS_DB]


def seed_returns(
    rows: Sequence[MetricsRow],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean returns of a seed at several SNRs, and the ends of their intervals."""
    mean, low, high = (
        np.array([row[f"eval/return_mean{end}"] for row in rows], float)
        for end in ("", "_low", "_high")
    )
    return mean, low, high
