# ruff: noqa: ARG001, ARG002, ARG005 - the arguments are those of an interface.
"""Objects of a user that fail, each in a line with its own message."""

from typing import Any

import equinox as eqx
import numpy as np
import optax
from external_envs import Relay
from toy_system import Toy
from your_own_task import Corridor

from syntony.config import pytree_dataclass
from syntony.identifiers import format_id

calls = {"channel": 0, "environment": 0}
"""Calls of the objects that fail in a later one."""


@pytree_dataclass
class ConstructedTask(Corridor):
    def __post_init__(self) -> None:
        raise IndexError("constructed task")


@pytree_dataclass
class TracedTask(Corridor):
    @property
    def id(self) -> str:
        return format_id("python:failing_objects:TracedTask", self)

    def step(self, key: Any, state: Any, action: Any) -> Any:
        raise IndexError("traced task")


def channel(x: np.ndarray) -> np.ndarray:
    raise IndexError("called channel")


def late_channel(x: np.ndarray) -> np.ndarray:
    calls["channel"] += 1
    if calls["channel"] > 3:
        raise IndexError("late channel")
    return x + calls["channel"]  # Never the same answer.


class Radio:
    def __call__(self, x: np.ndarray) -> np.ndarray:
        raise IndexError("called radio")


radio = Radio()


@pytree_dataclass
class ConstructedSystem(Toy):
    def __post_init__(self) -> None:
        raise IndexError("constructed system")


@pytree_dataclass
class TracedSystem(Toy):
    def step(self, state: Any) -> Any:
        raise IndexError("traced system")


@pytree_dataclass
class EvaluatedSystem(Toy):
    def evaluate(self, state: Any, key: Any, episodes: int) -> Any:
        raise IndexError("evaluated system")


def constructed_network(in_size: int, out_size: int, *, hidden: int, key: Any) -> Any:
    raise IndexError("constructed network")


class TracedNetwork(eqx.Module):
    def __call__(self, x: Any) -> Any:
        raise IndexError("traced network")


def traced_network(in_size: int, out_size: int, *, hidden: int, key: Any) -> Any:
    return TracedNetwork()


def constructed_optimizer(learning_rate: Any) -> Any:
    raise IndexError("constructed optimizer")


def traced_optimizer(learning_rate: Any) -> Any:
    def update(updates: Any, state: Any, params: Any = None) -> Any:
        raise IndexError("traced optimizer")

    return optax.GradientTransformation(lambda params: (), update)


def callback(run: Any, step: int, metrics: Any) -> None:
    raise IndexError("called callback")


class LateEnv(Relay):
    def step(self, actions: dict) -> tuple:
        calls["environment"] += 1
        if calls["environment"] > 3:
            raise IndexError("late environment")
        return super().step(actions)


class ConstructedEnv(Relay):
    def __init__(self) -> None:
        raise IndexError("constructed environment")


def parallel_env(kind: str = "LateEnv") -> Relay:
    return LateEnv() if kind == "LateEnv" else ConstructedEnv()
