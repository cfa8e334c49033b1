"""The metrics log `metrics.jsonl`: one JSON object per line."""

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
from syntony.training.atomic_io import append_bytes, atomic_write_bytes
from syntony.training.folder_walk import MAX_LOG_BYTES
from syntony.training.integrity import (
    CHAIN_KEY,
    MAX_LINE_BYTES,
    MAX_ROWS,
    METRIC_NAME,
    LogHashes,
    with_known_names,
)
from syntony.training.safe_io import open_untrusted

# A metric may be None, but code that knows it to be finite computes with it.
MetricsRow = dict[str, Any]
"""Numbers by name; `step` and `seed` are integers, others may be None: not finite."""
MAX_VALUES = 100 * MAX_ROWS
"""Most numbers of a log; in memory each takes up to 100 bytes."""
NAME_RULE = "expected letters, digits, spaces and /_.,:;+*%@#=()[]-, at most 200"


def append_row(path: Path, row: MetricsRow, hashes: LogHashes | None = None) -> None:
    """Appends a row; it is synced to the disk when this returns.

    Args:
        path: the file.
        row: the row.
        hashes: the hashes of the file, to which the row is added; the row gets an
            entry that depends on all rows of its seed.

    Raises:
        InvalidInputError: the name of a metric could not be read again.
    """
    for name in row:
        if not METRIC_NAME.fullmatch(name):
            raise InvalidInputError(f"a metric has the name {name!r}; {NAME_RULE}")
    finite = {name: _finite_or_none(value) for name, value in row.items()}
    if hashes is None:
        append_bytes(path, _encode_row(finite))
        return
    finite[CHAIN_KEY] = hashes.chain(finite, row["seed"])
    append_bytes(path, _encode_row(finite))
    hashes.add(_encode_row(finite), row["seed"], finite[CHAIN_KEY])


def read_hashes(path: Path) -> LogHashes:
    """Hashes of a metrics log whose lines are all complete.

    Args:
        path: the file; it may be missing.

    Raises:
        InvalidInputError: as for `read_rows`.
    """
    hashes = LogHashes()
    for row in read_rows(path):
        hashes.add(_encode_row(row), row["seed"], row.get(CHAIN_KEY))
    return hashes


def read_rows(path: Path) -> list[MetricsRow]:
    """Reads all rows; empty if there is no file.

    An incomplete last line, as a killed process leaves it, is skipped.

    Raises:
        InvalidInputError: the file cannot be read, or a line is invalid.
    """
    if not os.path.lexists(path):
        return []
    try:
        with open_untrusted(path, MAX_LOG_BYTES) as file:
            # By lines: a file without line breaks is rejected early.
            return list(_iter_rows(path, file))
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error}") from None


def _iter_rows(path: Path, file: BinaryIO) -> Iterator[MetricsRow]:
    names: dict[str, str] = {}
    values = 0
    for number in itertools.count(1):
        text = file.readline(MAX_LINE_BYTES)
        if not text.endswith(b"\n"):
            if len(text) == MAX_LINE_BYTES:
                raise InvalidInputError(
                    f"{path} is damaged in line {number}: it is too long"
                )
            return
        if number > MAX_ROWS:
            raise InvalidInputError(f"{path} has more than {MAX_ROWS:,} lines")
        if text == b"\n":
            continue
        row = _parse_row(path, number, text, names)
        values += len(row)
        if values > MAX_VALUES:
            raise InvalidInputError(f"{path} has more than {MAX_VALUES:,} numbers")
        yield row


def last_step(path: Path, seed: int) -> int:
    """Last step of a seed in the log; 0 if it has no row."""
    steps = (row["step"] for row in read_rows(path) if row["seed"] == seed)
    return max(steps, default=0)


def truncate_after(path: Path, last_steps: Mapping[int, int]) -> None:
    """Drops the rows that are later than the checkpoints from which a run resumes.

    Args:
        last_steps: step of each seed's checkpoint; of other seeds all rows are dropped.
    """
    if not os.path.lexists(path):
        # A new run. The log is created only after `settings.json`: without settings,
        # a folder with other files is not accepted for a new run.
        return
    rows = read_rows(path)
    kept = [row for row in rows if row["step"] <= last_steps.get(row["seed"], -1)]
    atomic_write_bytes(path, b"".join(map(_encode_row, kept)))


def means_with_intervals(
    samples: Mapping[str, Shaped[np.ndarray, " samples"]],
) -> MetricsRow:
    """Mean of each metric with its 95 % confidence interval, `_low` and `_high`.

    Of numbers the bootstrap interval, of booleans the share of true ones with Wilson's
    interval.

    Args:
        samples: samples of each metric, one per episode.
    """
    row: MetricsRow = {}
    for name, values in samples.items():
        mean = float(values.mean(dtype=float))
        if values.dtype == bool:
            low, high = wilson_interval(int(values.sum()), len(values))
        else:
            low, high = bootstrap_interval(values.astype(float))
        row |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return row


def _encode_row(row: MetricsRow) -> bytes:
    return json.dumps(row, allow_nan=False).encode() + b"\n"


def _finite_or_none(value: int | float | None) -> int | float | None:
    # JSON has no NaN: numbers that are not finite become `null`.
    return value if value is not None and math.isfinite(value) else None


def _parse_row(
    path: Path, line_number: int, text: bytes, names: dict[str, str]
) -> MetricsRow:
    try:
        row: object = DECODER.decode(text.decode())
        if isinstance(row, dict) and _is_valid_row(row):
            return with_known_names(row, names)
    except (ValueError, RecursionError):
        pass
    raise InvalidInputError(f"{path} is damaged in line {line_number}")


def _is_valid_row(row: dict[str, object]) -> bool:
    has_index = _is_count(row.get("step")) and _is_count(row.get("seed"))
    return has_index and all(map(_is_valid_number, row.values()))


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_valid_number(value: object) -> bool:
    if type(value) is int:
        return abs(value) < 2**63
    return value is None or (type(value) is float and math.isfinite(value))


def _reject_constant(text: str) -> float:
    raise ValueError(text)


# One for all lines: making it takes longer than decoding a line.
DECODER = json.JSONDecoder(parse_constant=_reject_constant)
