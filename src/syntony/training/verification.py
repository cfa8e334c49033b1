"""Verification of a run: whether its files are whole and belong to one another.

It finds damage, loss and mix-ups; see `integrity`. It needs no JAX and imports no code
that a run names.
"""

import json
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from syntony.errors import InvalidInputError, visible
from syntony.training.folder_walk import (
    MAX_ARRAY_BYTES,
    MAX_LOG_BYTES,
    MAX_SETTINGS_BYTES,
)
from syntony.training.integrity import (
    CHAIN_KEY,
    HASH_KEY,
    METRIC_NAME,
    CheckpointRecord,
    LogHashes,
    LogRecord,
    check_history,
    check_name,
    count_starts,
    entries_digest,
    file_digest,
    is_bound,
    iter_checkpoints,
    npz_digest,
    parse_record,
    read_comment,
    settings_digest,
    stored_sessions,
)
from syntony.training.run_folder import RunFolder, encode_settings
from syntony.training.safe_io import JsonObject, open_untrusted, read_json

SEAL_KEY = "sealed"
"""Entry of `settings.json` of a run that has ended: the digest of each of its files."""
INCOMPLETE_LINE = (
    "metrics.jsonl: the last line is incomplete, as of a process that was killed; "
    "resume drops it"
)
MAX_PROBLEMS = 20
"""Most problems that are told."""


class Line(NamedTuple):
    """A line of the metrics log, with what it says of itself."""

    content: bytes
    seed: int
    step: int
    row: JsonObject


@dataclass
class Verification:
    """Result of `verify_run`."""

    path: Path
    problems: list[str] = field(default_factory=list)
    """One line for each problem; empty for a whole run."""
    checked: list[str] = field(default_factory=list)
    """Checked files, e.g. "44 lines of metrics.jsonl"."""
    notes: list[str] = field(default_factory=list)
    """One line for each thing that could not be checked, with the reason."""


def verify_run(path: Path) -> Verification:
    """Checks all files of a run that training has written.

    Args:
        path: the run folder.

    Raises:
        InvalidInputError: it contains no run, or what no run contains, e.g. a link.
    """
    result = Verification(path)
    folder = RunFolder(path)
    settings = folder.read_settings()
    result.problems += settings_problems(folder)
    result.checked.append("settings.json")
    records = _check_checkpoints(folder, settings, result)
    try:
        result.problems += find_log_damage(path, settings, records)
    except InvalidInputError as error:
        result.problems.append(str(error))
    result.checked.append(f"{_count_lines(path):,} lines of metrics.jsonl")
    result.problems += _history_problems(folder, settings, result)
    _check_seal(folder, settings, result)
    result.problems += _told_damage(settings)
    result.problems = [visible(text) for text in dict.fromkeys(result.problems)]
    return result


def find_log_damage(
    path: Path,
    settings: Mapping[str, object],
    records: Sequence[CheckpointRecord] | None = None,
) -> list[str]:
    """Problems of `metrics.jsonl`: lines that are lost, edited or out of order.

    Args:
        path: the run folder.
        settings: content of its `settings.json`.
        records: the facts that its checkpoints hold; None: they are read.

    Raises:
        InvalidInputError: the file cannot be read, or a line is no row.
    """
    if records is None:
        records = _read_records(path)
    lines, is_whole = _read_lines(path / "metrics.jsonl")
    problems = [] if is_whole else [INCOMPLETE_LINE]
    problems += _chain_problems(lines)
    starts = count_starts(settings)
    expected = [record.log for record in records if record.start == starts]
    if whole_log := _log_at_start(settings):
        expected.append(whole_log)
    problems += _prefix_problems(lines, expected)
    for seed in dict.fromkeys(record.seed for record in records):
        of_seed = [record for record in records if record.seed == seed]
        problems += _seed_problems(lines, seed, of_seed)
    return problems


def warn_of_log_damage(path: Path, settings: Mapping[str, object]) -> list[str]:
    """Warns in one line if the metrics log of a run is damaged.

    Args:
        path: the run folder.
        settings: content of its `settings.json`.

    Returns:
        All problems.
    """
    found = find_log_damage(path, settings)
    # What a killed process leaves is no damage.
    problems = [problem for problem in found if problem != INCOMPLETE_LINE]
    if problems:
        hint = f"all problems: syntony verify {path}"
        warnings.warn(f"{path}: {problems[0]}; {hint}", stacklevel=3)
    return problems


def _read_lines(path: Path) -> tuple[list[Line], bool]:
    """Lines of a metrics log, and whether the last one is complete.

    Raises:
        InvalidInputError: a line is no row, or the file cannot be read.
    """
    try:
        with open_untrusted(path, MAX_LOG_BYTES) as file:
            # Its size: a larger number would be allocated.
            content = file.read(os.fstat(file.fileno()).st_size)
    except FileNotFoundError:
        return [], True
    except OSError as error:
        raise InvalidInputError(f"{path.name}: {error.strerror}") from None
    *texts, rest = content.split(b"\n")
    lines = []
    for number, text in enumerate(texts, 1):
        try:
            row = json.loads(text)
            if not all(map(METRIC_NAME.fullmatch, row)):
                raise ValueError(text)
            lines.append(Line(text + b"\n", int(row["seed"]), int(row["step"]), row))
        except (ValueError, TypeError, KeyError, RecursionError):
            message = f"{path.name}: line {number} is damaged"
            raise InvalidInputError(message) from None
    return lines, not rest


def _count_lines(path: Path) -> int:
    """Number of complete lines of a run's metrics log; 0 if it is damaged."""
    try:
        return len(_read_lines(path / "metrics.jsonl")[0])
    except InvalidInputError:
        return 0


def _chain_problems(lines: Sequence[Line]) -> Iterator[str]:
    """Yields where a row does not follow the one before it, of its seed."""
    hashes = LogHashes()
    for number, line in enumerate(lines, 1):
        chain = line.row.get(CHAIN_KEY)
        place = f"metrics.jsonl: line {number} (seed {line.seed}, step {line.step:,})"
        if json.dumps(line.row).encode() + b"\n" != line.content:
            yield f"{place} was changed"
        elif chain is None and not hashes.is_chained(line.seed):
            # Of a version that wrote no chain.
            pass
        elif chain != hashes.chain(line.row, line.seed):
            yield f"{place} was changed, or does not follow the line before it"
        hashes.add(line.content, line.seed, chain)


def _prefix_problems(
    lines: Sequence[Line], expected: Sequence[LogRecord]
) -> Iterator[str]:
    """Yields what is wrong with the first lines of the file."""
    hashes = LogHashes()
    counts = {record.lines: record.lines_sha256 for record in expected}
    if counts and len(lines) < max(counts):
        yield (
            f"metrics.jsonl has lost lines: {len(lines)} of at least {max(counts)} "
            "are left"
        )
    for count, line in enumerate(lines, 1):
        hashes.add(line.content, line.seed, None)
        if count in counts and hashes.record(0).lines_sha256 != counts[count]:
            yield f"metrics.jsonl: lines up to {count} were changed, or swapped"
            return


def _seed_problems(
    lines: Sequence[Line], seed: int, records: Sequence[CheckpointRecord]
) -> Iterator[str]:
    """Yields what is wrong with the lines of a seed, by its checkpoints."""
    of_seed = [line for line in lines if line.seed == seed]
    counts = {x.log.seed_lines: x.log.seed_lines_sha256 for x in records}
    if len(of_seed) < max(counts):
        yield (
            f"metrics.jsonl has lost lines of seed {seed}: {len(of_seed)} of at least "
            f"{max(counts)} are left"
        )
    hashes = LogHashes()
    for count, line in enumerate(of_seed, 1):
        hashes.add(line.content, seed, None)
        if count in counts and hashes.record(seed).seed_lines_sha256 != counts[count]:
            place = f"lines of seed {seed} up to step {line.step:,}"
            yield f"metrics.jsonl: {place} were changed"
            return
    newest = max(record.step for record in records)
    # A row is written just before its checkpoint: a killed process leaves one.
    if sum(line.step > newest for line in of_seed) > 1:
        yield f"checkpoints of seed {seed} after step {newest:,} are lost"


def _log_at_start(settings: Mapping[str, object]) -> LogRecord | None:
    """The log at the last start of the run, by its settings."""
    sessions = stored_sessions(settings)
    last = sessions[-1] if sessions else {}
    lines, digest = last.get("lines"), last.get("lines_sha256")
    if not isinstance(lines, int) or not isinstance(digest, str):
        return None
    try:
        return LogRecord(lines, bytes.fromhex(digest), 0, b"")
    except ValueError:
        return None


def _told_damage(settings: Mapping[str, object]) -> Iterator[str]:
    """Yields the damage with which a run was resumed."""
    for session in stored_sessions(settings):
        damage = session.get("damage")
        for text in damage if isinstance(damage, list) else []:
            yield f"resumed at step {session.get('from_step')} in spite of: {text}"


def settings_problems(folder: RunFolder) -> Iterator[str]:
    """Yields what is wrong with `settings.json` itself."""
    content = read_json(folder.settings_path, MAX_SETTINGS_BYTES)
    assert isinstance(content, dict)
    with open_untrusted(folder.settings_path, MAX_SETTINGS_BYTES) as file:
        text = file.read()
    if HASH_KEY not in content:
        yield "settings.json has no digest: it is of an older version, or was changed"
    elif content[HASH_KEY] != entries_digest(content):
        yield "settings.json was changed after it was written"
    elif text != encode_settings(content):
        yield "settings.json was written by another program"


def _read_records(path: Path) -> list[CheckpointRecord]:
    """The facts that the checkpoints of a run hold; damaged files are left out."""
    records = []
    for _, _, file in iter_checkpoints(path / "checkpoints"):
        try:
            record = parse_record(read_comment(file, MAX_ARRAY_BYTES))
        except (InvalidInputError, OSError):
            continue
        records += [record] if record is not None else []
    return records


def _check_checkpoints(
    folder: RunFolder, settings: Mapping[str, object], result: Verification
) -> list[CheckpointRecord]:
    """Checks each checkpoint alone; returns the facts that they hold."""
    expected, records = settings_digest(settings), []
    paths = [path for *_, path in iter_checkpoints(folder.checkpoints_dir)]
    for path in paths:
        try:
            record = check_checkpoint(path, expected, bound=is_bound(settings))
        except FileNotFoundError:
            # A process that trains the run has replaced it.
            continue
        except (InvalidInputError, OSError) as error:
            result.problems.append(f"{error}; resume uses the one before it")
            continue
        if record is None:
            result.notes.append(f"{path.name} does not tell of which settings it is")
        else:
            records.append(record)
    result.checked.append(_count(paths, "checkpoint"))
    return records


def check_checkpoint(
    path: Path, settings_sha256: bytes, *, bound: bool = True
) -> CheckpointRecord | None:
    """Checks one checkpoint, in little memory.

    Args:
        path: the file.
        settings_sha256: digest of the run's settings.
        bound: whether it must tell of which run it is.

    Returns:
        The facts that it holds; None in those of older versions.

    Raises:
        InvalidInputError: it is damaged, or of another seed, step or run.
        FileNotFoundError: it does not exist.
    """
    npz_digest(path, MAX_ARRAY_BYTES)
    comment = read_comment(path, MAX_ARRAY_BYTES)
    check_name(path, comment)
    record = parse_record(comment)
    if bound and not comment:
        raise InvalidInputError(f"{path.name} does not tell of which run it is")
    if record is not None and record.settings_sha256 != settings_sha256:
        raise InvalidInputError(
            f"{path.name} was trained with other settings than settings.json has"
        )
    return record


def check_snapshots(path: Path, *, bound: bool = True) -> None:
    """Checks the file of a seed's snapshots.

    Args:
        path: the file.
        bound: whether it must tell of which seed it is.

    Raises:
        InvalidInputError: it is damaged, or of another seed.
        FileNotFoundError: it does not exist.
    """
    digest = npz_digest(path, MAX_ARRAY_BYTES)
    comment = read_comment(path, MAX_ARRAY_BYTES)
    if bound and not comment:
        raise InvalidInputError(f"{path.name} does not tell of which seed it is")
    check_history(path, digest, comment)


def _history_problems(
    folder: RunFolder, settings: Mapping[str, object], result: Verification
) -> Iterator[str]:
    """Yields which snapshots are damaged, or of another seed."""
    paths = sorted(folder.history_dir.glob("seed-*.npz"))
    for path in paths:
        try:
            check_snapshots(path, bound=is_bound(settings))
        except FileNotFoundError:
            continue
        except InvalidInputError as error:
            yield f"history/{error}"
    if paths:
        result.checked.append(_count(paths, "history", "histories"))


def seal(folder: RunFolder) -> dict[str, str]:
    """Digest of each file of a run that has ended, by its name in the folder.

    Of a checkpoint it is that of its arrays: it may be large.
    """
    return {name: _sealed_digest(folder.path / name) for name in _sealed_names(folder)}


def _sealed_names(folder: RunFolder) -> list[str]:
    paths = [folder.metrics_path, folder.model_path, *folder.path.glob("codebook*.csv")]
    paths += folder.history_dir.glob("seed-*.npz")
    paths += [path for *_, path in iter_checkpoints(folder.checkpoints_dir)]
    return sorted(str(x.relative_to(folder.path)) for x in paths if x.exists())


def _sealed_digest(path: Path) -> str:
    if path.parent.name == "checkpoints":
        return npz_digest(path, MAX_ARRAY_BYTES)
    return file_digest(path, MAX_ARRAY_BYTES)


def _check_seal(
    folder: RunFolder, settings: Mapping[str, object], result: Verification
) -> None:
    """Compares the files of a run that has ended with their digests."""
    sealed = settings.get(SEAL_KEY)
    if not isinstance(sealed, dict):
        result.notes.append(
            "the run has not ended: lines after the newest checkpoints, and exported "
            "weights, are not checked"
        )
        return
    present = _sealed_names(folder)
    for name, digest in sealed.items():
        if name not in present:
            result.problems.append(f"{name} is lost")
            continue
        try:
            changed = _sealed_digest(folder.path / name) != digest
        except (InvalidInputError, OSError, KeyError):
            changed = True
        if changed:
            result.problems.append(f"{name} was changed after the run had ended")
    for name in present:
        if name not in sealed:
            result.problems.append(f"{name} was added after the run had ended")
    kinds = Counter(Path(name).suffix for name in sealed)
    result.checked.append(f"the seal of {sum(kinds.values())} files")


def _count(items: Sequence[object], one: str, many: str = "") -> str:
    return f"{len(items)} {one if len(items) == 1 else many or one + 's'}"
