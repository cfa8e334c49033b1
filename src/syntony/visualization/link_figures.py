"""Figures of links for print: error rates over SNR and training, constellations."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
from jaxtyping import Complex
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from syntony.evaluation.bler_curves import BLERCurves, bler_curves, seed_bler
from syntony.evaluation.learning_curves import LearningCurve
from syntony.evaluation.link import LinkEvaluation
from syntony.training.metrics_log import MetricsRow
from syntony.visualization.legends import add_legend_below, line_style
from syntony.visualization.style import (
    BLACK,
    GRAY,
    LINE_COLORS,
    MIN_PLOTTED_RATE,
    STYLE_SHEET,
    line_looks,
    mask_low_rates,
)


class LineStyle(TypedDict):
    """Matplotlib's keywords of a line."""

    color: str
    ls: str
    marker: str
    ms: float
    lw: float


@style.context(STYLE_SHEET)
def plot_bler(evaluation: LinkEvaluation, *, title: str = "") -> Figure:
    """Plots block error rates over SNR: of the link, of classical codes, and of bounds.

    Args:
        evaluation: the result of `evaluate_link` at two SNRs or more.
        title: title of the figure.
    """
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    curves = bler_curves(evaluation["points"], evaluation.get("analytic"))
    _plot_learned_bler(axes, curves)
    for index, name in enumerate(curves.baselines):
        snr_db, rates = curves.baseline(name)
        style = REFERENCE_STYLES[index % len(REFERENCE_STYLES)]
        every = max(1, (len(snr_db) - 1) // 8)
        measured = curves.baselines[name]
        interval = {"color": style["color"], "alpha": 0.2, "lw": 0}
        axes.fill_between(curves.snr_db, measured.low, measured.high, **interval)
        axes.semilogy(
            *(snr_db, mask_low_rates(rates)), label=name, markevery=every, **style
        )
    bounds = curves.analytic["bounds"].items()
    for (name, rates), dash in zip(bounds, BOUND_LINESTYLES, strict=False):
        axes.semilogy(
            *(curves.analytic["snr_db"], mask_low_rates(rates)),
            ls=dash,
            color=GRAY,
            lw=0.8,
            label=name,
        )
    axes.set(
        xlabel="Es/N0 per channel use (dB)", ylabel="block error rate", title=title
    )
    axes.grid(which="major", lw=0.3, alpha=0.5)
    return add_legend_below(figure)


REFERENCE_STYLES: tuple[LineStyle, ...] = (
    {"color": BLACK, "ls": "--", "marker": "s", "ms": 2.5, "lw": 0.9},
    {"color": BLACK, "ls": "-.", "marker": "^", "ms": 3.0, "lw": 0.9},
    {"color": GRAY, "ls": "--", "marker": "D", "ms": 2.5, "lw": 0.9},
    {"color": GRAY, "ls": "-.", "marker": "v", "ms": 3.0, "lw": 0.9},
)
"""Classical codes: black or gray, each with its marker; colors are of learned codes."""
BOUND_LINESTYLES = ("-", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (1, 2)))


def _plot_learned_bler(axes: Axes, curves: BLERCurves) -> None:
    """Plots each seed with its interval, which is wide for few counted errors."""
    color = LINE_COLORS[0]
    for index, (rates, low, high) in enumerate(curves.seeds):
        label = "learned" if index == 0 else None
        axes.semilogy(
            *(curves.snr_db, mask_low_rates(rates), ".-"),
            color=color,
            label=label,
            ms=4,
        )
        axes.fill_between(curves.snr_db, low, high, color=color, alpha=0.25, lw=0)
        if curves.ml_bler:
            label = "learned, ML detection" if index == 0 else None
            axes.semilogy(
                *(curves.snr_db, mask_low_rates(curves.ml_bler[index]), ":"),
                color=color,
                lw=1.0,
                label=label,
            )


@style.context(STYLE_SHEET)
def plot_constellation(
    codebook: Complex[np.ndarray, "M C"], *, title: str = ""
) -> Figure:
    """Plots the symbols of each channel use; a message has one color in all of them."""
    uses = codebook.shape[1]
    columns = min(uses, 4)
    rows = -(-uses // columns)
    figure = Figure(figsize=(1.6 * columns, 1.7 * rows + 0.2), layout="constrained")
    limit = 1.08 * float(np.abs(codebook).max())
    for use in range(uses):
        axes = figure.add_subplot(rows, columns, use + 1)
        axes.axhline(0.0, color=GRAY, lw=0.3)
        axes.axvline(0.0, color=GRAY, lw=0.3)
        symbols = codebook[:, use]
        message = np.arange(len(symbols))
        axes.scatter(
            *(np.real(symbols), np.imag(symbols)), c=message, s=4, cmap="viridis", lw=0
        )
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        axes.set_title(f"use {use + 1}")
    figure.suptitle(title, fontsize=8)
    return figure


@style.context(STYLE_SHEET)
def plot_bler_over_training(
    curves: Mapping[str, LearningCurve], *, title: str = "", xlabel: str = "iterations"
) -> Figure:
    """Plots block error rates over training: means over seeds, with 95 % intervals.

    Args:
        curves: curves by their name in the legend.
        title: title of the figure.
        xlabel: unit of the steps.
    """
    figure = Figure(figsize=(4.2, 3.0), layout="constrained")
    axes = figure.add_subplot()
    for (name, curve), look in zip(curves.items(), line_looks([*curves]), strict=True):
        band, steps = curve.over_seeds(), curve.steps
        axes.semilogy(steps, mask_low_rates(band.mean), label=name, **line_style(look))
        low = np.maximum(band.low, MIN_PLOTTED_RATE)
        axes.fill_between(steps, low, band.high, color=look.color, alpha=0.2, lw=0)
    # Limits from the means: intervals of few seeds may extend far below any rate.
    means = np.concatenate([np.ravel(line.get_ydata()) for line in axes.lines])
    if np.isfinite(means).any():
        axes.set_ylim(np.nanmin(means) / 3, min(np.nanmax(means) * 3, 1.5))
    axes.set(xlabel=xlabel, ylabel="block error rate", title=title)
    axes.grid(which="major", lw=0.3, alpha=0.5)
    return add_legend_below(figure)


@style.context(STYLE_SHEET)
def plot_bler_per_run(
    seeds: Mapping[str, Sequence[MetricsRow]], *, title: str = ""
) -> Figure:
    """Plots the block error rate of each seed with its interval, one run per row.

    Args:
        seeds: rows of all seeds at one point of `evaluate_link`, by the name of the
            run.
        title: title of the figure.
    """
    figure = Figure(figsize=(4.4, 0.7 + 0.2 * len(seeds)), layout="constrained")
    axes = figure.add_subplot()
    for row, of_run in enumerate(seeds.values()):
        rates, low, high = seed_bler(of_run)
        rows = row + 0.12 * (np.arange(len(rates)) - (len(rates) - 1) / 2)
        axes.errorbar(
            rates,
            rows,
            xerr=(rates - low, high - rates),
            fmt=".",
            ms=4,
            lw=0.8,
            color=LINE_COLORS[0],
        )
    axes.set(xscale="log", xlabel="block error rate, each seed", title=title)
    axes.set_yticks(range(len(seeds)), list(seeds))
    axes.invert_yaxis()
    axes.grid(axis="x", which="major", lw=0.3, alpha=0.5)
    return figure
