"""The journal: `metrics.jsonl`, one JSON object a line, each line whole or absent."""

import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Shaped

from syntony.equations.statistics import bootstrap_interval, wilson_interval
from syntony.errors import BadInput
from syntony.run.atomic import replacing
from syntony.run.reading import opened

Line = dict[str, Any]
"""Numbers by name; `step` and `seed` are whole, the rest may be None: not a number."""
MOST_BYTES = 2**30
"""A million evaluations."""
MOST_OF_A_LINE = 2**20


def append(path: Path, line: Line) -> None:
    """Adds a line, safe on the disk when this returns."""
    with path.open("ab") as file:
        file.write(_to_bytes(line))
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[Line]:
    """Returns all lines; one that was torn off when its writer was killed is left out.

    Raises:
        BadInput: the file cannot be read, or holds something else.
    """
    if not path.exists():
        return []
    try:
        with opened(path, MOST_BYTES) as file:
            # Line by line: what holds no lines is given up early.
            return list(_lines(path, file))
    except OSError as failure:
        raise BadInput(f"{path} cannot be read: {failure}") from None


def _lines(path: Path, file: BinaryIO) -> Iterator[Line]:
    for number in itertools.count(1):
        text = file.readline(MOST_OF_A_LINE)
        if not text.endswith(b"\n"):
            if len(text) == MOST_OF_A_LINE:
                raise BadInput(f"{path} is damaged in line {number}: it is too long")
            return
        if text != b"\n":
            yield _parse(path, number, text)


def reached(path: Path, seed: int) -> int:
    """Returns the last step at which a seed was measured; 0 if it never was."""
    return max((x["step"] for x in read(path) if x["seed"] == seed), default=0)


def forget(path: Path, steps: Mapping[int, int]) -> None:
    """Drops what was measured after the checkpoints from which seeds go on.

    Args:
        steps: the step of each seed; of a seed that starts anew, -1.
    """
    if not path.exists():
        # A new run has nothing to forget. No file before its settings are written: to
        # whoever finds a folder without those, it holds no run.
        return
    lines = read(path)
    kept = [line for line in lines if line["step"] <= steps.get(line["seed"], -1)]
    with replacing(path) as file:
        file.writelines(map(_to_bytes, kept))


def with_intervals(samples: Mapping[str, Shaped[np.ndarray, " samples"]]) -> Line:
    """Returns the mean of each score, and its 95 % interval as `_low` and `_high`.

    What either happens or not is a share of its samples, in Wilson's interval.
    """
    line: Line = {}
    for name, values in samples.items():
        mean = float(values.mean(dtype=float))
        if values.dtype == bool:
            low, high = wilson_interval(int(values.sum()), len(values))
        else:
            low, high = bootstrap_interval(values.astype(float))
        line |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return line


def _to_bytes(line: Line) -> bytes:
    # JSON knows no NaN; whoever reads `null` finds it again as one.
    finite = {name: _finite(value) for name, value in line.items()}
    return json.dumps(finite, allow_nan=False).encode() + b"\n"


def _finite(value: int | float | None) -> int | float | None:
    return value if value is not None and math.isfinite(value) else None


def _parse(path: Path, number: int, text: bytes) -> Line:
    try:
        line: Any = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        line = None
    if not isinstance(line, dict) or not _is_whole(line):
        raise BadInput(f"{path} is damaged in line {number}")
    return line


def _is_whole(line: dict[str, Any]) -> bool:
    counted = all(type(line.get(n)) is int and line[n] >= 0 for n in ("step", "seed"))
    return counted and all(map(_is_number, line.values()))


def _is_number(value: Any) -> bool:
    if type(value) is int:
        return abs(value) < 2**63
    return value is None or (type(value) is float and math.isfinite(value))


def _no_number(text: str) -> float:
    raise ValueError(text)
