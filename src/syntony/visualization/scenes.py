"""Scenes of episodes: the scenes of all states, put together."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from syntony.errors import InvalidInputError, raising_invalid_input
from syntony.tasks.scene import Bounds, Line, Number, Scene, Shape, Strip
from syntony.tasks.task import Drawable, Task


class EpisodeScene(NamedTuple):
    """Scene of an episode, seen from above; the y axis points down, as on a page."""

    bounds: Bounds
    """Area that contains all frames."""
    static: tuple[Shape, ...]
    """Shapes of every frame."""
    frames: list[tuple[Shape, ...]]
    """Shapes of each step."""


def episode_scene(
    task: Task, states: PyTree[np.ndarray], num_steps: int
) -> EpisodeScene | None:
    """Scene of an episode; None if the task is not `Drawable`.

    Args:
        task: the task of the episode.
        states: environment states, time along the first axis.
        num_steps: number of states to draw, from the first one on.

    Raises:
        InvalidInputError: the task failed to draw a state.
    """
    if not isinstance(task, Drawable):
        return None
    scenes = [
        _render(task.id, task, jax.tree.map(lambda x, t=t: np.asarray(x[t]), states))
        for t in range(num_steps)
    ]
    first = scenes[0]
    area = _expand(_union([scene.bounds for scene in scenes]), first.margin)
    left, top, width, height = area
    frames = [
        (*scene.shapes, *_place_strip(scene.strip, top + height)) for scene in scenes
    ]
    strip_height = max(scene.strip.height if scene.strip else 0 for scene in scenes)
    # Lines to an edge end at the border of the scenes, within their margin.
    border = _expand(area, -first.margin)
    static = tuple(_clip_line(shape, border) for shape in first.static)
    return EpisodeScene((left, top, width, height + strip_height), static, frames)


def _render(task_id: str, task: Drawable, state: PyTree[np.ndarray]) -> Scene:
    """Scene of a state.

    Raises:
        InvalidInputError: the task raised an exception, or returned something else.
    """
    with raising_invalid_input(f"{task_id}: render raised"):
        scene = task.render(state)
        if not isinstance(scene, Scene):
            raise InvalidInputError(
                f"{task_id}: render returned {type(scene).__name__}; expected a Scene"
            )
        return scene


def _union(areas: Sequence[Bounds]) -> Bounds:
    """Smallest area that contains all areas."""
    left, top, width, height = np.array(areas, float).T
    x, y = left.min(), top.min()
    return (
        float(x),
        float(y),
        float((left + width).max() - x),
        float((top + height).max() - y),
    )


def _expand(area: Bounds, margin: Number) -> Bounds:
    """Area with a margin on every side."""
    left, top, width, height = area
    return left - margin, top - margin, width + 2 * margin, height + 2 * margin


def _place_strip(strip: Strip | None, top: Number) -> list[Shape]:
    """Shapes of a strip that begins at y = `top`."""
    return [_move_down(shape, top) for shape in strip.shapes] if strip else []


def _move_down(shape: Shape, distance: Number) -> Shape:
    moved = shape._replace(y=shape.y + distance)
    return moved._replace(y2=moved.y2 + distance) if isinstance(moved, Line) else moved


def _clip_line(shape: Shape, area: Bounds) -> Shape:
    """Ends infinite lines at the edges of an area."""
    if not isinstance(shape, Line):
        return shape
    left, top, width, height = area
    x, x2 = (_clip(value, left, left + width) for value in (shape.x, shape.x2))
    y, y2 = (_clip(value, top, top + height) for value in (shape.y, shape.y2))
    return shape._replace(x=x, y=y, x2=x2, y2=y2)


def _clip(value: Number, low: Number, high: Number) -> Number:
    return value if np.isfinite(value) else min(max(value, low), high)
