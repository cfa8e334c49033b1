"""How warehouses are named, how large they are, and which of them can exist."""

import re
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool

from syntony.errors import InvalidInputError
from syntony.identifiers import FieldValues, Limits, clip_to_limits

Difficulty = Literal["easy", "normal", "hard"]
RewardType = Literal["indiv", "global", "twostage"]

ID_PATTERN = (
    "rware-{tiny|small|medium|large}-{agents}ag[-easy|-hard][-global|-twostage]"
)

SIZES = {"tiny": (1, 3), "small": (2, 3), "medium": (2, 5), "large": (3, 5)}
"""Rows and columns of shelves."""

REQUESTS_PER_AGENT = {"easy": 2, "normal": 1, "hard": 0.5}
"""Shelves asked for at a time, for each agent."""


def grid_shape(task: FieldValues) -> tuple[int, int]:
    """Returns how many rows and columns of cells a warehouse has."""
    rows = (task["column_height"] + 1) * task["shelf_rows"] + 2
    return rows, 3 * task["shelf_columns"] + 1


def highway(task: FieldValues) -> Bool[np.ndarray, "H W"]:
    """Returns where no shelf stands: the aisles, the goals' row, before the goals."""
    rows, columns = grid_shape(task)
    row, column = np.indices((rows, columns))
    aisle = (column % 3 == 0) | (row % (task["column_height"] + 1) == 0)
    middle = (column == columns // 2 - 1) | (column == columns // 2)
    queue = middle & (row > rows - task["column_height"] - 3)
    return aisle | queue | (row == rows - 1)


def num_requests(task: FieldValues) -> int:
    """Returns how many shelves are asked for at a time."""
    given = task["request_queue_size"]
    return given or int(task["num_agents"] * REQUESTS_PER_AGENT[task["difficulty"]])


def validate_warehouse(task: Any) -> None:
    """Raises `BadInput` if no such warehouse can exist, with the nearest that can."""
    given = vars(task)
    valid = {
        **given,
        **clip_to_limits({field: given[field] for field in _LIMITS}, _LIMITS),
    }
    wrong = [
        (f"{field} is {given[field]}", "{} to {}".format(*_LIMITS[field](valid)))
        for field in _LIMITS
        if given[field] != valid[field]
    ]
    if valid["shelf_columns"] % 2 == 0:
        wrong.append((f"shelf_columns is {valid['shelf_columns']}", "an odd number"))
        valid["shelf_columns"] -= 1
    # One shelf at least is not asked for: it follows on the next that is delivered.
    most, wanted = int((~highway(valid)).sum()) - 1, num_requests(valid)
    if not 1 <= wanted <= most:
        wrong.append(
            (f"{format_name(task)!r} asks for {wanted} shelves", f"1 to {most}")
        )
        near = min(max(wanted, 1), most)
        valid.update(difficulty="normal", request_queue_size=near)
    for what, expected in wrong:
        nearby = type(task)(**valid).id
        raise InvalidInputError(f"{what}; expected {expected}, e.g. {nearby}")


def parse_name(name: str, parameters: FieldValues) -> FieldValues:
    """Returns the fields that an id's name and its parameters hold.

    Beside our own spelling this reads those of the original's whole registry:
    `rware-2s-tiny-9h-4ag-hard`, `rware-1x3-8h-4ag-2req-indiv`.
    """
    match = _ID_REGEX.fullmatch(name)
    if match is None:
        raise _malformed_name_error(name)
    found = match.groupdict()
    rows, columns = SIZES.get(found["size"]) or map(int, found["size"].split("x"))
    numbers = {field: int(found[field]) for field in _INTEGER_FIELDS if found[field]}
    twice = numbers.keys() & parameters.keys()
    if found["difficulty"] and "request_queue_size" in {**numbers, **parameters}:
        twice = {"request_queue_size"}
    if twice:
        raise InvalidInputError(
            f"{min(twice)} is given twice, once in {name!r}; expected once"
        )
    return {
        "shelf_rows": rows,
        "shelf_columns": columns,
        "num_agents": int(found["agents"]),
        "difficulty": found["difficulty"] or "normal",
        "reward_type": found["reward"] or "indiv",
        **numbers,
        **parameters,
    }


def format_name(task: Any) -> str:
    """Returns the id's name: the inverse of `read`, the parameters left out."""
    shelves = (task.shelf_rows, task.shelf_columns)
    named = {shelves: size for size, shelves in SIZES.items()}
    size = named.get(shelves, f"{task.shelf_rows}x{task.shelf_columns}")
    words = [task.difficulty, task.reward_type]
    words = [word for word in words if word not in ("normal", "indiv")]
    return "-".join(["rware", size, f"{task.num_agents}ag", *words])


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
    bare = re.sub("-v[0-9]+$", "", name)
    if bare != name and _ID_REGEX.fullmatch(bare):
        return InvalidInputError(
            f"{name!r} has a version; expected {bare} (the rules of -v1 and -v2 are "
            "the same)"
        )
    return InvalidInputError(
        f"{name!r} names no warehouse; expected {ID_PATTERN}, e.g. {_suggest_id(name)}"
    )


def _suggest_id(name: str) -> str:
    """Returns a valid id with as much of `name` in it as can be made out."""
    size = next((size for size in SIZES if size in name), "tiny")
    found = re.search(f"({_INTEGER_REGEX})a", name)
    # Two to fifteen agents are right for each size and each difficulty.
    agents = min(max(int(found[1]), 2), 15) if found else 2
    words = [f"-{word}" for word in ("easy", "hard") if f"-{word}" in name][:1]
    return f"rware-{size}-{agents}ag{''.join(words)}"


# Beyond any use.
_MAX_VALUE = 1_000_000

_LIMITS: Limits = {
    "shelf_rows": lambda _: (1, 100),
    "shelf_columns": lambda _: (3, 101),
    "column_height": lambda _: (1, 100),
    "num_agents": lambda task: (1, min(100, grid_shape(task)[0] * grid_shape(task)[1])),
    "request_queue_size": lambda _: (0, _MAX_VALUE),
    "sensor_range": lambda task: (1, max(grid_shape(task))),
    "max_inactivity_steps": lambda _: (0, _MAX_VALUE),
    "time_limit": lambda _: (1, _MAX_VALUE),
}
