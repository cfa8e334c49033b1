"""Animated GIFs of episodes of a trained team."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from matplotlib import style
from matplotlib.artist import Artist
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
from syntony.jax_settings import standard_jax_settings
from syntony.systems.system import ActsInEpisodes
from syntony.tasks.task import Drawable, Task
from syntony.training.run import Run, unknown_seed_error
from syntony.training.seed_scheduler import seed_keys
from syntony.visualization import output_files
from syntony.visualization.scene_drawing import draw_shapes, draw_static_layer
from syntony.visualization.scenes import EpisodeScene, episode_scene
from syntony.visualization.style import STYLE_SHEET, TextStyle

WIDTH_INCHES, DPI = 3.2, 150
"""Width in inches and pixels per inch: 480 pixels, the width of a phone."""
PALETTE_SIZE = 64
"""Colors of a GIF, shared by all of its frames."""
NEAR_WHITE_LEVEL = 248
"""The palette has no color with all channels from this level on, except white."""
LAST_FRAME_MS = 1500
"""Duration of the last frame of an episode, in milliseconds."""
MAX_EPISODES = 100
FPS_RANGE = (0.1, 50.0)
"""Frames per second, lowest and highest; GIF players show at most 50."""


class Animation(NamedTuple):
    """Frames, and the duration of each in milliseconds."""

    frames: list[Image.Image]
    durations_ms: list[int]


@standard_jax_settings()
def render_episodes(
    run: Run,
    out: Path | None = None,
    *,
    episodes: int = 3,
    seed: int | None = None,
    max_steps: int = 100,
    fps: float = 5.0,
) -> Path:
    """Renders episodes of a trained team, with sampled actions; returns the file.

    The episodes are the first ones that are collected; none are selected.

    Args:
        run: run of a team.
        out: the GIF; by default `figures/episodes.gif` in the run folder.
        episodes: number of episodes, one after the other.
        seed: seed of the run whose team acts; by default the first.
        max_steps: environment steps of an episode that are shown at most.
        fps: environment steps per second.

    Raises:
        InvalidInputError: the run has no team or no checkpoint, its task
            cannot be drawn, an argument is out of range, or the file cannot be written.
    """
    seed = run.seeds[0] if seed is None else seed
    _validate_arguments(run, seed, episodes, max_steps, fps)
    path = run.path / "figures" / "episodes.gif" if out is None else out
    if path.suffix.lower() != ".gif":
        raise InvalidInputError(
            f"{path} is no GIF; expected a name such as {path.stem}.gif"
        )
    if out is None:
        output_files.create_folder(path.parent)
    output_files.validate_output_path(path, "animation", "team.gif")
    system = run.system
    assert isinstance(system, ActsInEpisodes)
    collected = collect_trajectories(
        system, run.states[seed], seed_keys(seed).post_training_eval, episodes
    )
    # The median of a single episode is that episode.
    chosen = [
        select_median_episode(jax.tree.map(lambda x, e=e: x[:, [e]], collected))
        for e in range(episodes)
    ]
    header = f"{system.task.id}, after {run.steps[seed]:,} steps"
    animation = animate_episodes(system.task, chosen, header, max_steps, fps)
    output_files.write_file(path, encode_gif(animation))
    return path


def animate_episodes(
    task: Task, episodes: Sequence[Episode], header: str, max_steps: int, fps: float
) -> Animation:
    """Animation of episodes, one after the other.

    Args:
        task: the task of the episodes; one that is `Drawable`.
        episodes: the episodes.
        header: text above every frame.
        max_steps: environment steps of an episode that are shown at most.
        fps: environment steps per second.
    """
    captions: list[str] = []
    durations: list[int] = []
    states = []
    for index, episode in enumerate(episodes):
        num_frames = min(episode.length, max_steps) + 1
        prefix = f"episode {index + 1} of {len(episodes)}, step"
        returns = episode.cumulative_rewards
        captions += [
            f"{prefix} {step} of {episode.length}, return {returns[step]:.2f}"
            for step in range(num_frames)
        ]
        durations += [round(1000 / fps)] * (num_frames - 1) + [LAST_FRAME_MS]
        states.append(jax.tree.map(lambda x, end=num_frames: x[:end], episode.states))
    # One scene of all episodes, so that all of them have the same scale.
    all_states = jax.tree.map(lambda *parts: np.concatenate(parts), *states)
    scene = episode_scene(task, all_states, len(captions))
    assert scene is not None
    return Animation(draw_frames(scene, header, captions), durations)


@style.context(STYLE_SHEET)
def draw_frames(
    scene: EpisodeScene, header: str, captions: Sequence[str]
) -> list[Image.Image]:
    """Images of all frames of a scene.

    Args:
        scene: the scene.
        header: text above every frame.
        captions: text below each frame.
    """
    *_, width, height = scene.bounds
    size = WIDTH_INCHES, WIDTH_INCHES * height / width + 0.5
    figure = Figure(figsize=size, dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    margin = 0.25 / size[1]
    axes = figure.add_axes((0.02, margin, 0.96, 1 - 2 * margin))
    centered: TextStyle = {"ha": "center", "va": "center", "fontsize": 7}
    figure.text(0.5, 1 - margin / 2, header, **centered)
    draw_static_layer(axes, scene)
    canvas.draw()
    # The static layer is drawn only once.
    background = canvas.copy_from_bbox(figure.bbox)
    images = []
    for shapes, caption in zip(scene.frames, captions, strict=True):
        canvas.restore_region(background)
        text = figure.text(0.5, margin / 2, caption, **centered)
        _draw_and_remove(axes, [*draw_shapes(axes, shapes), text])
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
        images.append(Image.fromarray(pixels.copy()))
    return images


def _draw_and_remove(axes: Axes, artists: Sequence[Artist]) -> None:
    for artist in artists:
        axes.draw_artist(artist)
        artist.remove()


def encode_gif(animation: Animation) -> bytes:
    """Encodes a GIF that loops forever; all frames share one palette."""
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
        # Pixels that do not change are not written again.
        optimize=True,
    )
    return content.getvalue()


def _shared_palette(frames: Sequence[Image.Image]) -> Image.Image:
    """Palette of the most frequent colors of at most 16 frames; white stays white."""
    sampled = frames[:: max(1, len(frames) // 8)]
    pixels = np.concatenate([np.asarray(f, int).reshape(-1, 3) for f in sampled])
    # One integer per color: np.unique is ten times faster than on rows of three.
    codes, counts = np.unique(pixels @ (1 << 16, 1 << 8, 1), return_counts=True)
    frequent = codes[np.argsort(-counts, kind="stable")]
    colors = frequent[:, None] >> np.array([16, 8, 0]) & 255
    # Without nearly white colors, which white pixels would be mapped to.
    darkest = colors.min(axis=1)
    kept = colors[(darkest == 255) | (darkest < NEAR_WHITE_LEVEL)][:PALETTE_SIZE]
    palette = Image.new("P", (1, 1))
    palette.putpalette(kept.ravel().tolist())
    return palette


def _validate_arguments(
    run: Run, seed: int, episodes: int, max_steps: int, fps: float
) -> None:
    """Raises InvalidInputError if the run or an argument is invalid."""
    if not isinstance(run.system, ActsInEpisodes):
        raise InvalidInputError(
            f"{run.path} is a {run.settings['system']}, which has no team to render; "
            "expected a team's run"
        )
    if not isinstance(run.system.task, Drawable):
        raise InvalidInputError(
            f"{run.system.task.id} cannot be drawn; expected a task with a method "
            "`render`, such as Foraging-2s-8x8-3p-2f-coop"
        )
    if seed not in run.seeds:
        raise unknown_seed_error(run.path, seed, run.seeds)
    if not 1 <= episodes <= MAX_EPISODES:
        raise InvalidInputError(f"episodes is {episodes}; expected 1 to {MAX_EPISODES}")
    if max_steps < 1:
        raise InvalidInputError(f"max_steps is {max_steps}; expected at least 1")
    if not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
        raise InvalidInputError(
            f"fps is {fps:g}; expected {FPS_RANGE[0]:g} to {FPS_RANGE[1]:g}"
        )
