"""Records: frozen dataclasses that are pytrees, so that a setting can be traced."""

import dataclasses
import typing
from typing import Any, TypeVar, dataclass_transform

import jax

from syntony.errors import unknown_name_error

T = TypeVar("T")

STATIC_TYPES = (int, bool, str, tuple, typing.Literal)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def pytree_dataclass(cls: type[T]) -> type[T]:
    """Makes `cls` a frozen, keyword-only dataclass and a pytree.

    Integers, booleans, strings, tuples and literals shape the program: they are
    static. Everything else (floats, nested records) is data: it can be traced and
    batched, and changed without compiling again.
    """
    frozen: Any = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    hints = typing.get_type_hints(frozen)
    names = [field.name for field in dataclasses.fields(frozen)]
    static = [name for name in names if _is_static(hints[name])]
    data = [name for name in names if name not in static]
    jax.tree_util.register_dataclass(frozen, data_fields=data, meta_fields=static)
    # JAX puts tracers where numbers stood: a record's types hold outside of it only.
    # On the class this would empty `get_type_hints`, by which settings and flags read.
    frozen.__init__.__no_type_check__ = True
    return frozen


def check_literals(config: Any) -> None:
    """Raises BadInput where a field of a record is none of its literals."""
    for name, hint in typing.get_type_hints(type(config)).items():
        options = typing.get_args(hint)
        value = getattr(config, name, None)
        if typing.get_origin(hint) is typing.Literal and value not in options:
            raise unknown_name_error(name, str(value), map(str, options))


def _is_static(hint: object) -> bool:
    return (typing.get_origin(hint) or hint) in STATIC_TYPES
