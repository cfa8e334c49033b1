"""Names of features: those of the task, or numbers."""

import dataclasses
from typing import Any

import pytest

import syntony
from syntony.errors import InvalidInputError
from syntony.tasks.external.external_env import ShapeOnlyTask
from syntony.tasks.scene import Feature
from syntony.visualization.obs_features import obs_features

TASK = ShapeOnlyTask(id="x", num_agents=2, num_actions=2, obs_dim=2, time_limit=3)


class Named(ShapeOnlyTask):
    """A task that names as many features as agent 1 has, and too few of agent 2."""

    def feature_names(self, agent: int) -> Any:
        return [Feature("itself", "row"), Feature("itself", "column")][: 2 - agent]


class Raising(ShapeOnlyTask):
    def feature_names(self, agent: int) -> Any:
        raise KeyError(agent)


def test_features_without_names_are_numbered():
    assert [f.label for f in obs_features(TASK)[1]] == ["feature 1", "feature 2"]


def test_features_have_the_names_of_the_task():
    task = syntony.task("SpeakerListener")
    speaker, listener = obs_features(task)
    assert speaker[0] == Feature("goal color", "1")
    assert listener[0] == Feature("velocity", "x")


def test_another_number_of_names_is_invalid():
    task = Named(**dataclasses.asdict(TASK))
    with pytest.raises(InvalidInputError, match="x: feature_names has 1 names; expect"):
        obs_features(task)


def test_a_failure_is_told_in_one_line():
    task = Raising(**dataclasses.asdict(TASK))
    with pytest.raises(InvalidInputError, match="x: feature_names raised KeyError: 0"):
        obs_features(task)
