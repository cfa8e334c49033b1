"""Animations of episodes of a trained team, as GIF or MP4."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float
from matplotlib import style
from PIL import Image

from syntony.errors import InvalidInputError
from syntony.evaluation.episodes import (
    Episode,
    collect_trajectories,
    select_median_episode,
)
from syntony.jax_settings import standard_jax_settings
from syntony.systems.system import ActsInEpisodes
from syntony.tasks.external.frames import FrameRecorder
from syntony.tasks.rollout import RecordsFrames
from syntony.tasks.task import Drawable, Task
from syntony.training.run import Run
from syntony.training.seed_scheduler import seed_keys
from syntony.visualization import output_files
from syntony.visualization.animation_file import open_animation
from syntony.visualization.encoding import Animation
from syntony.visualization.frame_canvas import FrameCanvas
from syntony.visualization.scene_drawing import draw_shapes, draw_static_layer
from syntony.visualization.scenes import EpisodeScene, add_symbols, episode_scene
from syntony.visualization.style import STYLE_SHEET

ASPECT_RANGE = (0.2, 2.0)
"""Height of a picture relative to its width, lowest and highest."""
LAST_FRAME_MS = 1500
"""Duration of the last frame of an episode, in milliseconds."""
MAX_EPISODES = 100


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
        out: a file whose name ends with .gif or .mp4; by default
            `figures/episodes.gif` in the run folder.
        episodes: number of episodes, one after the other.
        seed: seed of the run whose team acts; by default the first.
        max_steps: environment steps of an episode that are shown at most.
        fps: environment steps per second.

    Raises:
        InvalidInputError: the run has no team or no checkpoint, its task
            cannot be drawn, an argument is out of range, the file cannot be written, or
            MP4 lacks its library.
    """
    seed = run.seeds[0] if seed is None else seed
    _validate_arguments(run, episodes, max_steps)
    path, encode = open_animation(run, out, "episodes.gif", seed, fps)
    system = run.system
    assert isinstance(system, ActsInEpisodes)
    header = f"{system.task.id}, after {run.steps[seed]:,} steps"
    recorder = FrameRecorder(max_steps)
    if isinstance(system.task, RecordsFrames):
        system = system.with_task(system.task.recording(recorder))
    with _naming_task(system.task.id):
        collected = collect_trajectories(
            system, run.states[seed], seed_keys(seed).post_training_eval, episodes
        )
    # The median of a single episode is that episode.
    chosen = [
        select_median_episode(jax.tree.map(lambda x, e=e: x[:, [e]], collected))
        for e in range(episodes)
    ]
    if isinstance(system.task, RecordsFrames):
        frames = [x for episode in recorder.episodes()[:episodes] for x in episode]
        captions, durations = describe_frames(chosen, max_steps, fps)
        animation = Animation(draw_images(frames, header, captions), durations)
    else:
        animation = animate_episodes(system.task, chosen, header, max_steps, fps)
    output_files.write_file(path, encode(animation))
    return path


@contextmanager
def _naming_task(task_id: str) -> Generator[None, None, None]:
    """Context whose invalid inputs are told with the id of the task."""
    try:
        yield
    except InvalidInputError as error:
        if str(error).startswith(task_id):
            raise
        raise InvalidInputError(f"{task_id} cannot be drawn: {error}") from error


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
    captions, durations = describe_frames(episodes, max_steps, fps)
    states = [
        jax.tree.map(lambda x, e=e: x[: _num_frames(e, max_steps)], e.states)
        for e in episodes
    ]
    # One scene of all episodes, so that all of them have the same scale.
    all_states = jax.tree.map(lambda *parts: np.concatenate(parts), *states)
    scene = episode_scene(task, all_states, len(captions))
    scene = add_symbols(scene, _sent_by_frame(episodes, max_steps), len(captions))
    assert scene is not None
    return Animation(draw_frames(scene, header, captions), durations)


def _sent_by_frame(
    episodes: Sequence[Episode], max_steps: int
) -> Float[np.ndarray, "frames N C 2"] | None:
    """Symbols of every frame, after the last step those of that step.

    None if nothing is transmitted.
    """
    sent = []
    for episode in episodes:
        if episode.sent is None:
            return None
        shown = episode.sent[: _num_frames(episode, max_steps)]
        missing = _num_frames(episode, max_steps) - len(shown)
        sent.append(np.concatenate([shown, np.repeat(shown[-1:], missing, axis=0)]))
    return np.concatenate(sent)


def describe_frames(
    episodes: Sequence[Episode], max_steps: int, fps: float
) -> tuple[list[str], list[int]]:
    """Caption of every frame, and its duration in milliseconds.

    Args:
        episodes: the episodes, one after the other.
        max_steps: environment steps of an episode that are shown at most.
        fps: environment steps per second.
    """
    captions: list[str] = []
    durations: list[int] = []
    for index, episode in enumerate(episodes):
        num_frames = _num_frames(episode, max_steps)
        prefix = f"episode {index + 1} of {len(episodes)}, step"
        returns = episode.cumulative_rewards
        captions += [
            f"{prefix} {step} of {episode.length}, return {returns[step]:.2f}"
            for step in range(num_frames)
        ]
        durations += [round(1000 / fps)] * (num_frames - 1) + [LAST_FRAME_MS]
    return captions, durations


def _num_frames(episode: Episode, max_steps: int) -> int:
    return min(episode.length, max_steps) + 1


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
    canvas = FrameCanvas(height / width, header)
    draw_static_layer(canvas.axes, scene)
    canvas.keep_background()
    return [
        canvas.draw(caption, lambda axes, s=shapes: draw_shapes(axes, s))
        for shapes, caption in zip(scene.frames, captions, strict=True)
    ]


@style.context(STYLE_SHEET)
def draw_images(
    images: Sequence[Image.Image], header: str, captions: Sequence[str]
) -> list[Image.Image]:
    """Images with a header and a caption, all in one size.

    Args:
        images: the images, which may be of several sizes.
        header: text above every image.
        captions: text below each image.
    """
    largest = max(image.height / image.width for image in images)
    canvas = FrameCanvas(float(np.clip(largest, *ASPECT_RANGE)), header)
    canvas.axes.set_axis_off()
    canvas.keep_background()
    left, bottom, right, top = canvas.axes.bbox.extents
    frames: list[Image.Image] = []
    for image, caption in zip(images, captions, strict=True):
        scale = min((right - left) / image.width, (top - bottom) / image.height)
        size = [max(1, int(side * scale)) for side in image.size]
        # Squares of few pixels stay squares.
        method = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
        frame = canvas.draw(caption, lambda _: [])
        center = (left + right) / 2, frame.height - (bottom + top) / 2
        corner = [int(c - side / 2) for c, side in zip(center, size, strict=True)]
        frame.paste(image.resize((size[0], size[1]), method), (corner[0], corner[1]))
        frames.append(frame)
    return frames


def _validate_arguments(run: Run, episodes: int, max_steps: int) -> None:
    """Raises InvalidInputError if the run or an argument is invalid."""
    if not isinstance(run.system, ActsInEpisodes):
        raise InvalidInputError(
            f"{run.path} is a {run.settings['system']}, which has no team to render; "
            "expected a team's run"
        )
    if not isinstance(run.system.task, Drawable | RecordsFrames):
        raise InvalidInputError(
            f"{run.system.task.id} cannot be drawn; expected a task with a method "
            "`render`, such as Foraging-2s-8x8-3p-2f-coop"
        )
    if not 1 <= episodes <= MAX_EPISODES:
        raise InvalidInputError(f"episodes is {episodes}; expected 1 to {MAX_EPISODES}")
    if max_steps < 1:
        raise InvalidInputError(f"max_steps is {max_steps}; expected at least 1")
