"""A codebook in a report: its symbols, how they moved, and how far apart they are."""

import numpy as np
from jaxtyping import Complex, Float

from syntony.equations import limits
from syntony.equations.signal import pairs_to_complex
from syntony.report.components import (
    COLORS,
    LineStyle,
    Plot,
    Slider,
    Trace,
    line_trace,
    plotly_figure,
)
from syntony.systems.link.codes import classical_codes
from syntony.training.codebook_history import CodebookHistory

MAX_SHOWN_USES = 16
"""Channel uses that are drawn."""
MAX_SHOWN_MESSAGES = 512
"""Messages that are drawn."""
GRID_COLUMNS = 4
HISTOGRAM_BINS = 80
SUBPLOT_GAP = 0.05
"""Between two pictures, of the figure's width."""


def constellation_plot(
    name: str,
    codebook: Complex[np.ndarray, "M C"],
    snapshots: CodebookHistory | None,
    step: int,
) -> Plot:
    """Returns what is sent in each channel use, and a slider through the training."""
    messages, uses = codebook.shape[0], min(codebook.shape[1], MAX_SHOWN_USES)
    shown = np.unique(
        np.linspace(0, messages - 1, min(messages, MAX_SHOWN_MESSAGES)).astype(int)
    )
    if snapshots is not None:
        # Only those of which the past is known can move.
        shown = snapshots.message[
            np.linspace(
                0,
                len(snapshots.message) - 1,
                min(len(snapshots.message), MAX_SHOWN_MESSAGES),
            ).astype(int)
        ]
    traces = [_symbol_scatter(codebook[shown, use], use, shown) for use in range(uses)]
    slides = (
        None
        if snapshots is None
        else _training_slider(snapshots, shown, codebook, uses, step)
    )
    every = (
        [codebook[shown]]
        if snapshots is None
        else [codebook[shown], _snapshot_codebooks(snapshots, shown)]
    )
    reach = 1.08 * max(float(np.abs(book).max()) for book in every)
    moved = "" if snapshots is None else " Move the slider to see how it was learned."
    return Plot(
        name=f"{name}-constellation",
        title="What is sent",
        alt=f"{uses} scatter plots, one a channel use: the complex symbols of "
        f"{len(shown)} messages.",
        caption="The symbols of all messages in each channel use, in-phase across and "
        f"quadrature up; a message has one colour throughout.{moved}",
        figure=plotly_figure(traces, xlabel="", ylabel="", **_grid_layout(uses, reach)),
        width="wide",
        slider=slides,
        min_width_px=150 * min(uses, GRID_COLUMNS),
    )


def distance_plots(
    name: str,
    codebook: Complex[np.ndarray, "M C"],
    snapshots: CodebookHistory | None,
    fading: bool,
) -> list[Plot]:
    """Returns how far codewords are from each other, at the end and on the way."""
    codes = {"learned": codebook}
    messages, uses = codebook.shape
    for code in classical_codes(messages, uses, fading):
        if code.name != "random sphere":
            codes.setdefault(code.name, code.codebook)
    top = max(float(_pairwise_distances(book).max()) for book in codes.values())
    edges = np.linspace(0.0, top, HISTOGRAM_BINS)
    traces = []
    for number, (said, book) in enumerate(codes.items()):
        look = LineStyle(
            COLORS[number % len(COLORS)], "solid" if not number else "dash"
        )
        share = np.histogram(_pairwise_distances(book), edges)[0] * 2 / len(book)
        middle = (edges[1:] + edges[:-1]) / 2
        shape = {"line": {"color": look.color, "dash": look.dash, "shape": "hvh"}}
        traces.append(line_trace(middle, share, said, look) | shape)
    least = limits.min_distance(codebook)
    plots = [
        Plot(
            name=f"{name}-distances",
            title="Distances of codewords",
            alt="Histogram of distances between codewords; the smallest is "
            f"{least:.3f}.",
            caption="How many others a codeword has at each Euclidean distance, on "
            f"average. The smallest is {least:.3f}: few neighbours, and far, are what "
            "keeps errors rare over white noise.",
            figure=plotly_figure(traces, xlabel="distance", ylabel="other codewords"),
            width="half",
        )
    ]
    if (
        snapshots is not None
        and len(snapshots.step) > 1
        and len(snapshots.message) == len(codebook)
    ):
        plots.append(_min_distance_plot(name, snapshots))
    return plots


def _min_distance_plot(name: str, snapshots: CodebookHistory) -> Plot:
    """Returns how the smallest distance grew."""
    every = [limits.min_distance(_to_complex(book)) for book in snapshots.codebook]
    look = LineStyle(COLORS[0], "solid")
    trace = line_trace(
        snapshots.step, every, "smallest distance", look, mode="lines+markers"
    )
    return Plot(
        name=f"{name}-smallest-distance",
        title="Smallest distance over training",
        alt="Line chart of the smallest distance of two codewords over iterations.",
        caption="Euclidean distance of the two codewords nearest to each other.",
        figure=plotly_figure([trace], xlabel="iterations", ylabel="smallest distance"),
        width="half",
    )


def _pairwise_distances(
    codebook: Complex[np.ndarray, "M C"],
) -> Float[np.ndarray, " pairs"]:
    """Returns the distance of each pair of codewords, of a thousand at most."""
    few = codebook[:1024]
    inner = np.real(few @ few.conj().T)
    energy = np.diag(inner)
    squares = energy[:, None] + energy[None] - 2.0 * inner
    return np.sqrt(np.maximum(squares[np.triu_indices(len(few), 1)], 0.0))


def _symbol_scatter(
    symbols: Complex[np.ndarray, " M"], use: int, messages: np.ndarray
) -> Trace:
    number = "" if use == 0 else str(use + 1)
    return {
        "type": "scatter",
        "mode": "markers",
        "x": np.real(symbols),
        "y": np.imag(symbols),
        "xaxis": f"x{number}",
        "yaxis": f"y{number}",
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


def _grid_layout(uses: int, axis_limit: float) -> dict[str, object]:
    """Returns the layout of one picture a use, in rows."""
    columns = min(uses, GRID_COLUMNS)
    rows = -(-uses // columns)
    layout: dict[str, object] = {"height": 60 + 250 * rows, "hovermode": "closest"}
    titles = []
    for use in range(uses):
        number = "" if use == 0 else str(use + 1)
        row, column = divmod(use, columns)
        left, wide = column / columns, 1 / columns - SUBPLOT_GAP
        high = 1 / rows - 0.12
        top = 1 - row / rows - 0.06
        across = {"domain": [left, left + wide], "anchor": f"y{number}"}
        up = {"domain": [top - high, top], "anchor": f"x{number}"}
        alike = {
            "range": [-axis_limit, axis_limit],
            "showticklabels": False,
            "ticks": "",
        }
        layout[f"xaxis{number}"] = {**across, **alike, "constrain": "domain"}
        layout[f"yaxis{number}"] = {**up, **alike, "scaleanchor": f"x{number}"}
        titles.append(
            {
                "text": f"use {use + 1}",
                "x": left + wide / 2,
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
    books, steps = (
        list(_snapshot_codebooks(snapshots, messages)),
        snapshots.step.tolist(),
    )
    if not steps or steps[-1] < step:
        books.append(codebook[messages])
        steps.append(step)
    return Slider(
        label="iteration",
        frame_labels=[f"{step:,}" for step in steps],
        x=[[book[:, use].real for use in range(uses)] for book in books],
        y=[[book[:, use].imag for use in range(uses)] for book in books],
    )


def _snapshot_codebooks(
    snapshots: CodebookHistory, messages: np.ndarray
) -> Complex[np.ndarray, "K M C"]:
    kept = np.searchsorted(snapshots.message, messages)
    return _to_complex(snapshots.codebook[:, kept])


def _to_complex(pairs: Float[np.ndarray, "*batch 2"]) -> Complex[np.ndarray, "*batch"]:
    return np.asarray(pairs_to_complex(pairs), complex)
