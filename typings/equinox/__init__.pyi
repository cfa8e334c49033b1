"""Equinox, with the types of what its filters return."""

from collections.abc import Callable
from typing import Any, TypeVar

from equinox import nn as nn
from equinox._caches import clear_caches as clear_caches
from equinox._module import Module as Module
from equinox._module import field as field
from equinox._tree import tree_at as tree_at

T = TypeVar("T")
IsLeaf = Callable[[Any], bool] | None

def apply_updates(model: T, updates: Any) -> T: ...
def combine(*pytrees: T, is_leaf: IsLeaf = ...) -> T: ...
def filter(
    pytree: T,
    filter_spec: Any,
    inverse: bool = ...,
    replace: Any = ...,
    is_leaf: IsLeaf = ...,
) -> T: ...
def filter_eval_shape(fun: Callable[..., T], *args: Any, **kwargs: Any) -> T: ...
def is_array(element: object) -> bool: ...
def partition(
    pytree: T, filter_spec: Any, replace: Any = ..., is_leaf: IsLeaf = ...
) -> tuple[T, T]: ...
