"""Digests that bind the files of a run to one another: settings, states, metrics.

They detect damage, loss and mix-ups, not forgery: there is no key. This module needs
no JAX, so that `syntony verify` starts at once.
"""

import hashlib
import json
import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, cast, runtime_checkable

import numpy as np

from syntony.errors import InvalidInputError
from syntony.training.safe_io import (
    BinaryReader,
    JsonObject,
    open_untrusted,
    parse_npy_header,
    validate_zip,
    visible_json,
)

STEP_DIGITS = 12
"""Digits of the step in a checkpoint's file name; zero-padded, so that names sort."""
FILE_NAME = re.compile(rf"seed-(\d+)-(\d{{{STEP_DIGITS}}})(?:-at-(\d+))?")
"""Name of a checkpoint's file, without its ending: its seed and step, and where it is
kept the multiple of `save_every` that it was saved at."""
HASH_KEY = "sha256"
"""Name of the digest in a file: of arrays in a checkpoint, of entries in settings."""
NUMBER_ENTRIES = ("seed", "step", "start", "lines", "seed_lines")
HASH_ENTRIES = ("settings_sha256", "lines_sha256", "seed_lines_sha256")
"""Entries of a checkpoint's comment; the arrays of a checkpoint are the state alone."""
LEARNING_FIELDS = (
    "system",
    "task",
    "channel",
    "settings",
    "seeds",
    "seed",
    "eval_every",
    "eval_episodes",
    "initial_steps",
)
"""Entries of `settings.json` that determine what a run learns and measures."""
CHAIN_KEY = "chain"
"""Entry of a metrics row: a number that depends on all rows of its seed before it."""
UNCHAINED = (CHAIN_KEY, "wall_s")
"""Entries that the chain does not cover; a repeated run has the same chain."""
CHAIN_BITS = 52
"""Bits of the chain's numbers: every reader of JSON holds them exactly."""
METRIC_NAME = re.compile(r"[\w/ .,:;+*%@#=()\[\]²-]{1,200}")
"""Names of metrics: they reach terminals and pages, and may be anyone's."""
MAX_ROWS = 250_000
"""Most lines of a metrics log, which is read into memory; no run may plan more."""
MAX_LINE_BYTES = 2**20
"""Bytes of a line of the metrics log."""
MAX_ARRAY_IN_MEMORY = 2**28
CHUNK_BYTES = 2**20


@runtime_checkable
class _Hash(Protocol):
    """A hash of `hashlib`."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Adds bytes."""
        ...


class LogRecord(NamedTuple):
    """The metrics log at the time of a checkpoint, or of a start."""

    lines: int
    """Lines in the file."""
    lines_sha256: bytes
    """SHA-256 of these lines."""
    seed_lines: int
    """Lines of the checkpoint's seed."""
    seed_lines_sha256: bytes


class CheckpointRecord(NamedTuple):
    """Of which run, seed and step a checkpoint is, and what the log held."""

    seed: int
    step: int
    settings_sha256: bytes
    """Digest of the settings that determine learning; see `settings_digest`."""
    start: int
    """Which start of the run wrote it, counted from 1."""
    log: LogRecord


def settings_digest(settings: Mapping[str, object]) -> bytes:
    """SHA-256 of the entries of `settings.json` that determine what a run learns."""
    entries = {name: settings[name] for name in LEARNING_FIELDS if name in settings}
    return hashlib.sha256(_canonical(visible_json(entries))).digest()


def entries_digest(entries: Mapping[str, object]) -> str:
    """SHA-256 of all entries of a JSON object but its own digest, as hex digits."""
    others = {name: value for name, value in entries.items() if name != HASH_KEY}
    return hashlib.sha256(_canonical(others)).hexdigest()


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False).encode()


def with_known_names(row: JsonObject, names: dict[str, str]) -> JsonObject:
    """A row of the metrics log with names that were seen before.

    A long log has few: each is checked, and kept in memory, once.

    Args:
        row: the row.
        names: the names so far, each by itself; new ones are added.

    Raises:
        ValueError: the name of a metric is none.
    """
    for name in row.keys() - names.keys():
        if not METRIC_NAME.fullmatch(name):
            raise ValueError(name)
        names[name] = name
    return {names[name]: value for name, value in row.items()}


def next_chain(previous: int, row: Mapping[str, object]) -> int:
    """Number of a row, from that of the seed's row before it."""
    content = {name: x for name, x in row.items() if name not in UNCHAINED}
    return _chain_number(f"{previous} {json.dumps(content)}".encode())


def _chain_number(content: bytes) -> int:
    return int.from_bytes(hashlib.sha256(content).digest()[:8]) >> (64 - CHAIN_BITS)


class LogHashes:
    """Running hashes of a metrics log, whole and by seed."""

    def __init__(self) -> None:
        self._chains: dict[int, int] = {}
        self._all = _LineHash()
        self._seeds: dict[int, _LineHash] = {}

    def chain(self, row: Mapping[str, object], seed: int) -> int:
        """Number of the chain for a seed's next row."""
        return next_chain(self._chains.get(seed, 0), row)

    def add(self, line: bytes, seed: int, chain: object) -> None:
        """Adds a line, with its line break.

        Args:
            line: the line.
            seed: seed of its row.
            chain: number of its row; of older versions it has none.
        """
        self._all.add(line)
        self._seeds.setdefault(seed, _LineHash()).add(line)
        if isinstance(chain, int):
            self._chains[seed] = chain

    def record(self, seed: int) -> LogRecord:
        """The log as it is now, for a checkpoint of a seed."""
        of_seed = self._seeds.get(seed, _LineHash())
        return LogRecord(*self._all.values(), *of_seed.values())

    def is_chained(self, seed: int) -> bool:
        """Whether a row of a seed had a number."""
        return seed in self._chains


class _LineHash:
    """Number and hash of lines."""

    def __init__(self) -> None:
        self._count, self._hash = 0, hashlib.sha256()

    def add(self, line: bytes) -> None:
        self._count += 1
        self._hash.update(line)

    def values(self) -> tuple[int, bytes]:
        return self._count, self._hash.digest()


def array_digest(arrays: Mapping[str, np.ndarray], comment: bytes = b"") -> np.ndarray:
    """SHA-256 of named arrays, as 32 bytes; it does not depend on their order.

    Args:
        arrays: the arrays.
        comment: comment of the archive, which it covers too.
    """
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(_array_header(name, array.dtype, array.shape))
        digest.update(np.ascontiguousarray(array).data)
    digest.update(comment)
    return np.frombuffer(digest.digest(), np.uint8)


def _array_header(name: str, dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    return f"{name} {dtype.str} {shape}".encode()


def encode_comment(entries: Mapping[str, object]) -> bytes:
    """Comment of an archive, which says of which run it is."""
    texts = {n: x.hex() if isinstance(x, bytes) else x for n, x in entries.items()}
    return json.dumps(texts).encode()


def parse_comment(comment: bytes) -> JsonObject:
    """Entries of an archive's comment; empty for archives of older versions.

    Raises:
        InvalidInputError: it is damaged.
    """
    if not comment:
        return {}
    try:
        entries = json.loads(comment)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict):
        raise InvalidInputError("the comment of an archive is damaged")
    return entries


def record_comment(seed: int, step: int, record: CheckpointRecord | None) -> bytes:
    """Comment of a checkpoint.

    Args:
        seed: seed of the state.
        step: its step.
        record: further facts; None: only seed and step are stored.
    """
    entries: JsonObject = {"seed": seed, "step": step}
    if record is not None:
        others = {"settings_sha256": record.settings_sha256, "start": record.start}
        entries |= others | record.log._asdict()
    return encode_comment(entries)


def parse_record(comment: bytes) -> CheckpointRecord | None:
    """The facts that `record_comment` has stored; None where it has not all."""
    entries = parse_comment(comment)
    numbers = [entries.get(name) for name in NUMBER_ENTRIES]
    if any(type(number) is not int for number in numbers):
        return None
    try:
        hashes = [bytes.fromhex(str(entries[name])) for name in HASH_ENTRIES]
    except (KeyError, ValueError):
        return None
    seed, step, start, lines, seed_lines = cast(list[int], numbers)
    log = LogRecord(lines, hashes[1], seed_lines, hashes[2])
    return CheckpointRecord(seed, step, hashes[0], start, log)


def check_name(path: Path, comment: bytes) -> None:
    """Raises InvalidInputError if a checkpoint has the name of another seed or step.

    Args:
        path: the file.
        comment: its comment; older versions wrote none.
    """
    match, entries = FILE_NAME.fullmatch(path.stem), parse_comment(comment)
    if match is None or not entries:
        return
    held = entries.get("seed"), entries.get("step")
    if (int(match[1]), int(match[2])) != held:
        raise InvalidInputError(
            f"{path.name} holds seed {held[0]} at step {held[1]}: it was renamed, or "
            "copied over another file"
        )


def check_history(path: Path, digest: str, comment: bytes) -> None:
    """Raises InvalidInputError if snapshots are damaged, or of another seed.

    Args:
        path: the file.
        digest: that of its arrays, in hex digits.
        comment: its comment; older versions wrote none.
    """
    entries = parse_comment(comment)
    if not entries:
        return
    if entries.get(HASH_KEY) != digest:
        raise InvalidInputError(f"{path.name} is damaged (its hash does not match)")
    if path.stem != f"seed-{entries.get('seed')}":
        raise InvalidInputError(
            f"{path.name} holds the snapshots of seed {entries.get('seed')}"
        )


def read_comment(path: Path, max_bytes: int) -> bytes:
    """Comment of an archive, which is not verified.

    Raises:
        InvalidInputError: the file is damaged.
        FileNotFoundError: the file does not exist.
    """
    with _open_npz(path, max_bytes) as zipped:
        return zipped.comment


def npz_digest(path: Path, max_bytes: int) -> str:
    """SHA-256 of the arrays and the comment of an archive, without its own digest.

    In little memory, however large the file is.

    Returns:
        The hex digits of `array_digest`.

    Raises:
        InvalidInputError: the file is damaged, or its digest is another one.
        FileNotFoundError: the file does not exist.
    """
    digest, saved = hashlib.sha256(), None
    with _open_npz(path, max_bytes) as zipped:
        by_name = {x.filename.removesuffix(".npy"): x for x in zipped.infolist()}
        for name, member in sorted(by_name.items()):
            with zipped.open(member) as file:
                if name == HASH_KEY:
                    saved = _read_array(file, member).tobytes()
                else:
                    _update_digest(digest, name, file, member)
        comment = zipped.comment
    if saved is None and path.parent.name == "checkpoints":
        raise InvalidInputError(f"{path.name} is no checkpoint: it has no hash")
    if saved is None:
        # Of a history, whose digest is in its comment.
        return digest.hexdigest()
    digest.update(comment)
    if saved != digest.digest():
        raise InvalidInputError(f"{path.name} is damaged (its hash does not match)")
    return digest.hexdigest()


@contextmanager
def _open_npz(path: Path, max_bytes: int) -> Iterator[zipfile.ZipFile]:
    """Yields an `.npz` file; whatever goes wrong with it is an InvalidInputError."""
    try:
        with open_untrusted(path, max_bytes) as file, zipfile.ZipFile(file) as zipped:
            validate_zip(zipped.infolist(), os.fstat(file.fileno()).st_size)
            yield zipped
    except (InvalidInputError, FileNotFoundError):
        raise
    except Exception as error:
        # For a damaged file zipfile may raise any exception.
        raise InvalidInputError(
            f"{path.name} is damaged ({type(error).__name__})"
        ) from None


def _update_digest(
    digest: _Hash, name: str, file: BinaryReader, member: zipfile.ZipInfo
) -> None:
    """Adds an array to a digest as `array_digest` does."""
    shape, fortran, dtype = parse_npy_header(file)
    digest.update(_array_header(name, dtype, shape))
    if fortran:
        array = _read_data(file, member, shape, dtype)
        digest.update(np.ascontiguousarray(array.reshape(shape, order="F")).data)
        return
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)


def _read_array(file: BinaryReader, member: zipfile.ZipInfo) -> np.ndarray:
    shape, fortran, dtype = parse_npy_header(file)
    flat = _read_data(file, member, shape, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _read_data(
    file: BinaryReader,
    member: zipfile.ZipInfo,
    shape: tuple[int, ...],
    dtype: np.dtype,
) -> np.ndarray:
    if member.file_size > MAX_ARRAY_IN_MEMORY:
        raise ValueError("too large")
    return np.frombuffer(file.read(), dtype, math.prod(shape))


def file_digest(path: Path, max_bytes: int) -> str:
    """SHA-256 of a file, as hex digits.

    Raises:
        InvalidInputError: it is a link, or too large.
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with open_untrusted(path, max_bytes) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def iter_checkpoints(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Yields seed, step and path of each checkpoint of a run, sorted."""
    found = []
    for path in folder.glob("seed-*.npz"):
        if match := FILE_NAME.fullmatch(path.stem):
            found.append((int(match[1]), int(match[2]), path))
    yield from sorted(found)


def stored_sessions(settings: Mapping[str, object]) -> list[JsonObject]:
    """List of sessions in `settings.json`; empty where it is missing or invalid."""
    sessions = settings.get("sessions")
    if not isinstance(sessions, list):
        return []
    return [session for session in sessions if isinstance(session, dict)]


def is_bound(settings: Mapping[str, object]) -> bool:
    """Whether all files of a run tell of which run they are.

    Those of versions that stored no sessions do not.
    """
    sessions = stored_sessions(settings)
    return bool(sessions) and all(session.get("starts") for session in sessions)


def count_starts(settings: Mapping[str, object]) -> int:
    """Number of times that the processes of a run have started."""
    counts = (session.get("starts") for session in stored_sessions(settings))
    return sum(count for count in counts if isinstance(count, int))
