"""Verification of a run: whether its files are whole and belong to one another.

It finds damage, loss and mix-ups; see `integrity`. It needs no JAX and imports no code
that a run names.
"""

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from syntony.errors import InvalidInputError, visible
from syntony.training.folder_walk import (
    MAX_ARRAY_BYTES,
    MAX_LOG_BYTES,
    MAX_SETTINGS_BYTES,
)
from syntony.training.integrity import (
    CHAIN_KEY,
    HASH_KEY,
    MAX_LINE_BYTES,
    MAX_ROWS,
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
    with_known_names,
)
from syntony.training.run_folder import RunFolder, encode_settings
from syntony.training.safe_io import JsonObject, open_untrusted, read_json

SEAL_KEY = "sealed"
"""Entry of `settings.json` of a run that has ended: the digest of each of its files."""
INCOMPLETE_LINE = (
    "metrics.jsonl: the last line is incomplete, as of a process that was killed; "
    "resume drops it"
)
NO_DIGEST = "settings.json has no digest: it is of an older version, or was changed"
MAX_PROBLEMS = 20
"""Most problems that are told."""
MAX_CHANGED_LINES = 1000
"""Most changed lines of a metrics log that are remembered."""


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
        scan = _scan_log(path, settings, records)
    except InvalidInputError as error:
        result.problems.append(str(error))
    else:
        result.problems += scan.problems()
        result.checked.append(f"{scan.lines:,} lines of metrics.jsonl")
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
    return _scan_log(path, settings, records).problems()


def find_damage(path: Path, settings: Mapping[str, object]) -> list[str]:
    """Problems of `settings.json` and of the metrics log.

    Args:
        path: the run folder.
        settings: content of its `settings.json`.
    """
    # A run of a version that stored no digests has none.
    ignored = () if is_bound(settings) else (NO_DIGEST,)
    found = [x for x in settings_problems(RunFolder(path)) if x not in ignored]
    found += find_log_damage(path, settings)
    # What a killed process leaves is no damage.
    return [problem for problem in found if problem != INCOMPLETE_LINE]


def warn_of_damage(path: Path, problems: Sequence[str]) -> None:
    """Warns in one line of the problems of a run, if there are any."""
    if problems:
        hint = f"all problems: syntony verify {path}"
        warnings.warn(f"{path}: {problems[0]}; {hint}", stacklevel=3)


class LogScan:
    """One pass over a metrics log, whatever its length: in little memory.

    Args:
        whole: hash of the file's first lines, by their number.
        records: the facts that the run's checkpoints hold.
    """

    def __init__(self, whole: Mapping[int, bytes], records: Sequence[CheckpointRecord]):
        self.lines = 0
        """Complete lines so far."""
        self.is_whole = True
        """Whether the last line is complete."""
        self._whole = whole
        self._seeds: dict[int, dict[int, bytes]] = {}
        self._newest: dict[int, int] = {}
        for x in records:
            hashes = self._seeds.setdefault(x.seed, {})
            hashes[x.log.seed_lines] = x.log.seed_lines_sha256
            self._newest[x.seed] = max(self._newest.get(x.seed, 0), x.step)
        self._hashes = LogHashes()
        self._changed: list[str] = []
        self._prefix = ""
        self._changed_seeds: dict[int, str] = {}
        self._counts: Counter[int] = Counter()
        self._after_newest: Counter[int] = Counter()

    def add(self, content: bytes, row: JsonObject, seed: int, step: int) -> None:
        """Checks the next line.

        Args:
            content: the line, with its line break.
            row: its row.
            seed: seed of the row.
            step: its step.
        """
        self.lines += 1
        chain = row.get(CHAIN_KEY)
        if problem := self._line_problem(content, row, seed, chain):
            place = f"line {self.lines} (seed {seed}, step {step:,})"
            if len(self._changed) < MAX_CHANGED_LINES:
                self._changed.append(f"metrics.jsonl: {place} {problem}")
        self._hashes.add(content, seed, chain)
        self._counts[seed] += 1
        self._after_newest[seed] += step > self._newest.get(seed, step)
        self._check_prefixes(seed, step)

    def _line_problem(
        self, content: bytes, row: JsonObject, seed: int, chain: object
    ) -> str:
        """How a row does not follow the one before it; empty if it does."""
        if json.dumps(row).encode() + b"\n" != content:
            return "was changed"
        if chain is None and not self._hashes.is_chained(seed):
            # Of a version that wrote no chain.
            return ""
        if chain != self._hashes.chain(row, seed):
            return "was changed, or does not follow the line before it"
        return ""

    def _check_prefixes(self, seed: int, step: int) -> None:
        """Compares the lines so far with the hashes of as many lines."""
        of_seed = self._seeds.get(seed, {})
        known = self.lines in self._whole or self._counts[seed] in of_seed
        if not known:
            return
        log = self._hashes.record(seed)
        if self._whole.get(self.lines, log.lines_sha256) != log.lines_sha256:
            text = f"metrics.jsonl: lines up to {self.lines} were changed, or swapped"
            self._prefix = self._prefix or text
        expected = of_seed.get(self._counts[seed], log.seed_lines_sha256)
        if expected != log.seed_lines_sha256:
            place = f"lines of seed {seed} up to step {step:,}"
            text = f"metrics.jsonl: {place} were changed"
            self._changed_seeds.setdefault(seed, text)

    def problems(self) -> list[str]:
        """All problems, after the last line."""
        found = [] if self.is_whole else [INCOMPLETE_LINE]
        found += self._changed
        most = max(self._whole, default=0)
        if self.lines < most:
            found.append(
                f"metrics.jsonl has lost lines: {self.lines} of at least {most} are "
                "left"
            )
        found += filter(None, [self._prefix])
        for seed in self._seeds:
            found += self._seed_problems(seed)
        return found

    def _seed_problems(self, seed: int) -> Iterator[str]:
        """Yields what is wrong with the lines of a seed, by its checkpoints."""
        count, most = self._counts[seed], max(self._seeds[seed])
        if count < most:
            yield (
                f"metrics.jsonl has lost lines of seed {seed}: {count} of at least "
                f"{most} are left"
            )
        if seed in self._changed_seeds:
            yield self._changed_seeds[seed]
        # A row is written just before its checkpoint: a killed process leaves one.
        if self._after_newest[seed] > 1:
            newest = self._newest[seed]
            yield f"checkpoints of seed {seed} after step {newest:,} are lost"


def _scan_log(
    path: Path,
    settings: Mapping[str, object],
    records: Sequence[CheckpointRecord] | None,
) -> LogScan:
    """Compares the metrics log of a run with what its other files hold of it."""
    if records is None:
        records = _read_records(path)
    starts = count_starts(settings)
    expected = [record.log for record in records if record.start == starts]
    if whole_log := _log_at_start(settings):
        expected.append(whole_log)
    scan = LogScan({log.lines: log.lines_sha256 for log in expected}, records)
    _scan_lines(path / "metrics.jsonl", scan)
    return scan


def _scan_lines(path: Path, scan: LogScan) -> None:
    """Adds the lines of a metrics log to a scan.

    Raises:
        InvalidInputError: a line is no row, or the file cannot be read.
    """
    names: dict[str, str] = {}
    try:
        with open_untrusted(path, MAX_LOG_BYTES) as file:
            for line in iter(lambda: file.readline(MAX_LINE_BYTES), b""):
                if not line.endswith(b"\n"):
                    scan.is_whole = False
                    return
                if scan.lines == MAX_ROWS:
                    raise InvalidInputError(
                        f"{path.name} has more than {MAX_ROWS:,} lines"
                    )
                _scan_line(path, line, names, scan)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InvalidInputError(f"{path.name}: {error.strerror}") from None


def _scan_line(path: Path, line: bytes, names: dict[str, str], scan: LogScan) -> None:
    try:
        row = with_known_names(json.loads(line), names)
        seed, step = row["seed"], row["step"]
        if not (isinstance(seed, int) and isinstance(step, int)):
            raise TypeError(seed, step)
        scan.add(line, row, seed, step)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        message = f"{path.name}: line {scan.lines + 1} is damaged"
        raise InvalidInputError(message) from None


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
        yield NO_DIGEST
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
