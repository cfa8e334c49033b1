"""Loops of `jax.lax`, with the types of what they carry."""

from collections.abc import Callable
from typing import Any, TypeVar

from jax import Array

C = TypeVar("C")
X = TypeVar("X")
Y = TypeVar("Y")

def fori_loop(
    lower: int | Array,
    upper: int | Array,
    body_fun: Callable[[Array, C], C],
    init_val: C,
    *,
    unroll: int | bool | None = ...,
) -> C: ...
def while_loop(
    cond_fun: Callable[[C], Any], body_fun: Callable[[C], C], init_val: C
) -> C: ...
def scan(
    f: Callable[[C, X], tuple[C, Y]],
    init: C,
    xs: X | None = ...,
    length: int | None = ...,
    reverse: bool = ...,
    unroll: int | bool = ...,
) -> tuple[C, Y]: ...
def map(f: Callable[[X], Y], xs: X, *, batch_size: int | None = ...) -> Y: ...
def __getattr__(name: str) -> Any: ...
