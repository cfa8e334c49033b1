"""Optax, which has no `py.typed`: the parts that Syntony uses."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from jax import Array

from . import tree as tree

Tree = TypeVar("Tree")
Number: TypeAlias = float | Array
OptState: TypeAlias = Any

class Update(Protocol):
    def __call__(
        self, updates: Tree, state: OptState, params: Tree | None = None
    ) -> tuple[Tree, OptState]: ...

class GradientTransformation(NamedTuple):
    init: Callable[[Any], OptState]
    update: Update

def adam(
    learning_rate: Number,
    b1: Number = ...,
    b2: Number = ...,
    eps: Number = ...,
) -> GradientTransformation: ...
def sgd(learning_rate: Number) -> GradientTransformation: ...
def rmsprop(
    learning_rate: Number,
    decay: Number = ...,
    eps: Number = ...,
    *,
    eps_in_sqrt: bool = ...,
) -> GradientTransformation: ...
def clip_by_global_norm(max_norm: Number) -> GradientTransformation: ...
def chain(*args: GradientTransformation) -> GradientTransformation: ...
def incremental_update(
    new_tensors: Tree, old_tensors: Tree, step_size: Number
) -> Tree: ...
def __getattr__(name: str) -> Any: ...
