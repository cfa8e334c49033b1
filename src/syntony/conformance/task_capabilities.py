"""Rules of what a task may have beside `Task`: drawings, names, known returns."""

import math
from collections.abc import Iterator

import jax
import numpy as np

from syntony.conformance.suite import Rule, RuleViolation, require
from syntony.conformance.task_subject import HasTask, TaskSubject
from syntony.tasks.scene import (
    Benchmark,
    Bounds,
    Feature,
    Line,
    ObservedEntity,
    ObsWindow,
    Role,
    Scene,
    Shape,
)
from syntony.tasks.task import (
    Drawable,
    DrawsObservations,
    HasActionCounts,
    HasBenchmark,
    HasScoreRange,
    NamesFeatures,
)

TOLERANCE = 1e-4
"""Part of a scene's size, or of a return, by which float32 may round."""


def _render(subject: TaskSubject) -> None:
    task = subject.task
    assert isinstance(task, Drawable)
    states, num_steps = subject.play.state, len(subject.play.alive)
    for t in sorted({0, min(1, num_steps - 1), num_steps // 2}):
        episodes = np.flatnonzero(subject.play.alive[t])
        if len(episodes):
            state = jax.tree.map(lambda x, i=(t, episodes[0]): x[i], states)
            subject.num_calls += 1
            _require_scene(task.render(state), task.num_agents)


def _require_scene(scene: object, num_agents: int) -> None:
    if not isinstance(scene, Scene):
        raise RuleViolation(
            f"render returns a {type(scene).__name__}; expected a Scene"
        )
    _require_bounds(scene.bounds, "the scene")
    for shape in (*scene.static, *scene.shapes):
        _require_shape(shape, num_agents)
    for shape in scene.shapes:
        _require_inside(shape, scene.bounds)
    for shape in scene.strip.shapes if scene.strip else ():
        _require_shape(shape, num_agents)


def _require_bounds(bounds: Bounds, what: str) -> None:
    left, top, width, height = map(float, bounds)
    require(
        all(map(math.isfinite, (left, top))) and 0 < min(width, height) < math.inf,
        f"the bounds of {what} are {tuple(bounds)}; expected x, y, and a width and "
        "height above 0",
    )


def _require_shape(shape: Shape, num_agents: int) -> None:
    coordinates = shape[:4] if isinstance(shape, Line) else shape[:3]
    numbers = [float(value) for value in coordinates]
    # An infinite coordinate of a line is an edge of the scene.
    is_valid = not any(map(math.isnan, numbers))
    if not isinstance(shape, Line):
        is_valid = all(map(math.isfinite, numbers))
    require(is_valid, f"{shape} has a coordinate that is no number")
    is_role = isinstance(shape.role, Role)
    require(
        is_role or int(shape.role) in range(num_agents),
        f"{shape} has the role {shape.role!r}; expected a Role, or an agent's index "
        f"0 to {num_agents - 1}",
    )


def _require_inside(shape: Shape, bounds: Bounds) -> None:
    left, top, width, height = map(float, bounds)
    x, y = float(shape.x), float(shape.y)
    slack = TOLERANCE * (width + height)
    is_inside = (
        left - slack <= x <= left + width + slack
        and top - slack <= y <= top + height + slack
    )
    require(
        is_inside or isinstance(shape, Line),
        f"{shape} is outside of the scene's bounds {tuple(bounds)}",
    )


def _feature_names(subject: TaskSubject) -> None:
    task = subject.task
    assert isinstance(task, NamesFeatures)
    for agent in range(task.num_agents):
        subject.num_calls += 1
        names = task.feature_names(agent)
        require(
            len(names) == task.obs_dim,
            f"agent {agent} has {len(names)} feature names; expected obs_dim = "
            f"{task.obs_dim}",
        )
        others = [name for name in names if not isinstance(name, Feature)]
        require(not others, f"{others[:1]} is no Feature(entity, attribute)")
        labels = [name.label for name in names]
        twice = [label for label in labels if labels.count(label) > 1]
        require(not twice, f"agent {agent} has two features {twice[:1]}")


def _obs_windows(subject: TaskSubject) -> None:
    task = subject.task
    assert isinstance(task, DrawsObservations)
    for agent in range(task.num_agents):
        subject.num_calls += 1
        window = task.obs_window(agent)
        require(
            isinstance(window, ObsWindow),
            f"obs_window returns a {type(window).__name__}; expected an ObsWindow",
        )
        _require_bounds(window.bounds, f"the observation of agent {agent}")
        for entity in window.entities:
            for index in _indices(entity):
                require(
                    index in range(task.obs_dim),
                    f"{entity.name} of agent {agent} is drawn at feature {index}; "
                    f"expected 0 to {task.obs_dim - 1}",
                )


def _indices(entity: ObservedEntity) -> Iterator[int]:
    """Indices of the features that an entity is drawn by."""
    visible = entity.visible_above[0] if entity.visible_above else None
    features = entity.x.feature, entity.y.feature
    for index in (*features, visible, entity.opacity_index, entity.text_index):
        if index is not None:
            yield index


def _action_counts(subject: TaskSubject) -> None:
    task = subject.task
    assert isinstance(task, HasActionCounts)
    counts = tuple(task.action_counts)
    if not counts:
        return
    is_valid = all(count in range(1, task.num_actions + 1) for count in counts)
    require(
        len(counts) == task.num_agents and is_valid,
        f"action_counts is {counts}; expected {task.num_agents} numbers from 1 to "
        f"{task.num_actions}",
    )
    beyond = np.arange(task.num_actions) >= np.array(counts)[:, None]
    require(
        not (subject.play.action_mask & beyond).any(),
        f"an action beyond action_counts = {counts} is available",
    )


def _score_range(subject: TaskSubject) -> None:
    assert isinstance(subject.task, HasScoreRange)
    score_range = subject.task.score_range
    if score_range is None:
        return
    low, high = map(float, score_range)
    require(
        -math.inf < low < high < math.inf,
        f"score_range is {score_range}; expected the lowest and the highest return",
    )
    play = subject.play
    rewards = np.sum(play.reward, axis=-1) * play.alive
    ended = np.any((play.terminated | play.truncated) & play.alive, axis=0)
    returns = np.sum(rewards, axis=0)[ended]
    slack = TOLERANCE * (high - low)
    outside = returns[(returns < low - slack) | (returns > high + slack)]
    require(
        not len(outside),
        f"an episode had the return {outside[:1].sum():g}, outside of score_range = "
        f"{score_range}; expected the range of returns, summed over agents",
    )


def _benchmark(subject: HasTask) -> None:
    assert isinstance(subject.task, HasBenchmark)
    benchmark = subject.task.benchmark
    require(
        isinstance(benchmark, Benchmark),
        f"benchmark is {benchmark!r}; expected a Benchmark(name)",
    )


BENCHMARK_RULE: Rule[HasTask] = Rule(
    "benchmark",
    _benchmark,
    applies=lambda subject: isinstance(subject.task, HasBenchmark),
)
"""Rule of tasks in JAX and of external environments."""

CAPABILITY_RULES: tuple[Rule[TaskSubject], ...] = (
    Rule(
        "states are drawn",
        _render,
        applies=lambda subject: isinstance(subject.task, Drawable),
    ),
    Rule(
        "feature names",
        _feature_names,
        applies=lambda subject: isinstance(subject.task, NamesFeatures),
    ),
    Rule(
        "observations are drawn",
        _obs_windows,
        applies=lambda subject: isinstance(subject.task, DrawsObservations),
    ),
    Rule(
        "numbers of actions",
        _action_counts,
        applies=lambda subject: isinstance(subject.task, HasActionCounts),
    ),
    Rule(
        "returns are in the score range",
        _score_range,
        applies=lambda subject: isinstance(subject.task, HasScoreRange),
    ),
    BENCHMARK_RULE,
)
"""Rules of the capabilities that a task in JAX has."""
