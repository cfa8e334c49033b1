"""Names of warehouses, their layouts, and which parameters are valid."""

import re
from typing import Literal, cast, get_args

import numpy as np
from jaxtyping import Bool

from syntony.config import (
    FieldValues,
    HasId,
    Interval,
    between,
    replace_fields,
    validate,
)
from syntony.errors import InvalidInputError

Difficulty = Literal["easy", "normal", "hard"]
RewardType = Literal["indiv", "global", "twostage"]

ID_PATTERN = (
    "rware-{tiny|small|medium|large}-{agents}ag[-easy|-hard][-global|-twostage]"
)

SIZES = {"tiny": (1, 3), "small": (2, 3), "medium": (2, 5), "large": (3, 5)}
"""Rows and columns of shelf blocks by size."""

REQUESTS_PER_AGENT = {"easy": 2, "normal": 1, "hard": 0.5}
"""Simultaneously requested shelves per agent, by difficulty."""

# Larger than any useful value.
MAX_VALUE = 1_000_000


def grid_shape(values: FieldValues) -> tuple[int, int]:
    """Rows and columns of cells."""
    rows = (values["column_height"] + 1) * values["shelf_rows"] + 2
    return rows, 3 * values["shelf_columns"] + 1


def highway(values: FieldValues) -> Bool[np.ndarray, "H W"]:
    """Mask of cells without shelves: aisles, the goals' row, and before the goals."""
    rows, columns = grid_shape(values)
    row, column = np.indices((rows, columns))
    aisle = (column % 3 == 0) | (row % (values["column_height"] + 1) == 0)
    middle = (column == columns // 2 - 1) | (column == columns // 2)
    queue = middle & (row > rows - values["column_height"] - 3)
    return aisle | queue | (row == rows - 1)


def num_requests(values: FieldValues) -> int:
    """Number of simultaneously requested shelves."""
    given = values["request_queue_size"]
    return given or int(values["num_agents"] * REQUESTS_PER_AGENT[values["difficulty"]])


def agent_limits(values: FieldValues) -> Interval:
    """Limits of the number of agents: at most one per cell."""
    rows, columns = grid_shape(values)
    return between(1, min(100, rows * columns))


def sensor_range_limits(values: FieldValues) -> Interval:
    """Limits of the sensor range: at most the size of the grid."""
    return between(1, max(grid_shape(values)))


def validate_warehouse(task: object) -> None:
    """Checks the fields of a warehouse, each and jointly.

    Raises:
        InvalidInputError: one is invalid; the message has the nearest valid id.
    """
    validate(task, correct=_correct_jointly)
    values = vars(task)
    num_shelves, requests = _num_shelves(values), num_requests(values)
    if values["shelf_columns"] % 2 == 0:
        problem = f"shelf_columns is {values['shelf_columns']}; expected an odd number"
    elif not 1 <= requests < num_shelves:
        problem = (
            f"{format_name(values)!r} asks for {requests} shelves; "
            f"expected 1 to {num_shelves - 1}"
        )
    else:
        return
    nearest = cast(HasId, replace_fields(task, **_correct_jointly(values)))
    raise InvalidInputError(f"{problem}, e.g. {nearest.id}")


def _num_shelves(values: FieldValues) -> int:
    return int((~highway(values)).sum())


def _correct_jointly(values: FieldValues) -> FieldValues:
    """Makes fields within their limits also jointly valid."""
    valid = dict(values)
    if valid["shelf_columns"] % 2 == 0:
        valid["shelf_columns"] -= 1
    # At least one shelf is not requested: it is the next request after a delivery.
    highest, requests = _num_shelves(valid) - 1, num_requests(valid)
    if not 1 <= requests <= highest:
        nearest = min(max(requests, 1), highest)
        valid.update(difficulty="normal", request_queue_size=nearest)
    return valid


def parse_name(name: str, parameters: FieldValues) -> FieldValues:
    """Fields of a warehouse, from the name of its id and the id's parameters.

    It also accepts all names that the original registers:
    `rware-2s-tiny-9h-4ag-hard`, `rware-1x3-8h-4ag-2req-indiv`.

    Raises:
        InvalidInputError: the name is malformed, or a field is given twice.
    """
    match = _ID_REGEX.fullmatch(name)
    if match is None:
        raise _malformed_name_error(name)
    parts = match.groupdict()
    rows, columns = SIZES.get(parts["size"]) or map(int, parts["size"].split("x"))
    numbers = {field: int(parts[field]) for field in _INTEGER_FIELDS if parts[field]}
    twice = numbers.keys() & parameters.keys()
    if parts["difficulty"] and "request_queue_size" in {**numbers, **parameters}:
        twice = {"request_queue_size"}
    if twice:
        raise InvalidInputError(
            f"{min(twice)} is given twice, once in {name!r}; expected once"
        )
    return {
        "shelf_rows": rows,
        "shelf_columns": columns,
        "num_agents": int(parts["agents"]),
        "difficulty": parts["difficulty"] or "normal",
        "reward_type": parts["reward"] or "indiv",
        **numbers,
        **parameters,
    }


def format_name(values: FieldValues) -> str:
    """Name of an id, without parameters: the inverse of `parse_name`."""
    size_names = {shape: size for size, shape in SIZES.items()}
    shape = values["shelf_rows"], values["shelf_columns"]
    size = size_names.get(shape, "{}x{}".format(*shape))
    options = [values["difficulty"], values["reward_type"]]
    options = [option for option in options if option not in ("normal", "indiv")]
    return "-".join(["rware", size, f"{values['num_agents']}ag", *options])


_INTEGER_FIELDS = ("sensor_range", "column_height", "request_queue_size")
_INTEGER_REGEX = "[1-9][0-9]{0,5}"
_ID_REGEX = re.compile(
    rf"rware(-(?P<sensor_range>{_INTEGER_REGEX})s)?"
    rf"-(?P<size>{'|'.join(SIZES)}|{_INTEGER_REGEX}x{_INTEGER_REGEX})"
    rf"(-(?P<column_height>{_INTEGER_REGEX})h)?-(?P<agents>{_INTEGER_REGEX})ag"
    rf"(-(?P<difficulty>easy|hard)|-(?P<request_queue_size>{_INTEGER_REGEX})req)?"
    rf"(-(?P<reward>{'|'.join(get_args(RewardType))}))?"
)


def _malformed_name_error(name: str) -> InvalidInputError:
    unversioned = re.sub("-v[0-9]+$", "", name)
    if unversioned != name and _ID_REGEX.fullmatch(unversioned):
        return InvalidInputError(
            f"{name!r} has a version; expected {unversioned} (the rules of -v1 and -v2 "
            "are the same)"
        )
    return InvalidInputError(
        f"{name!r} names no warehouse; expected {ID_PATTERN}, e.g. {_suggest_id(name)}"
    )


def _suggest_id(name: str) -> str:
    """A valid id with the parts that can be read from an invalid `name`."""
    size = next((size for size in SIZES if size in name), "tiny")
    match = re.search(f"({_INTEGER_REGEX})a", name)
    # Two to fifteen agents are valid for each size and each difficulty.
    agents = min(max(int(match[1]), 2), 15) if match else 2
    options = [f"-{d}" for d in ("easy", "hard") if f"-{d}" in name][:1]
    return f"rware-{size}-{agents}ag{''.join(options)}"
