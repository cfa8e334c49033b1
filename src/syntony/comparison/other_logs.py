"""Logs of other libraries, as runs that are compared with ours.

EPyMARL writes a folder for each run: `config.json`, and `metrics.json` (Sacred) or
`info.json`. JaxMARL logs to Weights & Biases, from where a CSV or JSON file is
exported. Nothing is executed: files that hold Python objects (pickles) are refused.
"""

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeGuard

from syntony.errors import InvalidInputError, visible
from syntony.training.metrics_log import MetricsRow
from syntony.training.safe_io import open_untrusted, parse_int, read_json, visible_json

METRIC = "eval/return_mean"
"""The metric under which their returns are compared."""
MAX_BYTES = 2**28
"""Size of a table, at most; it is read row by row."""
MAX_JSON_BYTES = 2**22
"""Size of a JSON file, at most: its values take twenty times the memory of its text."""
MAX_LINE_BYTES = 2**20
MAX_POINTS = 250_000
"""Most returns of a log."""
MAX_COLUMNS = 10_000
"""Most columns of a table."""
MAX_STEP = 2**53
MAX_SEED = 2**31
MAX_TEXT = 200
"""Most characters of a text in a log."""
EPYMARL_FILES = ("metrics.json", "info.json")
EPYMARL_RETURNS = ("test_return_mean", "return_mean")
"""Their names of the return, the first that a log has."""
JAXMARL_RETURNS = ("test_returned_episode_returns", "returned_episode_returns")
STEP_COLUMNS = ("env_step", "timestep", "timesteps", "global_step", "Step", "_step")
"""Columns with the step, the first that a file has."""
RANGE_SUFFIXES = ("__MIN", "__MAX")
"""Columns of an exported chart that are no runs."""
PICKLE_SUFFIXES = {".pkl", ".pickle", ".npy", ".pt", ".pth"}
TABLE_SUFFIXES = {".csv", ".json", ".jsonl"}
OUR_TASK = re.compile(r"(?:[\w-]+:)*((?:Foraging|rware)-.+?)-v\d+")
"""Their names of tasks that have the same rules here, but for the version."""
Points = Mapping[int, Sequence[tuple[int, float]]]
"""Step and return of every seed."""


class OtherLog(NamedTuple):
    """A log of another library."""

    system: str
    task: str
    settings: dict[str, str | int | float | None]
    rows: list[MetricsRow]


def is_other_log(path: Path) -> bool:
    """Whether a path is no folder of ours, but a file or a folder of EPyMARL."""
    if path.is_dir():
        has_files = any((path / name).is_file() for name in EPYMARL_FILES)
        return has_files and not (path / "settings.json").exists()
    return path.is_file()


def read_other_log(path: Path, task: str = "") -> OtherLog:
    """Reads a log of another library.

    Args:
        path: folder of EPyMARL; or CSV or JSON file of JaxMARL.
        task: id of the task, where the log does not tell.

    Raises:
        InvalidInputError: it cannot be read, or has no returns, or is a pickle.
    """
    if path.is_dir():
        log = _read_epymarl(path)
        return log._replace(task=task or log.task)
    if path.suffix in PICKLE_SUFFIXES:
        raise InvalidInputError(
            f"{path} may hold Python objects, which run code when they are read; "
            "expected a CSV or JSON file, as Weights & Biases exports it"
        )
    if path.suffix not in TABLE_SUFFIXES:
        raise InvalidInputError(
            f"{path} is no run and no log; expected a folder, or a file .csv or .json"
        )
    rows = _read_csv(path) if path.suffix == ".csv" else _read_json_rows(path)
    try:
        points = _points_of_table(path, rows)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        if isinstance(error, InvalidInputError):
            raise
        kind = path.suffix[1:].upper()
        raise InvalidInputError(f"{path} is no {kind} file: {error}") from None
    return OtherLog("JaxMARL", task or "task of JaxMARL", {}, _to_rows(points))


def _read_epymarl(path: Path) -> OtherLog:
    """A run of EPyMARL: one seed."""
    config = _read_object(path / "config.json")
    found = [x for x in EPYMARL_FILES if (path / x).is_file()]
    name = next(iter(found), EPYMARL_FILES[0])
    content = _read_object(path / name)
    points = _metrics_points(content) if name == EPYMARL_FILES[0] else None
    points = _info_points(content) if points is None else points
    if not points:
        raise InvalidInputError(
            f"{path / name} has no {' or '.join(EPYMARL_RETURNS)}; expected a log of "
            "EPyMARL"
        )
    arguments = config.get("env_args")
    key = arguments.get("key") if isinstance(arguments, dict) else None
    seed = config.get("seed")
    if type(seed) is not int or not 0 <= seed < MAX_SEED:
        raise InvalidInputError(f"{path / 'config.json'} has no seed below {MAX_SEED}")
    scalars: dict[str, str | int | float | None] = {
        name[:MAX_TEXT]: value[:MAX_TEXT] if isinstance(value, str) else value
        for name, value in config.items()
        if isinstance(value, str | int | float) and name != "seed"
    }
    task = OUR_TASK.sub(r"\1", str(key)[:MAX_TEXT]) if key else "task of EPyMARL"
    system = f"EPyMARL {config.get('name', '')}".strip()[:MAX_TEXT]
    return OtherLog(system, task, scalars, _to_rows({seed: points}))


def _metrics_points(content: Mapping[str, object]) -> list[tuple[int, float]]:
    """Points of Sacred's `metrics.json`: steps and values of each metric."""
    for name in EPYMARL_RETURNS:
        entry = content.get(name)
        if isinstance(entry, dict):
            return _pairs(entry.get("steps"), entry.get("values"))
    return []


def _info_points(content: Mapping[str, object]) -> list[tuple[int, float]]:
    """Points of `info.json`: a list for each metric, and one `_T` of its steps."""
    for name in EPYMARL_RETURNS:
        if name in content:
            return _pairs(content.get(f"{name}_T"), content[name])
    return []


def _pairs(steps: object, values: object) -> list[tuple[int, float]]:
    if not isinstance(steps, list) or not isinstance(values, list):
        return []
    pairs = zip(map(_number, steps), map(_number, values), strict=False)
    return [(int(x), y) for x, y in pairs if _is_step(x) and y is not None]


def _number(value: object) -> float | None:
    """A number; also one that jsonpickle has written as an object, or CSV as text."""
    if isinstance(value, dict):
        value = value.get("value")
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _read_csv(path: Path) -> Iterator[Mapping[str, object]]:
    """Yields the rows of a CSV file."""
    yield from csv.DictReader(_lines(path))


def _read_json_rows(path: Path) -> Iterator[Mapping[str, object]]:
    """Yields the rows of a JSON file: a list of objects, or one object a line."""
    if path.suffix == ".json":
        content = read_json(path, MAX_JSON_BYTES)
        if not isinstance(content, list):
            raise InvalidInputError(f"{path} is no list; expected a list of rows")
    else:
        content = (json.loads(line, parse_int=parse_int) for line in _lines(path))
    for row in content:
        if isinstance(row, dict):
            yield row


def _lines(path: Path) -> Iterator[str]:
    """Yields the lines of a file.

    Raises:
        InvalidInputError: one is too long, or the file is no regular one, or too large.
    """
    with open_untrusted(path, MAX_BYTES) as file:
        while line := file.readline(MAX_LINE_BYTES):
            if len(line) == MAX_LINE_BYTES:
                raise InvalidInputError(f"{path} has a line that is too long")
            yield line.decode()


def _points_of_table(path: Path, rows: Iterable[Mapping[str, object]]) -> Points:
    """Points of a table: a column with the step, and one with returns for each run.

    Raises:
        InvalidInputError: a column is missing, or there are too many points.
    """
    names: dict[str, None] = {}
    points: dict[tuple[str, str], list[tuple[int, float]]] = {}
    total = 0
    for row in rows:
        names |= dict.fromkeys(map(str, row))
        steps = {x: _number(row.get(x)) for x in STEP_COLUMNS if x in row}
        for name in filter(_is_return, row):
            for column, step in steps.items():
                if _is_step(step) and (value := _number(row[name])) is not None:
                    points.setdefault((column, name), []).append((int(step), value))
                    total += 1
        if total > MAX_POINTS or len(names) > MAX_COLUMNS:
            raise InvalidInputError(
                f"{path} is too large; expected at most {MAX_POINTS:,} returns, and "
                f"{MAX_COLUMNS:,} columns"
            )
    step = next((name for name in STEP_COLUMNS if name in names), None)
    columns = _return_columns([*names])
    if step is None or not columns:
        raise InvalidInputError(
            f"{path} has the columns {visible(', '.join([*names][:6]))[:200]}; "
            f"expected {' or '.join(STEP_COLUMNS[:2])}, and {JAXMARL_RETURNS[1]}"
        )
    return {seed: points.get((step, name), []) for seed, name in enumerate(columns)}


def _is_step(value: float | None) -> TypeGuard[float]:
    return value is not None and 0.0 <= value <= MAX_STEP


def _is_return(name: object) -> bool:
    """Whether a column holds returns, of a history or of a chart."""
    text = str(name)
    return any(text == x or text.endswith(f" - {x}") for x in JAXMARL_RETURNS)


def _return_columns(names: Sequence[str]) -> list[str]:
    """Columns of returns: of a history by its name, of a chart one for each run."""
    for wanted in JAXMARL_RETURNS:
        if wanted in names:
            return [wanted]
        ends = f" - {wanted}"
        found = [str(x) for x in names if str(x).endswith(ends)]
        if found:
            return [x for x in found if not x.endswith(RANGE_SUFFIXES)]
    return []


def _to_rows(points: Points) -> list[MetricsRow]:
    """Rows as of a metrics log; of several at one step the last counts."""
    return [
        {"step": step, "seed": seed, METRIC: value}
        for seed, pairs in points.items()
        for step, value in sorted(dict(pairs).items())
    ]


def _read_object(path: Path) -> Mapping[str, object]:
    content = visible_json(read_json(path, MAX_JSON_BYTES))
    if not isinstance(content, dict):
        raise InvalidInputError(f"{path} holds no JSON object")
    return content
