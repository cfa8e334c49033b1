"""A trained team at play: an animated picture that any page or chat shows."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from syntony.errors import BadInput
from syntony.run.lanes import keys
from syntony.run.load import Run
from syntony.study import files
from syntony.study.boards import Scene, draw_floor, draw_shapes
from syntony.study.episodes import Episode, lived, typical
from syntony.study.figures import STYLE
from syntony.study.scenes import is_drawn, scene
from syntony.systems.team import Team

WIDTH, DPI = 3.2, 150
"""Inches, and pixels an inch: a phone's width, sharp on a fine screen."""
COLOURS = 64
"""Of all frames together."""
NEARLY_WHITE = 248
HOLD_MS = 1500
"""How long the end of an episode is shown."""
MOST_EPISODES = 100
FPS = (0.1, 50.0)
"""Slowest and fastest; players of GIFs show no more than 50 frames a second."""


class Film(NamedTuple):
    """Pictures, and how many milliseconds each is shown."""

    frames: list[Image.Image]
    durations: list[int]


def render(
    run: Run,
    out: Path | None = None,
    *,
    episodes: int = 3,
    seed: int | None = None,
    most_steps: int = 100,
    fps: float = 5.0,
) -> Path:
    """Films episodes of a trained team, with sampled actions; returns the file.

    They are the first that are lived, not chosen ones.

    Args:
        run: a team's.
        out: a GIF; by default `figures/episodes.gif` in the run's folder.
        episodes: how many.
        seed: whose team; by default the first.
        most_steps: steps of an episode that are shown.
        fps: steps a second.

    Raises:
        BadInput: the run is of no team, has no checkpoint yet, or is of a task that
            nobody knows how to draw; or there can be no such film or file.
    """
    seed = run.plan.seed if seed is None else seed
    _refuse(run, seed, episodes, most_steps, fps)
    path = run.path / "figures" / "episodes.gif" if out is None else out
    if path.suffix.lower() != ".gif":
        raise BadInput(f"{path} is no GIF; expected a name such as {path.stem}.gif")
    if out is None:
        files.make(path.parent)
    files.refuse_unfit(path, "film", "team.gif")
    system: Any = run.system
    every = lived(system, run.states[seed], keys(seed).assess, episodes)
    # The typical one of one episode is that one.
    alone = [jax.tree.map(lambda x, e=e: x[:, [e]], every) for e in range(episodes)]
    head = f"{system.task.id}, after {run.steps[seed]:,} steps"
    shown = film(system.task, list(map(typical, alone)), head, most_steps, fps)
    files.write(path, gif(shown))
    return path


def film(
    task: Any, episodes: Sequence[Episode], head: str, most_steps: int, fps: float
) -> Film:
    """Returns episodes one after the other."""
    lines: list[str] = []
    durations: list[int] = []
    states = []
    for number, episode in enumerate(episodes):
        moments = min(episode.steps, most_steps) + 1
        which = f"episode {number + 1} of {len(episodes)}, step"
        lines += [
            f"{which} {step} of {episode.steps}, return {episode.returns[step]:.2f}"
            for step in range(moments)
        ]
        durations += [round(1000 / fps)] * (moments - 1) + [HOLD_MS]
        states.append(jax.tree.map(lambda x, end=moments: x[:end], episode.states))
    # One scene of all: what is near and far is the same in every episode.
    every = jax.tree.map(lambda *parts: np.concatenate(parts), *states)
    above = scene(task, every, len(lines))
    assert above is not None
    return Film(pictures(above, head, lines), durations)


@style.context(STYLE)
def pictures(scene: Scene, head: str, lines: Sequence[str]) -> list[Image.Image]:
    """Returns each moment of a scene.

    Args:
        scene: an episode.
        head: what stands above all moments.
        lines: what stands below each.
    """
    *_, wide, high = scene["box"]
    size = WIDTH, WIDTH * high / wide + 0.5
    figure = Figure(figsize=size, dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    inside = 0.25 / size[1]
    axes = figure.add_axes((0.02, inside, 0.96, 1 - 2 * inside))
    middle: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7}
    figure.text(0.5, 1 - inside / 2, head, **middle)
    draw_floor(axes, scene)
    canvas.draw()
    # What stays is drawn once.
    empty = canvas.copy_from_bbox(figure.bbox)
    drawn = []
    for shapes, line in zip(scene["moments"], lines, strict=True):
        canvas.restore_region(empty)
        text = figure.text(0.5, inside / 2, line, **middle)
        _draw_and_remove(axes, [*draw_shapes(axes, shapes), text])
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
        drawn.append(Image.fromarray(pixels.copy()))
    return drawn


def _draw_and_remove(axes: Axes, artists: Sequence[Any]) -> None:
    for artist in artists:
        axes.draw_artist(artist)
        artist.remove()


def gif(film: Film) -> bytes:
    """Returns a GIF that repeats for ever; all frames share their colours."""
    palette = _palette(film.frames)
    frames = [
        frame.quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in film.frames
    ]
    content = io.BytesIO()
    frames[0].save(
        content,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=film.durations,
        loop=0,
        # Of what does not change nothing is written.
        optimize=True,
    )
    return content.getvalue()


def _palette(frames: Sequence[Image.Image]) -> Image.Image:
    """Returns the commonest colours of a few frames; white stays white."""
    few = frames[:: max(1, len(frames) // 8)]
    pixels = np.concatenate([np.asarray(f, int).reshape(-1, 3) for f in few])
    # Sorted as one number each: ten times faster than as three.
    numbers, counts = np.unique(pixels @ (1 << 16, 1 << 8, 1), return_counts=True)
    common = numbers[np.argsort(-counts, kind="stable")]
    colours = common[:, None] >> np.array([16, 8, 0]) & 255
    # White would be taken for what is nearly white.
    darkest = colours.min(axis=1)
    kept = colours[(darkest == 255) | (darkest < NEARLY_WHITE)][:COLOURS]
    palette = Image.new("P", (1, 1))
    palette.putpalette(kept.ravel().tolist())
    return palette


def _refuse(run: Run, seed: int, episodes: int, most_steps: int, fps: float) -> None:
    """Raises BadInput if there can be no film."""
    if not isinstance(run.system, Team):
        raise BadInput(
            f"{run.path} is a {run.settings['system']}, which has no team to render; "
            "expected a team's run"
        )
    if not is_drawn(run.system.task):
        raise BadInput(
            f"nobody knows how to draw {run.system.task.id}; expected a run on "
            "Foraging, rware, SimpleSpread or SpeakerListener"
        )
    if seed not in run.plan.every_seed:
        seeds = run.plan.every_seed
        raise BadInput(
            f"{run.path} has no seed {seed}; expected {seeds[0]} to {seeds[-1]}"
        )
    if not 1 <= episodes <= MOST_EPISODES:
        raise BadInput(f"episodes is {episodes}; expected 1 to {MOST_EPISODES}")
    if most_steps < 1:
        raise BadInput(f"most_steps is {most_steps}; expected at least 1")
    if not FPS[0] <= fps <= FPS[1]:
        raise BadInput(f"fps is {fps:g}; expected {FPS[0]:g} to {FPS[1]:g}")
