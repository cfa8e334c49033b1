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
from syntony.errors import InvalidInputError
from syntony.training.atomic_io import atomic_write
from syntony.training.safe_io import open_untrusted

MetricsRow = dict[str, Any]
"""Numbers by name; `step` and `seed` are whole, the rest may be None: not a number."""
MAX_LOG_BYTES = 2**30
"""A million evaluations."""
MAX_LINE_BYTES = 2**20


def append_row(path: Path, row: MetricsRow) -> None:
    """Adds a line, safe on the disk when this returns."""
    with path.open("ab") as file:
        file.write(_encode_row(row))
        file.flush()
        os.fsync(file.fileno())


def read_rows(path: Path) -> list[MetricsRow]:
    """Returns all lines; one that was torn off when its writer was killed is left out.

    Raises:
        BadInput: the file cannot be read, or holds something else.
    """
    if not path.exists():
        return []
    try:
        with open_untrusted(path, MAX_LOG_BYTES) as file:
            # Line by line: what holds no lines is given up early.
            return list(_iter_rows(path, file))
    except OSError as failure:
        raise InvalidInputError(f"{path} cannot be read: {failure}") from None


def _iter_rows(path: Path, file: BinaryIO) -> Iterator[MetricsRow]:
    for number in itertools.count(1):
        text = file.readline(MAX_LINE_BYTES)
        if not text.endswith(b"\n"):
            if len(text) == MAX_LINE_BYTES:
                raise InvalidInputError(
                    f"{path} is damaged in line {number}: it is too long"
                )
            return
        if text != b"\n":
            yield _parse_row(path, number, text)


def last_step(path: Path, seed: int) -> int:
    """Returns the last step at which a seed was measured; 0 if it never was."""
    return max((x["step"] for x in read_rows(path) if x["seed"] == seed), default=0)


def truncate_after(path: Path, last_steps: Mapping[int, int]) -> None:
    """Drops what was measured after the checkpoints from which seeds go on.

    Args:
        steps: the step of each seed; of a seed that starts anew, -1.
    """
    if not path.exists():
        # A new run has nothing to forget. No file before its settings are written: to
        # whoever finds a folder without those, it holds no run.
        return
    lines = read_rows(path)
    kept = [line for line in lines if line["step"] <= last_steps.get(line["seed"], -1)]
    with atomic_write(path) as file:
        file.writelines(map(_encode_row, kept))


def means_with_intervals(
    samples: Mapping[str, Shaped[np.ndarray, " samples"]],
) -> MetricsRow:
    """Returns the mean of each score, and its 95 % interval as `_low` and `_high`.

    What either happens or not is a share of its samples, in Wilson's interval.
    """
    line: MetricsRow = {}
    for name, values in samples.items():
        mean = float(values.mean(dtype=float))
        if values.dtype == bool:
            low, high = wilson_interval(int(values.sum()), len(values))
        else:
            low, high = bootstrap_interval(values.astype(float))
        line |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return line


def _encode_row(row: MetricsRow) -> bytes:
    # JSON knows no NaN; whoever reads `null` finds it again as one.
    finite = {name: _finite_or_none(value) for name, value in row.items()}
    return json.dumps(finite, allow_nan=False).encode() + b"\n"


def _finite_or_none(value: int | float | None) -> int | float | None:
    return value if value is not None and math.isfinite(value) else None


def _parse_row(path: Path, line_number: int, text: bytes) -> MetricsRow:
    try:
        line: Any = json.loads(text, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        line = None
    if not isinstance(line, dict) or not _is_valid_row(line):
        raise InvalidInputError(f"{path} is damaged in line {line_number}")
    return line


def _is_valid_row(row: dict[str, Any]) -> bool:
    counted = all(type(row.get(n)) is int and row[n] >= 0 for n in ("step", "seed"))
    return counted and all(map(_is_valid_number, row.values()))


def _is_valid_number(value: Any) -> bool:
    if type(value) is int:
        return abs(value) < 2**63
    return value is None or (type(value) is float and math.isfinite(value))


def _reject_constant(text: str) -> float:
    raise ValueError(text)
