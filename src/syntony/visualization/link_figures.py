"""Pictures of a link for print: error rates over SNR, codewords, how it learned."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Complex
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from syntony.evaluation.learning_curves import LearningCurve
from syntony.evaluation.statistics import mean_over_seeds
from syntony.visualization.figures import GRAY, LINE_COLORS, STYLE_SHEET

MIN_PLOTTED_RATE = 1e-7
"""Lowest error rate that is drawn: nothing was counted below."""


@style.context(STYLE_SHEET)
def plot_bler(evaluation: Mapping[str, Any], *, title: str = "") -> Figure:
    """Draws block error rates over SNR: the link, other codes, and what is possible.

    Args:
        found: what `evaluate_link` returned, over two SNRs or more.
    """
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    snr_db = [point["snr_db"] for point in evaluation["points"]]
    _plot_learned_bler(axes, snr_db, evaluation["points"])
    others = {
        name: [point["others"][name]["bler"] for point in evaluation["points"]]
        for name in evaluation["points"][0]["others"]
    }
    known = {
        name: [point["bounds"][name] for point in evaluation["points"]]
        for name in evaluation["points"][0]["bounds"]
    }
    for (name, rates), colour in zip(others.items(), LINE_COLORS[1:], strict=False):
        axes.semilogy(
            snr_db, _mask_low_rates(rates), "--", color=colour, lw=1.0, label=name
        )
    for (name, rates), dash in zip(known.items(), BOUND_LINESTYLES, strict=False):
        axes.semilogy(
            snr_db, _mask_low_rates(rates), ls=dash, color=GRAY, lw=0.8, label=name
        )
    axes.set(xlabel="SNR, dB a channel use", ylabel="block error rate", title=title)
    axes.grid(which="major", lw=0.3, alpha=0.5)
    axes.legend(loc="lower left")
    return figure


BOUND_LINESTYLES = ("-", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (1, 2)))


def _plot_learned_bler(
    axes: Axes, snr_db: Sequence[float], points: Sequence[Mapping[str, Any]]
) -> None:
    """Draws each seed with its interval: those of few errors are visibly unsure."""
    for number in range(len(points[0]["seeds"])):
        lines = [point["seeds"][number] for point in points]
        rates, low, high = _bler_and_interval(lines)
        label = "learned" if number == 0 else None
        axes.semilogy(
            snr_db,
            _mask_low_rates(rates),
            ".-",
            color=LINE_COLORS[0],
            label=label,
            ms=4,
        )
        axes.fill_between(snr_db, low, high, color=LINE_COLORS[0], alpha=0.25, lw=0)
        if "ml_bler" in lines[0]:
            best = [line["ml_bler"] for line in lines]
            label = "learned, decoded by ML" if number == 0 else None
            axes.semilogy(
                snr_db,
                _mask_low_rates(best),
                ":",
                color=LINE_COLORS[0],
                lw=1.0,
                label=label,
            )


@style.context(STYLE_SHEET)
def plot_constellation(
    codebook: Complex[np.ndarray, "M C"], *, title: str = ""
) -> Figure:
    """Draws what is sent in each channel use: a point a message, alike in colour."""
    uses = codebook.shape[1]
    columns = min(uses, 4)
    rows = -(-uses // columns)
    figure = Figure(figsize=(1.6 * columns, 1.7 * rows + 0.2), layout="constrained")
    reach = 1.08 * float(np.abs(codebook).max())
    for use in range(uses):
        axes = figure.add_subplot(rows, columns, use + 1)
        axes.axhline(0.0, color=GRAY, lw=0.3)
        axes.axvline(0.0, color=GRAY, lw=0.3)
        points = codebook[:, use]
        hue = np.arange(len(points))
        axes.scatter(np.real(points), np.imag(points), c=hue, s=4, cmap="viridis", lw=0)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.set_title(f"use {use + 1}")
    figure.suptitle(title, fontsize=8)
    return figure


@style.context(STYLE_SHEET)
def plot_bler_over_training(
    curves: Mapping[str, LearningCurve], *, title: str = ""
) -> Figure:
    """Draws how block error rates fell while links learned, with their intervals."""
    figure = Figure(figsize=(4.2, 3.0), layout="constrained")
    axes = figure.add_subplot()
    for (name, curve), colour in zip(curves.items(), LINE_COLORS, strict=False):
        band = mean_over_seeds(curve.scores)
        axes.semilogy(curve.steps, _mask_low_rates(band.mean), color=colour, label=name)
        low = np.maximum(band.low, MIN_PLOTTED_RATE)
        axes.fill_between(curve.steps, low, band.high, color=colour, alpha=0.2, lw=0)
    # An interval of few seeds may reach below any rate: it leaves the picture.
    drawn = np.concatenate([np.ravel(line.get_ydata()) for line in axes.lines])
    if np.isfinite(drawn).any():
        axes.set_ylim(np.nanmin(drawn) / 3, min(np.nanmax(drawn) * 3, 1.5))
    axes.set(xlabel="iterations", ylabel="block error rate", title=title)
    axes.grid(which="major", lw=0.3, alpha=0.5)
    axes.legend()
    return figure


@style.context(STYLE_SHEET)
def plot_bler_per_run(
    evaluations: Mapping[str, Mapping[str, Any]], *, title: str = ""
) -> Figure:
    """Draws the block error rate of each run, seed by seed, one run a row.

    Args:
        found: by name what `evaluate_link` returned of it; its first point is drawn.
    """
    figure = Figure(figsize=(4.4, 0.7 + 0.2 * len(evaluations)), layout="constrained")
    axes = figure.add_subplot()
    for row, measured in enumerate(evaluations.values()):
        rates, low, high = _bler_and_interval(measured["points"][0]["seeds"])
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
    axes.set_yticks(range(len(evaluations)), list(evaluations))
    axes.invert_yaxis()
    axes.grid(axis="x", which="major", lw=0.3, alpha=0.5)
    return figure


def _bler_and_interval(
    per_seed: Sequence[Mapping[str, Any]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the block error rates of some lines, and the ends of their intervals."""
    rates, low, high = (
        np.array([line[f"bler{end}"] for line in per_seed])
        for end in ("", "_low", "_high")
    )
    return rates, low, high


def _mask_low_rates(rates: Any) -> np.ndarray:
    """Returns rates as they are drawn: none below what can be seen."""
    found = np.asarray(rates, float)
    return np.where(found > MIN_PLOTTED_RATE, found, np.nan)
