"""Animation of a link's training: its constellation from snapshot to snapshot."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float, Int
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from PIL import Image

from syntony.errors import InvalidInputError
from syntony.jax_settings import standard_jax_settings
from syntony.systems.system import HasSnapshots, TransmitsMessages
from syntony.training.primary_metrics import PRIMARY_METRICS
from syntony.training.run import Run
from syntony.training.run_folder import RunFolder
from syntony.training.snapshots import read_history
from syntony.visualization import output_files
from syntony.visualization.animation_file import open_animation
from syntony.visualization.codebook_history import (
    CodebookHistory,
    codebook_history,
    complex_codebook,
)
from syntony.visualization.encoding import Animation
from syntony.visualization.frame_canvas import FrameCanvas
from syntony.visualization.style import GRAY, STYLE_SHEET, level_color

MAX_FRAMES = 60
"""Snapshots that are shown at most."""
LAST_FRAME_MS = 2500
MAX_PANELS, PANEL_COLUMNS = 16, 4
"""Channel uses that are drawn at most, and in a row."""
TRAIL = 5
"""Snapshots of which a symbol's trail is drawn."""


@standard_jax_settings()
def render_training(
    run: Run, out: Path | None = None, *, seed: int | None = None, fps: float = 10.0
) -> Path:
    """Renders the training of a link from its snapshots; returns the file.

    Args:
        run: run of a link, loaded at its newest checkpoint or another one.
        out: a file whose name ends with .gif or .mp4; by default
            `figures/training.gif` in the run folder.
        seed: seed of the run; by default the first.
        fps: snapshots per second.

    Raises:
        InvalidInputError: the run is of no link or has no snapshots, an argument is out
            of range, the file cannot be written, or MP4 lacks its library.
    """
    seed = run.seeds[0] if seed is None else seed
    path, encode = open_animation(run, out, "training.gif", seed, fps)
    training = _read_training(run, seed)
    frames = _frame_indices(training.step)
    images = draw_training(training, frames)
    durations = [round(1000 / fps)] * (len(frames) - 1) + [LAST_FRAME_MS]
    output_files.write_file(path, encode(Animation(images, durations)))
    return path


class TrainedConstellation(NamedTuple):
    """Codebooks of a training, and what is written beside them."""

    header: str
    unit: str
    """Unit of the steps."""
    step: Int[np.ndarray, " K"]
    codebook: Complex[np.ndarray, "K M C"]
    bler: dict[int, float]
    """Block error rate of the evaluations, by step."""


def _read_training(run: Run, seed: int) -> TrainedConstellation:
    history = _read_codebooks(run, seed)
    shown = history.step <= run.steps[seed]
    metric = PRIMARY_METRICS[-1]
    rows = [row for row in run.metrics() if row["seed"] == seed and metric in row]
    system = run.system
    assert isinstance(system, TransmitsMessages)
    return TrainedConstellation(
        f"{system.messages} messages in {system.uses} channel use"
        f"{'s' if system.uses > 1 else ''}, {system.channel.id}",
        system.step_unit,
        history.step[shown],
        complex_codebook(history.codebook[shown]),
        {int(row["step"] or 0): float(row[metric] or 0.0) for row in rows},
    )


def _read_codebooks(run: Run, seed: int) -> CodebookHistory:
    system = run.system
    codebooks = None
    if isinstance(system, TransmitsMessages) and isinstance(system, HasSnapshots):
        history = read_history(RunFolder(run.path), seed)
        if history is not None:
            codebooks = codebook_history(history, system.messages, system.uses)
    if codebooks is None or codebooks.step[0] > run.steps[seed]:
        raise InvalidInputError(
            f"{run.path} holds no snapshots of a constellation; expected the run of a "
            "link that stored them in history/"
        )
    return codebooks


def _frame_indices(steps: Int[np.ndarray, " K"]) -> list[int]:
    """Indices of the snapshots that are shown: dense early, where most changes."""
    last = len(steps) - 1
    if last < MAX_FRAMES:
        return list(range(last + 1))
    wanted = np.geomspace(1, last + 1, MAX_FRAMES).round().astype(int) - 1
    return np.unique(wanted).tolist()


@style.context(STYLE_SHEET)
def draw_training(
    training: TrainedConstellation, frames: list[int]
) -> list[Image.Image]:
    """Images of the constellation at some of the snapshots.

    Args:
        training: the codebooks of the training.
        frames: indices of the snapshots.
    """
    panels = min(training.codebook.shape[2], MAX_PANELS)
    limit = 1.1 * float(np.abs(training.codebook).max())
    columns = min(panels, PANEL_COLUMNS)
    rows = -(-panels // columns)
    canvas = FrameCanvas(rows / columns, training.header)
    _draw_grid(canvas.axes, panels, limit)
    canvas.keep_background()
    offsets = panel_offsets(panels, limit)
    return [
        canvas.draw(
            _caption(training, frame),
            lambda axes, frame=frame: _draw_symbols(
                axes, training.codebook[max(0, frame - TRAIL) : frame + 1], offsets
            ),
        )
        for frame in frames
    ]


def panel_offsets(panels: int, limit: float) -> Float[np.ndarray, "panels 2"]:
    """Center of the panel of each channel use, in one plane.

    Args:
        panels: number of channel uses.
        limit: half the side of a panel.
    """
    row, column = np.divmod(np.arange(panels), min(panels, PANEL_COLUMNS))
    return 2.0 * limit * np.stack([column, -row], axis=1)


def _draw_grid(axes: Axes, panels: int, limit: float) -> None:
    """Draws the frame and the axes of each channel use."""
    offsets = panel_offsets(panels, limit)
    axes.set_axis_off()
    axes.set_aspect("equal")
    low, high = offsets.min(axis=0) - limit, offsets.max(axis=0) + limit
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    for use, (x, y) in enumerate(offsets):
        line = {"color": GRAY, "lw": 0.4}
        axes.plot([x - limit, x + limit], [y, y], **line)
        axes.plot([x, x], [y - limit, y + limit], **line)
        if panels > 1:
            corner = x - 0.94 * limit, y + 0.94 * limit
            axes.text(*corner, f"use {use + 1}", fontsize=6, va="top", color=GRAY)


def _draw_symbols(
    axes: Axes,
    recent: Complex[np.ndarray, "K M C"],
    offsets: Float[np.ndarray, "panels 2"],
) -> list[Artist]:
    """Draws every symbol, and a line along its last positions."""
    messages, panels = recent.shape[1], len(offsets)
    colors = [level_color(m, messages) for m in range(messages)]
    points = (
        np.stack([np.real(recent), np.imag(recent)], axis=-1)[:, :, :panels] + offsets
    )
    artists: list[Artist] = []
    for message, color in enumerate(colors):
        trail = points[:, message]
        lines = axes.plot(trail[..., 0], trail[..., 1], color=color, lw=0.8, alpha=0.45)
        artists += lines
    now = points[-1]
    for use in range(panels):
        size = 30 if messages <= 64 else 6
        artists.append(axes.scatter(*now[:, use].T, c=colors, s=size, lw=0, zorder=3))
    return artists


def _caption(training: TrainedConstellation, frame: int) -> str:
    step = int(training.step[frame])
    unit = training.unit.removesuffix("s")
    text = f"{unit} {step:,} of {int(training.step[-1]):,}"
    if step in training.bler:
        text += f", block error rate {training.bler[step]:.2g}"
    return text
