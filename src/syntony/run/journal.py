"""The journal: `metrics.jsonl`, one JSON object a line, each line whole or absent."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from syntony.equations.statistics import bootstrap_interval, wilson_interval
from syntony.errors import BadInput
from syntony.run.atomic import replacing

Line = dict[str, Any]
"""Numbers by name; `step` and `seed` are whole, the rest may be None: not a number."""


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
    try:
        text = path.read_text("utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as failure:
        raise BadInput(f"{path} cannot be read: {failure}") from None
    whole, _, _ = text.rpartition("\n")
    return [_parse(path, n, line) for n, line in enumerate(whole.split("\n")) if line]


def reached(path: Path, seed: int) -> int:
    """Returns the last step at which a seed was measured; 0 if it never was."""
    return max((x["step"] for x in read(path) if x["seed"] == seed), default=0)


def forget(path: Path, steps: Mapping[int, int]) -> None:
    """Drops what was measured after the checkpoints from which seeds go on.

    Args:
        steps: the step of each seed; of a seed that starts anew, -1.
    """
    lines = read(path)
    # A new run has nothing to forget, and no file yet.
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


def _parse(path: Path, number: int, text: str) -> Line:
    try:
        line: Any = json.loads(text)
    except ValueError:
        line = None
    whole = isinstance(line, dict) and {"step", "seed"} <= line.keys()
    if not whole or not all(isinstance(line[n], int) for n in ("step", "seed")):
        raise BadInput(f"{path} is damaged in line {number + 1}")
    return line
