"""Configuration files and their JSON Schema, made from the flags of a system.

Every constant is an entry, with the docstring of its field as a comment. Fields of
nested dataclasses are in a table of their own.
"""

import ast
import dataclasses
import functools
import inspect
import json
import math
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from syntony.cli.help_text import documented_fields
from syntony.config import HasId, Interval, config_fields, field_limits
from syntony.training.safe_io import JsonObject

WIDTH = 80
"""Columns of a comment."""
LEFT_OUT = ("out",)
"""Training options that are no constants."""
JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


@runtime_checkable
class TrainArgs(Protocol):
    """Parsed arguments of `train`."""

    @property
    def training(self) -> object:
        """Preset, length, evaluations and seeds."""
        ...

    @property
    def system(self) -> object:
        """The system."""
        ...


class Constant(NamedTuple):
    """A field of a config, as an entry of a configuration file."""

    name: str
    value: object
    kind: object
    """Its type."""
    doc: str
    limits: Interval | None = None


def config_text(system: str, args: TrainArgs, *, is_of_run: bool = False) -> str:
    """TOML file of all constants.

    Args:
        system: name of the system.
        args: parsed arguments.
        is_of_run: whether they are from a run, which may be anyone's.
    """
    lines = [
        "# syntony train --config FILE; all systems: syntony train --help",
        *(['made_from = "settings.json"'] if is_of_run else []),
        f"system = {_toml(system)}",
    ]
    tables = {"": _constants(args.training) + _constants(args.system)}
    for name, config in _tables(args.system):
        tables[name] = _constants(config)
    for name, constants in tables.items():
        lines += ["", f"[{name}]"] if name else []
        for constant in constants:
            lines += _entry_lines(constant)
    return "\n".join(lines) + "\n"


def schema_text(system: str, args: TrainArgs) -> str:
    """JSON Schema of the configuration files of a system."""
    properties = {
        "system": {"const": system},
        "made_from": {"type": "string", "description": "Settings that it is from."},
        **_properties(_constants(args.training) + _constants(args.system)),
    }
    for name, config in _tables(args.system):
        properties[name] = {
            "type": "object",
            "description": _summary(type(config)),
            "properties": _properties(_constants(config)),
            "additionalProperties": False,
        }
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Configuration of syntony train {system}",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return json.dumps(schema, indent=2) + "\n"


def iter_constants(system: object) -> Iterator[tuple[str, object]]:
    """Yields name and value of each constant of a system, without its table."""
    for config in (system, *(config for _, config in _tables(system))):
        for constant in _constants(config):
            yield constant.name, constant.value


def _constants(config: object) -> list[Constant]:
    """Fields of a config that are single flags."""
    docs, hints = field_docs(type(config)), typing.get_type_hints(type(config))
    limits = field_limits(type(config))
    found = []
    for f in config_fields(type(config)):
        value = getattr(config, f.name)
        if f.name in LEFT_OUT or _is_table(value):
            continue
        bounds = limits.get(f.name)
        interval = bounds if isinstance(bounds, Interval) else None
        plain = value.id if isinstance(value, HasId) else value
        found.append(
            Constant(f.name, plain, hints[f.name], docs.get(f.name, ""), interval)
        )
    return found


def _tables(system: object) -> Iterator[tuple[str, object]]:
    """Yields name and value of the fields that are dataclasses of several flags."""
    for f in config_fields(type(system)):
        value = getattr(system, f.name)
        if _is_table(value):
            yield f.name, value


def _is_table(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, HasId)


def _entry_lines(constant: Constant) -> list[str]:
    """Comment and entry of a constant; one without a value is a comment, too."""
    comment = textwrap.wrap(constant.doc, WIDTH - 2)
    entry = f"{constant.name} = {_toml(constant.value)}"
    if constant.value is None:
        entry = f"# {constant.name} ="
    return ["", *(f"# {line}" for line in comment), entry]


def _toml(value: object) -> str:
    """A value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:_}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float) or hasattr(value, "dtype"):
        number = float(typing.cast(float, value))
        return repr(number) if math.isfinite(number) else str(number)
    return json.dumps(str(value), ensure_ascii=False)


def _properties(constants: list[Constant]) -> dict[str, JsonObject]:
    return {constant.name: _property(constant) for constant in constants}


def _property(constant: Constant) -> JsonObject:
    """Schema of one entry."""
    schema: JsonObject = {"description": constant.doc, **_type_schema(constant.kind)}
    if constant.value is not None:
        value = constant.value
        schema["default"] = list(value) if isinstance(value, tuple) else value
    if constant.limits is not None:
        schema |= _limits_schema(constant.limits)
    return schema


def _type_schema(kind: object) -> JsonObject:
    """Schema of a type; anything may be the value of one that is not known."""
    if typing.get_origin(kind) is typing.Literal:
        return {"enum": [*typing.get_args(kind)]}
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    schemas: list[JsonObject] = []
    for option in options:
        if isinstance(option, type) and option in JSON_TYPES:
            schemas.append({"type": JSON_TYPES[option]})
        elif typing.get_origin(option) is tuple:
            schemas.append({"type": "array", "items": {"type": "integer"}})
        elif option is not types.NoneType:
            schemas.append({"type": "string"})
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _limits_schema(limits: Interval) -> JsonObject:
    schema: JsonObject = {}
    if math.isfinite(limits.low):
        schema["exclusiveMinimum" if limits.open_low else "minimum"] = limits.low
    if math.isfinite(limits.high) and not limits.or_infinite:
        schema["exclusiveMaximum" if limits.open_high else "maximum"] = limits.high
    return schema


def _summary(config_class: type) -> str:
    return " ".join((config_class.__doc__ or "").partition("\n\n")[0].split())


@functools.cache
def field_docs(config_class: type) -> Mapping[str, str]:
    """Docstrings of a dataclass's fields, also of inherited ones; of those in a file.

    Args:
        config_class: the dataclass.
    """
    docs: dict[str, str] = {}
    for base in reversed(config_class.__mro__):
        try:
            source = textwrap.dedent(inspect.getsource(base))
        except (OSError, TypeError):
            continue
        (body,) = (
            x.body for x in ast.parse(source).body if isinstance(x, ast.ClassDef)
        )
        docs |= {name: text for name, _, text in documented_fields(body)}
    return docs
