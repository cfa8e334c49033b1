"""Figures of teams that transmit, for print: symbols, energy per feature, returns."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import style
from matplotlib.figure import Figure

from syntony.evaluation.transmissions import AgentCode, Transmissions
from syntony.visualization.link_figures import BOUND_LINESTYLES
from syntony.visualization.style import (
    GRAY,
    LINE_COLORS,
    STYLE_SHEET,
    agent_color,
    level_color,
)

MAX_USES = 4
"""Channel uses that are drawn at most."""


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
            axes.set_title(f"agent {agent + 1}, use {use + 1}")
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
        label = f"agent {agent + 1}"
        axes.bar(position, shares, width, color=agent_color(agent), label=label)
    axes.set_xticks(range(len(entities)), entities, rotation=40, ha="right")
    axes.set(ylim=(0, 1.02), ylabel="share of the codewords' variance", title=title)
    axes.legend()
    return figure


@style.context(STYLE_SHEET)
def plot_return_over_snr(
    snrs_db: Sequence[float],
    returns: Sequence[Float[np.ndarray, "K E"]],
    known: Mapping[str, Sequence[float]],
    *,
    title: str = "",
) -> Figure:
    """Plots the mean return over the SNR: of each seed, and what is known of the task.

    Args:
        snrs_db: the SNRs.
        returns: returns of the episodes of each seed.
        known: known returns, by name.
        title: title of the figure.
    """
    figure = Figure(figsize=(4.2, 3.0), layout="constrained")
    axes = figure.add_subplot()
    for index, episodes in enumerate(returns):
        error = 1.96 * episodes.std(axis=1, ddof=1) / np.sqrt(episodes.shape[1])
        axes.errorbar(
            snrs_db,
            episodes.mean(axis=1),
            error,
            color=LINE_COLORS[0],
            marker=".",
            lw=1.0,
            label="trained" if index == 0 else None,
        )
    for (name, values), dash in zip(known.items(), BOUND_LINESTYLES, strict=False):
        axes.plot(snrs_db, values, ls=dash, color=GRAY, lw=0.8, label=name)
    axes.set(xlabel="Es/N0 (dB)", ylabel="return", title=title)
    axes.grid(which="major", lw=0.3, alpha=0.5)
    axes.legend()
    return figure
