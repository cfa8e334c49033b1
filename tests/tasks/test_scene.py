"""Scenes and capabilities of tasks: which has which, and what they have in common."""

from typing import Any

import numpy as np
import pytest
from jaxtyping import Array, Key

import syntony
from syntony.tasks import scene
from syntony.tasks.external.external_env import ExternalEnv
from syntony.tasks.external.originals import original_benchmark
from syntony.tasks.task import (
    Drawable,
    DrawsObservations,
    HasBenchmark,
    HasScoreRange,
    NamesFeatures,
)

DRAWN = [
    "Foraging-2s-8x8-3p-2f-coop",
    "Foraging-8x8-2p-1f",
    "rware-tiny-2ag-hard",
    "SimpleSpread-3",
    "SpeakerListener",
]


@pytest.mark.parametrize("id", DRAWN)
def test_every_feature_has_a_name_and_every_entity_a_position(
    id: str, key: Key[Array, ""]
):
    task: Any = syntony.task(id)
    capabilities = (Drawable, NamesFeatures, DrawsObservations, HasBenchmark)
    assert all(isinstance(task, capability) for capability in capabilities)
    state, obs = task.reset(key)
    for agent, own_obs in enumerate(np.asarray(obs)):
        names = {feature.label for feature in task.feature_names(agent)}
        assert len(names) == len(task.feature_names(agent)) == task.obs_dim
        window = task.obs_window(agent)
        left, top, width, height = window.bounds
        for entity in window.entities:
            if entity.visible_above and own_obs[entity.visible_above[0]] < 0:
                continue
            x, y = (
                c.offset + (0 if c.feature is None else c.factor * own_obs[c.feature])
                for c in (entity.x, entity.y)
            )
            assert left <= x <= left + width
            assert top <= y <= top + height
    drawn = task.render(state)
    shapes = [*drawn.shapes, *(drawn.strip.shapes if drawn.strip else ())]
    circles = [s.role for s in shapes if isinstance(s, scene.Circle)]
    assert sorted(circles) == [*range(task.num_agents)], "one circle for each agent"


def test_lines_of_a_grid_are_between_its_cells():
    drawn = scene.grid_scene(1, 2, [], background=[scene.Square(0, 0, 1, 0)])
    first, *lines = drawn.static
    assert isinstance(first, scene.Square)
    ends = [line[:4] for line in lines]
    assert ends[:2] == [(-0.5, -0.5, 1.5, -0.5), (-0.5, 0.5, 1.5, 0.5)]
    assert ends[2:] == [(x, -0.5, x, 0.5) for x in (-0.5, 0.5, 1.5)]


def test_a_probe_is_not_drawn_but_its_score_range_is_known():
    probe = syntony.task("probe-horizon")
    assert not isinstance(probe, Drawable)
    assert isinstance(probe, HasScoreRange)
    assert probe.score_range == (0.0, 10.0)
    assert not isinstance(syntony.task("SimpleSpread-3"), HasScoreRange)


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        (
            "gymnasium:lbforaging:Foraging-2s-11x11-3p-2f-coop-v3",
            scene.Benchmark("foraging", rows=11),
        ),
        (
            "gymnasium:Foraging-8x8-2p-1f-v3?coop=true",
            scene.Benchmark("foraging", rows=8),
        ),
        ("gymnasium:rware:rware-tiny-2ag-v2", scene.Benchmark("warehouse")),
        (
            "pettingzoo:mpe2.simple_spread_v3?N=5",
            scene.Benchmark("particles", scenario="simple_spread"),
        ),
        ("pettingzoo:rooms?map=Foraging-8x8", scene.Benchmark("")),
        ("python:own:Foraging", scene.Benchmark("")),
        ("gymnasium:CartPole-v1", scene.Benchmark("")),
    ],
)
def test_benchmarks_of_original_packages(id: str, expected: scene.Benchmark):
    env = ExternalEnv(id=id, num_agents=2, num_actions=2, obs_dim=2, time_limit=3)
    assert env.benchmark == original_benchmark(id) == expected
    assert not isinstance(env, Drawable)
