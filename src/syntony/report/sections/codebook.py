"""Plots of a codebook: its constellation over training, and codeword distances."""

import numpy as np
from jaxtyping import Complex, Float

from syntony.equations import limits
from syntony.report.components import (
    LineStyle,
    Plot,
    PlotlyObject,
    Slider,
    Trace,
    line_trace,
    plotly_figure,
    step_histogram_trace,
)
from syntony.systems.link.codes import classical_codes
from syntony.visualization.codebook_history import (
    CodebookHistory,
    complex_codebook,
    evenly_spaced,
    snapshot_codebooks,
)
from syntony.visualization.style import BLUE, SCREEN_GRAY

MAX_SHOWN_USES = 16
"""Channel uses that are drawn at most."""
MAX_SHOWN_MESSAGES = 512
"""Messages that are drawn at most."""
GRID_COLUMNS = 4
HISTOGRAM_BINS = 80
REFERENCE_DASHES = ("dash", "dot", "dashdot")
"""Dashes of classical codes, which are gray."""
SUBPLOT_GAP = 0.05
"""Gap between two subplots, as a fraction of the figure's width."""


def constellation_plot(
    name: str,
    codebook: Complex[np.ndarray, "M C"],
    snapshots: CodebookHistory | None,
    step: int,
) -> Plot:
    """Symbols of each channel use, with a slider through the training.

    Args:
        name: prefix of the name of downloaded files.
        codebook: the trained codebook.
        snapshots: codebooks during training; None leaves out the slider.
        step: the step of `codebook`.
    """
    messages, uses = codebook.shape[0], min(codebook.shape[1], MAX_SHOWN_USES)
    shown = evenly_spaced(np.arange(messages), MAX_SHOWN_MESSAGES)
    books, slider, hint = [codebook[shown]], None, ""
    if snapshots is not None:
        # The history of large codebooks holds only some of the messages.
        shown = evenly_spaced(snapshots.message, MAX_SHOWN_MESSAGES)
        books = [codebook[shown], snapshot_codebooks(snapshots, shown)]
        slider = _training_slider(snapshots, shown, codebook, uses, step)
        hint = " The slider shows the codebook during training."
    traces = [_symbol_scatter(codebook[shown, use], use, shown) for use in range(uses)]
    limit = 1.08 * max(float(np.abs(book).max()) for book in books)
    return Plot(
        name=f"{name}-constellation",
        title="Constellation",
        alt=f"{uses} scatter plots, one per channel use: the complex symbols of "
        f"{len(shown)} messages.",
        caption="The symbols of all messages in each channel use: in-phase component "
        "on the horizontal axis, quadrature component on the vertical axis. A message "
        f"has the same color in all channel uses.{hint}",
        figure=plotly_figure(
            traces, xlabel="", ylabel="", **symbol_grid_layout(uses, limit)
        ),
        width="wide",
        slider=slider,
        min_width_px=150 * min(uses, GRID_COLUMNS),
    )


def distance_plots(
    name: str,
    codebook: Complex[np.ndarray, "M C"],
    snapshots: CodebookHistory | None,
    fading: bool,
    step_unit: str,
) -> list[Plot]:
    """Histogram of codeword distances, and the minimum distance over training.

    Args:
        name: prefix of the name of downloaded files.
        codebook: the trained codebook.
        snapshots: codebooks during training; None leaves out the second plot.
        fading: whether the channel has an unknown gain, which selects the classical
            codes to compare with.
        step_unit: unit of the steps of training.
    """
    codes = {"learned": codebook}
    messages, uses = codebook.shape
    for code in classical_codes(messages, uses, fading):
        if code.name != "random sphere":
            codes.setdefault(code.name, code.codebook)
    longest = max(float(_pairwise_distances(book).max()) for book in codes.values())
    edges = np.linspace(0.0, longest, HISTOGRAM_BINS)
    traces = []
    for index, (label, book) in enumerate(codes.items()):
        dash = REFERENCE_DASHES[(index - 1) % len(REFERENCE_DASHES)]
        style = LineStyle(SCREEN_GRAY, dash) if index else LineStyle(BLUE, "solid")
        counts = np.histogram(_pairwise_distances(book), edges)[0]
        traces.append(step_histogram_trace(edges, counts * 2 / len(book), label, style))
    min_distance = limits.min_distance(codebook)
    plots = [
        Plot(
            name=f"{name}-distances",
            title="Distances of codewords",
            alt="Histogram of distances between codewords; the minimum distance is "
            f"{min_distance:.3f}.",
            caption="Mean number of other codewords at each Euclidean distance of a "
            f"codeword. The minimum distance is {min_distance:.3f}: over white noise, "
            "errors are rare if neighbors are few and far.",
            figure=plotly_figure(traces, xlabel="distance", ylabel="other codewords"),
            width="half",
        )
    ]
    if snapshots and len(snapshots.message) == messages and len(snapshots.step) > 1:
        plots.append(_min_distance_plot(name, snapshots, step_unit))
    return plots


def _min_distance_plot(name: str, snapshots: CodebookHistory, step_unit: str) -> Plot:
    """Plot of the codebook's minimum distance over training."""
    distances = [
        limits.min_distance(complex_codebook(book)) for book in snapshots.codebook
    ]
    style = LineStyle(BLUE, "solid")
    trace = line_trace(
        snapshots.step, distances, "minimum distance", style, mode="lines+markers"
    )
    return Plot(
        name=f"{name}-minimum-distance",
        title="Minimum distance over training",
        alt=f"Line chart of the minimum distance of two codewords over {step_unit}.",
        caption="Minimum Euclidean distance of two codewords.",
        figure=plotly_figure([trace], xlabel=step_unit, ylabel="minimum distance"),
        width="half",
    )


def _pairwise_distances(
    codebook: Complex[np.ndarray, "M C"],
) -> Float[np.ndarray, " pairs"]:
    """Euclidean distance of each pair of the first 1024 codewords."""
    codewords = codebook[:1024]
    inner = np.real(codewords @ codewords.conj().T)
    energy = np.diag(inner)
    squares = energy[:, None] + energy[None] - 2.0 * inner
    return np.sqrt(np.maximum(squares[np.triu_indices(len(codewords), 1)], 0.0))


def _symbol_scatter(
    symbols: Complex[np.ndarray, " M"], use: int, messages: np.ndarray
) -> Trace:
    suffix = "" if use == 0 else str(use + 1)
    return {
        "type": "scatter",
        "mode": "markers",
        "x": np.real(symbols),
        "y": np.imag(symbols),
        "xaxis": f"x{suffix}",
        "yaxis": f"y{suffix}",
        "name": f"use {use + 1}",
        "text": [f"message {m}" for m in messages],
        "hovertemplate": "%{text}<br>%{x:.2f} + %{y:.2f}i<extra></extra>",
        "showlegend": False,
        "marker": {
            "color": np.arange(len(symbols)),
            "colorscale": "Viridis",
            "size": 5,
        },
    }


def symbol_grid_layout(uses: int, axis_limit: float) -> PlotlyObject:
    """Plotly layout of a grid with one square subplot per channel use."""
    columns = min(uses, GRID_COLUMNS)
    rows = -(-uses // columns)
    layout: PlotlyObject = {"height": 60 + 250 * rows, "hovermode": "closest"}
    titles = []
    for use in range(uses):
        suffix = "" if use == 0 else str(use + 1)
        row, column = divmod(use, columns)
        left, width = column / columns, 1 / columns - SUBPLOT_GAP
        top, height = 1 - row / rows - 0.06, 1 / rows - 0.12
        horizontal = {"domain": [left, left + width], "anchor": f"y{suffix}"}
        vertical = {"domain": [top - height, top], "anchor": f"x{suffix}"}
        shared = {
            "range": [-axis_limit, axis_limit],
            "showticklabels": False,
            "ticks": "",
        }
        layout[f"xaxis{suffix}"] = {**horizontal, **shared, "constrain": "domain"}
        layout[f"yaxis{suffix}"] = {**vertical, **shared, "scaleanchor": f"x{suffix}"}
        titles.append(
            {
                "text": f"use {use + 1}",
                "x": left + width / 2,
                "y": top,
                "xref": "paper",
                "yref": "paper",
                "xanchor": "center",
                "yanchor": "bottom",
                "showarrow": False,
            }
        )
    layout["annotations"] = titles
    return layout


def _training_slider(
    snapshots: CodebookHistory,
    messages: np.ndarray,
    codebook: Complex[np.ndarray, "M C"],
    uses: int,
    step: int,
) -> Slider:
    books = list(snapshot_codebooks(snapshots, messages))
    steps = snapshots.step.tolist()
    if not steps or steps[-1] < step:
        books.append(codebook[messages])
        steps.append(step)
    return Slider(
        label="step",
        frame_labels=[f"{step:,}" for step in steps],
        x=[[book[:, use].real for use in range(uses)] for book in books],
        y=[[book[:, use].imag for use in range(uses)] for book in books],
    )
