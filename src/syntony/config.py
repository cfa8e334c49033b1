"""Configs: frozen dataclasses that are pytrees, with declared static fields and limits.

A static field shapes the compiled program: changing it compiles again. Every other
field is data: it can be traced, batched and changed without compiling again.

Examples:
    >>> @pytree_dataclass
    ... class Adam:
    ...     learning_rate: float = field(1e-3, limits=above(0.0))
    ...     num_steps: int = field(10, static=True, limits=at_least(1))
    >>> Adam(num_steps=20)
    Adam(learning_rate=0.001, num_steps=20)
"""

import dataclasses
import functools
import math
import numbers
import typing
from collections.abc import Callable, Mapping
from typing import (
    Any,
    NamedTuple,
    Protocol,
    TypeVar,
    dataclass_transform,
    overload,
    runtime_checkable,
)

import jax

from syntony.errors import InvalidInputError, unknown_name_error

T = TypeVar("T")
# Of many types; a function of them knows those of its own config.
FieldValues = dict[str, Any]


class Interval(NamedTuple):
    """Values that a field may have; both ends belong to it unless they are open."""

    low: float | int = -math.inf
    high: float | int = math.inf
    open_low: bool = False
    open_high: bool = False
    or_infinite: bool = False
    """Whether +∞ is a value as well, though `high` is finite."""

    def __contains__(self, value: object) -> bool:
        x = typing.cast(float, value)
        if x == math.inf and self.or_infinite:
            return True
        above_low = x > self.low if self.open_low else x >= self.low
        below_high = x < self.high if self.open_high else x <= self.high
        return bool(above_low and below_high)

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"above {self.low}" if self.open_low else f"at least {self.low}"
        if self.open_low and self.open_high:
            return f"between {self.low} and {self.high}"
        if self.open_low:
            return f"above {self.low}, at most {self.high}"
        infinite = ", or inf" if self.or_infinite else ""
        below = "below " if self.open_high else ""
        return f"{self.low} to {below}{self.high}{infinite}"

    def clip(self, value: float | int) -> float | int:
        """The nearest value of a closed interval; its lower end for NaN."""
        if self.or_infinite and value == math.inf:
            return value
        # In this order, NaN becomes the lower end.
        return min(max(self.low, value), self.high)


def at_least(low: float | int) -> Interval:
    """Values of `low` or more."""
    return Interval(low)


def above(low: float | int) -> Interval:
    """Values greater than `low`."""
    return Interval(low, open_low=True)


def between(
    low: float | int,
    high: float | int,
    *,
    open_low: bool = False,
    open_high: bool = False,
    or_infinite: bool = False,
) -> Interval:
    """Values from `low` to `high`; with `or_infinite`, +∞ as well."""
    return Interval(low, high, open_low, open_high, or_infinite)


@runtime_checkable
class HasId(Protocol):
    """Config with an id."""

    @property
    def id(self) -> str: ...


FieldLimits = Interval | Callable[[FieldValues], Interval]
"""Limits of a field; they may depend on the values of the fields above it."""


@overload
def field(
    default: T, *, static: bool = False, limits: FieldLimits | None = None
) -> T: ...
@overload
# Type checkers take the type of a required field from its annotation.
def field(*, static: bool = False, limits: FieldLimits | None = None) -> Any: ...
def field(
    default: object = dataclasses.MISSING,
    *,
    static: bool = False,
    limits: FieldLimits | None = None,
) -> object:
    """Declares a field of a config.

    Args:
        default: its value where none is given; without one, the field is required.
        static: whether it shapes the compiled program. Integers, booleans, strings,
            tuples and literals have to say so.
        limits: the values it may have, checked by `validate`.
    """
    metadata = {"static": static, "limits": limits}
    return dataclasses.field(default=default, metadata=metadata)


# Without `field_specifiers`, as type checkers know their defaults only as keywords.
@dataclass_transform(frozen_default=True, kw_only_default=True)
def pytree_dataclass(cls: type[T]) -> type[T]:
    """Makes `cls` a frozen, keyword-only dataclass and a pytree.

    Its static fields are part of the tree's structure, all others are its children.

    Raises:
        TypeError: an integer, boolean, string, tuple or literal is not declared with
            `field`: whether it is static has to be said.
    """
    frozen = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    hints = typing.get_type_hints(frozen)
    fields = config_fields(frozen)
    for f in fields:
        if "static" not in f.metadata and _is_hashable_type(hints[f.name]):
            raise TypeError(
                f"{cls.__name__}.{f.name} may be static or traced; expected "
                f"`{f.name}: ... = field(..., static=True)` or `static=False`"
            )
    static = [f.name for f in fields if f.metadata.get("static")]
    data = [f.name for f in fields if f.name not in static]
    jax.tree_util.register_dataclass(frozen, data_fields=data, meta_fields=static)
    # JAX rebuilds a config with tracers as fields: its types hold outside of JAX only.
    # On the class this would empty `get_type_hints`, by which settings and flags read.
    typing.no_type_check(frozen.__init__)
    return frozen


def validate(
    config: object, *, correct: Callable[[FieldValues], FieldValues] | None = None
) -> None:
    """Checks a config's literals, and the numbers that have limits.

    Args:
        config: the config.
        correct: makes clipped values valid where fields are also constrained jointly,
            so that the nearest id of an error message is that of a valid config.

    Raises:
        InvalidInputError: a field has a value that it may not have. Where the config
            has an id, the message has the nearest valid one.
    """
    _check_literals(config)
    # A field that holds a tracer has no value to check.
    given = {k: v for k, v in vars(config).items() if isinstance(v, numbers.Real)}
    for name, limits in field_limits(type(config)).items():
        if name not in given:
            continue
        interval = limits(given) if callable(limits) else limits
        if given[name] not in interval:
            example = ""
            if hasattr(type(config), "id"):
                example = f", e.g. {_nearest_id(config, given, correct)}"
            raise InvalidInputError(
                f"{name} is {given[name]}; expected {interval}{example}"
            )


def clip_to_limits(config_class: type, values: Mapping[str, object]) -> FieldValues:
    """Field values, each clipped to its limits."""
    valid = dict(values)
    for name, limits in field_limits(config_class).items():
        if name in valid:
            interval = limits(valid) if callable(limits) else limits
            valid[name] = interval.clip(typing.cast(float, valid[name]))
    return valid


@functools.cache
def field_limits(config_class: type) -> dict[str, FieldLimits]:
    """Limits of those fields of a config that have any, in their order."""
    limits = {f.name: f.metadata.get("limits") for f in config_fields(config_class)}
    return {name: limit for name, limit in limits.items() if limit is not None}


def config_fields(config_class: type) -> tuple[dataclasses.Field[object], ...]:
    """Fields of a config's class, in their order."""
    assert dataclasses.is_dataclass(config_class)
    return dataclasses.fields(config_class)


def replace_fields(config: T, **changes: object) -> T:
    """Config with other values of these fields; its class is called with them all."""
    assert dataclasses.is_dataclass(config)
    assert not isinstance(config, type)
    return dataclasses.replace(config, **changes)


def _nearest_id(
    config: object,
    given: FieldValues,
    correct: Callable[[FieldValues], FieldValues] | None,
) -> str:
    values = {**vars(config), **clip_to_limits(type(config), given)}
    make = typing.cast(Callable[..., HasId], type(config))
    return make(**(correct(values) if correct else values)).id


def _check_literals(config: object) -> None:
    for name, options in literal_options(type(config)).items():
        value = getattr(config, name)
        if value not in options:
            raise unknown_name_error(name, str(value), map(str, options))


@functools.cache
def literal_options(config_class: type) -> dict[str, tuple[object, ...]]:
    """Values of those fields of a config that are annotated as `Literal`."""
    hints = typing.get_type_hints(config_class)
    names = [f.name for f in config_fields(config_class)]
    literal = [n for n in names if typing.get_origin(hints[n]) is typing.Literal]
    return {name: typing.get_args(hints[name]) for name in literal}


def _is_hashable_type(hint: object) -> bool:
    kinds = (int, bool, str, tuple, typing.Literal)
    return (typing.get_origin(hint) or hint) in kinds
