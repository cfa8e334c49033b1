"""Scenes of episodes: the scenes of all states, put together."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, PyTree

from syntony.errors import InvalidInputError, raising_invalid_input
from syntony.tasks.scene import Bounds, Line, Number, Scene, Shape, Square, Strip
from syntony.tasks.task import Drawable, Task

MIN_PLANES = 4
"""Planes of symbols that fit below a scene at least: fewer are not drawn larger."""


class EpisodeScene(NamedTuple):
    """Scene of an episode, seen from above; the y axis points down, as on a page."""

    bounds: Bounds
    """Area that contains all frames."""
    static: tuple[Shape, ...]
    """Shapes of every frame."""
    frames: list[tuple[Shape, ...]]
    """Shapes of each step."""
    note: str = ""
    """What numbers and marks mean, as a sentence."""


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
    bounds = (left, top, width, height + strip_height)
    return EpisodeScene(bounds, static, frames, first.note)


def add_symbols(
    scene: EpisodeScene | None, sent: Float[np.ndarray, "T N C 2"] | None, frames: int
) -> EpisodeScene | None:
    """Scene with the symbols that agents send, in a plane of each agent below it.

    A frame shows what is sent in it, in the color of the agent: one square per channel
    use, numbered if there are several. Nothing is sent after the last step.

    Args:
        scene: the scene; None draws the planes alone.
        sent: symbols of each step; None leaves the scene as it is.
        frames: number of frames.
    """
    if sent is None:
        return scene
    if scene is None:
        scene = EpisodeScene((0.0, 0.0, 1.0, 0.0), (), [()] * frames)
    left, top, width, height = scene.bounds
    agents = sent.shape[1]
    side = width / max(agents, MIN_PLANES)
    # Largest real or imaginary part; 1 at least, as the mean energy of a symbol is 1.
    limit = max(1.0, float(np.abs(sent).max())) * 1.15
    first = left + (width - side * agents) / 2
    centers = [
        (first + side * (agent + 0.5), top + height + side / 2)
        for agent in range(agents)
    ]
    static = [line for center in centers for line in _plane_lines(*center, side)]
    shown = [
        _symbol_shapes(sent[t], centers, side / (2 * limit)) if t < len(sent) else ()
        for t in range(frames)
    ]
    return EpisodeScene(
        (left, top, width, height + side),
        (*scene.static, *static),
        [(*shapes, *added) for shapes, added in zip(scene.frames, shown, strict=True)],
        scene.note,
    )


def _plane_lines(x: float, y: float, side: float) -> list[Line]:
    """Both axes of a plane, and its border."""
    half = 0.46 * side
    horizontal = [Line(x - half, y + d, x + half, y + d) for d in (-half, 0.0, half)]
    vertical = [Line(x + d, y - half, x + d, y + half) for d in (-half, 0.0, half)]
    return [*horizontal, *vertical]


def _symbol_shapes(
    sent: Float[np.ndarray, "N C 2"],
    centers: Sequence[tuple[float, float]],
    scale: float,
) -> tuple[Shape, ...]:
    """Squares at the symbols of one step; imaginary parts point up."""
    uses = sent.shape[1]
    size = scale * (0.22 if uses == 1 else 0.3)
    return tuple(
        Square(
            x + 0.92 * scale * float(sent[agent, use, 0]),
            y - 0.92 * scale * float(sent[agent, use, 1]),
            size,
            agent,
            "" if uses == 1 else use + 1,
            corner_radius=size / 2,
        )
        for agent, (x, y) in enumerate(centers)
        for use in range(uses)
    )


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
