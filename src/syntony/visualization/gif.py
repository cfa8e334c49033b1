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

from syntony.errors import InvalidInputError
from syntony.evaluation.episodes import (
    Episode,
    collect_trajectories,
    select_median_episode,
)
from syntony.systems.marl.base import MultiAgentSystem
from syntony.training.run import Run
from syntony.training.seed_scheduler import seed_keys
from syntony.visualization import output_files
from syntony.visualization.figures import STYLE_SHEET
from syntony.visualization.scene_builders import episode_scene, is_renderable
from syntony.visualization.scene_drawing import Scene, draw_shapes, draw_static_layer

WIDTH_INCHES, DPI = 3.2, 150
"""Inches, and pixels an inch: a phone's width, sharp on a fine screen."""
PALETTE_SIZE = 64
"""Of all frames together."""
NEAR_WHITE_LEVEL = 248
LAST_FRAME_MS = 1500
"""How long the end of an episode is shown."""
MAX_EPISODES = 100
FPS_RANGE = (0.1, 50.0)
"""Slowest and fastest; players of GIFs show no more than 50 frames a second."""


class Animation(NamedTuple):
    """Pictures, and how many milliseconds each is shown."""

    frames: list[Image.Image]
    durations_ms: list[int]


def render_episodes(
    run: Run,
    out: Path | None = None,
    *,
    episodes: int = 3,
    seed: int | None = None,
    max_steps: int = 100,
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
    seed = run.config.seed if seed is None else seed
    _validate_arguments(run, seed, episodes, max_steps, fps)
    path = run.path / "figures" / "episodes.gif" if out is None else out
    if path.suffix.lower() != ".gif":
        raise InvalidInputError(
            f"{path} is no GIF; expected a name such as {path.stem}.gif"
        )
    if out is None:
        output_files.create_folder(path.parent)
    output_files.validate_output_path(path, "film", "team.gif")
    system: Any = run.system
    every = collect_trajectories(
        system, run.states[seed], seed_keys(seed).post_training_eval, episodes
    )
    # The typical one of one episode is that one.
    alone = [jax.tree.map(lambda x, e=e: x[:, [e]], every) for e in range(episodes)]
    head = f"{system.task.id}, after {run.steps[seed]:,} steps"
    shown = animate_episodes(
        system.task, list(map(select_median_episode, alone)), head, max_steps, fps
    )
    output_files.write_file(path, encode_gif(shown))
    return path


def animate_episodes(
    task: Any, episodes: Sequence[Episode], header: str, max_steps: int, fps: float
) -> Animation:
    """Returns episodes one after the other."""
    lines: list[str] = []
    durations: list[int] = []
    states = []
    for number, episode in enumerate(episodes):
        moments = min(episode.length, max_steps) + 1
        which = f"episode {number + 1} of {len(episodes)}, step"
        lines += [
            f"{which} {step} of {episode.length}, return {episode.cumulative_rewards[step]:.2f}"
            for step in range(moments)
        ]
        durations += [round(1000 / fps)] * (moments - 1) + [LAST_FRAME_MS]
        states.append(jax.tree.map(lambda x, end=moments: x[:end], episode.states))
    # One scene of all: what is near and far is the same in every episode.
    every = jax.tree.map(lambda *parts: np.concatenate(parts), *states)
    above = episode_scene(task, every, len(lines))
    assert above is not None
    return Animation(draw_frames(above, header, lines), durations)


@style.context(STYLE_SHEET)
def draw_frames(
    scene: Scene, header: str, captions: Sequence[str]
) -> list[Image.Image]:
    """Returns each moment of a scene.

    Args:
        scene: an episode.
        head: what stands above all moments.
        lines: what stands below each.
    """
    *_, wide, high = scene["box"]
    size = WIDTH_INCHES, WIDTH_INCHES * high / wide + 0.5
    figure = Figure(figsize=size, dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    inside = 0.25 / size[1]
    axes = figure.add_axes((0.02, inside, 0.96, 1 - 2 * inside))
    middle: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7}
    figure.text(0.5, 1 - inside / 2, header, **middle)
    draw_static_layer(axes, scene)
    canvas.draw()
    # What stays is drawn once.
    empty = canvas.copy_from_bbox(figure.bbox)
    drawn = []
    for shapes, line in zip(scene["moments"], captions, strict=True):
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


def encode_gif(animation: Animation) -> bytes:
    """Returns a GIF that repeats for ever; all frames share their colours."""
    palette = _shared_palette(animation.frames)
    frames = [
        frame.quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in animation.frames
    ]
    content = io.BytesIO()
    frames[0].save(
        content,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=animation.durations_ms,
        loop=0,
        # Of what does not change nothing is written.
        optimize=True,
    )
    return content.getvalue()


def _shared_palette(frames: Sequence[Image.Image]) -> Image.Image:
    """Returns the commonest colours of a few frames; white stays white."""
    few = frames[:: max(1, len(frames) // 8)]
    pixels = np.concatenate([np.asarray(f, int).reshape(-1, 3) for f in few])
    # Sorted as one number each: ten times faster than as three.
    numbers, counts = np.unique(pixels @ (1 << 16, 1 << 8, 1), return_counts=True)
    common = numbers[np.argsort(-counts, kind="stable")]
    colours = common[:, None] >> np.array([16, 8, 0]) & 255
    # White would be taken for what is nearly white.
    darkest = colours.min(axis=1)
    kept = colours[(darkest == 255) | (darkest < NEAR_WHITE_LEVEL)][:PALETTE_SIZE]
    palette = Image.new("P", (1, 1))
    palette.putpalette(kept.ravel().tolist())
    return palette


def _validate_arguments(
    run: Run, seed: int, episodes: int, max_steps: int, fps: float
) -> None:
    """Raises BadInput if there can be no film."""
    if not isinstance(run.system, MultiAgentSystem):
        raise InvalidInputError(
            f"{run.path} is a {run.settings['system']}, which has no team to render; "
            "expected a team's run"
        )
    if not is_renderable(run.system.task):
        raise InvalidInputError(
            f"nobody knows how to draw {run.system.task.id}; expected a run on "
            "Foraging, rware, SimpleSpread or SpeakerListener"
        )
    if seed not in run.config.all_seeds:
        seeds = run.config.all_seeds
        raise InvalidInputError(
            f"{run.path} has no seed {seed}; expected {seeds[0]} to {seeds[-1]}"
        )
    if not 1 <= episodes <= MAX_EPISODES:
        raise InvalidInputError(f"episodes is {episodes}; expected 1 to {MAX_EPISODES}")
    if max_steps < 1:
        raise InvalidInputError(f"most_steps is {max_steps}; expected at least 1")
    if not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
        raise InvalidInputError(
            f"fps is {fps:g}; expected {FPS_RANGE[0]:g} to {FPS_RANGE[1]:g}"
        )
