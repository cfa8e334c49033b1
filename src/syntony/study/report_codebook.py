"""A codebook in a report: its symbols, how they moved, and how far apart they are."""

import numpy as np
from jaxtyping import Complex, Float

from syntony.equations import limits
from syntony.equations.signal import from_pairs
from syntony.run.history import History
from syntony.study.report_parts import (
    COLOURS,
    Plot,
    Slides,
    Style,
    Trace,
    figure,
    line,
)
from syntony.systems.classical import baselines

MOST_USES = 16
"""Channel uses that are drawn."""
MOST_DOTS = 512
"""Messages that are drawn."""
COLUMNS = 4
BINS = 80
GAP = 0.05
"""Between two pictures, of the figure's width."""


def constellation(
    name: str, codebook: Complex[np.ndarray, "M C"], past: History | None, step: int
) -> Plot:
    """Returns what is sent in each channel use, and a slider through the training."""
    messages, uses = codebook.shape[0], min(codebook.shape[1], MOST_USES)
    shown = np.unique(
        np.linspace(0, messages - 1, min(messages, MOST_DOTS)).astype(int)
    )
    if past is not None:
        # Only those of which the past is known can move.
        shown = past.message[
            np.linspace(
                0, len(past.message) - 1, min(len(past.message), MOST_DOTS)
            ).astype(int)
        ]
    traces = [_dots(codebook[shown, use], use, shown) for use in range(uses)]
    slides = None if past is None else _slides(past, shown, codebook, uses, step)
    every = (
        [codebook[shown]] if past is None else [codebook[shown], _books(past, shown)]
    )
    reach = 1.08 * max(float(np.abs(book).max()) for book in every)
    moved = "" if past is None else " Move the slider to see how it was learned."
    return Plot(
        name=f"{name}-constellation",
        title="What is sent",
        alt=f"{uses} scatter plots, one a channel use: the complex symbols of "
        f"{len(shown)} messages.",
        caption="The symbols of all messages in each channel use, in-phase across and "
        f"quadrature up; a message has one colour throughout.{moved}",
        figure=figure(traces, x="", y="", **_grid(uses, reach)),
        width="wide",
        slides=slides,
        least=150 * min(uses, COLUMNS),
    )


def distances(
    name: str,
    codebook: Complex[np.ndarray, "M C"],
    past: History | None,
    fading: bool,
) -> list[Plot]:
    """Returns how far codewords are from each other, at the end and on the way."""
    codes = {"learned": codebook}
    messages, uses = codebook.shape
    for code in baselines(messages, uses, fading):
        if code.name != "random sphere":
            codes.setdefault(code.name, code.codebook)
    top = max(float(_apart(book).max()) for book in codes.values())
    edges = np.linspace(0.0, top, BINS)
    traces = []
    for number, (said, book) in enumerate(codes.items()):
        look = Style(COLOURS[number % len(COLOURS)], "solid" if not number else "dash")
        share = np.histogram(_apart(book), edges)[0] * 2 / len(book)
        middle = (edges[1:] + edges[:-1]) / 2
        shape = {"line": {"color": look.colour, "dash": look.dash, "shape": "hvh"}}
        traces.append(line(middle, share, said, look) | shape)
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
            figure=figure(traces, x="distance", y="other codewords"),
            width="half",
        )
    ]
    if past is not None and len(past.step) > 1 and len(past.message) == len(codebook):
        plots.append(_smallest(name, past))
    return plots


def _smallest(name: str, past: History) -> Plot:
    """Returns how the smallest distance grew."""
    every = [limits.min_distance(_complex(book)) for book in past.codebook]
    look = Style(COLOURS[0], "solid")
    trace = line(past.step, every, "smallest distance", look, mode="lines+markers")
    return Plot(
        name=f"{name}-smallest-distance",
        title="Smallest distance over training",
        alt="Line chart of the smallest distance of two codewords over iterations.",
        caption="Euclidean distance of the two codewords nearest to each other.",
        figure=figure([trace], x="iterations", y="smallest distance"),
        width="half",
    )


def _apart(codebook: Complex[np.ndarray, "M C"]) -> Float[np.ndarray, " pairs"]:
    """Returns the distance of each pair of codewords, of a thousand at most."""
    few = codebook[:1024]
    inner = np.real(few @ few.conj().T)
    energy = np.diag(inner)
    squares = energy[:, None] + energy[None] - 2.0 * inner
    return np.sqrt(np.maximum(squares[np.triu_indices(len(few), 1)], 0.0))


def _dots(symbols: Complex[np.ndarray, " M"], use: int, shown: np.ndarray) -> Trace:
    number = "" if use == 0 else str(use + 1)
    return {
        "type": "scatter",
        "mode": "markers",
        "x": np.real(symbols),
        "y": np.imag(symbols),
        "xaxis": f"x{number}",
        "yaxis": f"y{number}",
        "name": f"use {use + 1}",
        "text": [f"message {m}" for m in shown],
        "hovertemplate": "%{text}<br>%{x:.2f} + %{y:.2f}i<extra></extra>",
        "showlegend": False,
        "marker": {
            "color": np.arange(len(symbols)),
            "colorscale": "Viridis",
            "size": 5,
        },
    }


def _grid(uses: int, reach: float) -> dict[str, object]:
    """Returns the layout of one picture a use, in rows."""
    columns = min(uses, COLUMNS)
    rows = -(-uses // columns)
    layout: dict[str, object] = {"height": 60 + 250 * rows, "hovermode": "closest"}
    titles = []
    for use in range(uses):
        number = "" if use == 0 else str(use + 1)
        row, column = divmod(use, columns)
        left, wide = column / columns, 1 / columns - GAP
        high = 1 / rows - 0.12
        top = 1 - row / rows - 0.06
        across = {"domain": [left, left + wide], "anchor": f"y{number}"}
        up = {"domain": [top - high, top], "anchor": f"x{number}"}
        alike = {"range": [-reach, reach], "showticklabels": False, "ticks": ""}
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


def _slides(
    past: History,
    shown: np.ndarray,
    codebook: Complex[np.ndarray, "M C"],
    uses: int,
    step: int,
) -> Slides:
    books, steps = list(_books(past, shown)), past.step.tolist()
    if not steps or steps[-1] < step:
        books.append(codebook[shown])
        steps.append(step)
    return Slides(
        label="iteration",
        names=[f"{step:,}" for step in steps],
        x=[[book[:, use].real for use in range(uses)] for book in books],
        y=[[book[:, use].imag for use in range(uses)] for book in books],
    )


def _books(past: History, shown: np.ndarray) -> Complex[np.ndarray, "K M C"]:
    kept = np.searchsorted(past.message, shown)
    return _complex(past.codebook[:, kept])


def _complex(pairs: Float[np.ndarray, "*batch 2"]) -> Complex[np.ndarray, "*batch"]:
    return np.asarray(from_pairs(pairs), complex)
