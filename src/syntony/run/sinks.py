"""Sinks: where else a run's numbers go. `metrics.jsonl` stays the truth.

Each begins with all that the journal holds. So a sink that is asked for late has the
whole curve, and one that had more than the checkpoint a run goes on from has it once.
"""

import math
import os
import secrets
import time
import warnings
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from syntony.errors import BadInput, one_line
from syntony.run.atomic import replacing
from syntony.run.folder import Folder
from syntony.run.journal import Line
from syntony.run.reading import opened

MAKERS = {"tensorboard": ("tensorboardX", "SummaryWriter"), "wandb": ("wandb", "init")}
"""Package and function that write each sink; Syntony's extra has the sink's name."""
PLACE = ("step", "seed")
FLUSH_SECONDS = 10
UNBOUNDED = 0
"""A queue that is never full: whoever fills it does not wait for the disk."""
MOST_BYTES = 100
"""Of the file that holds an id."""
ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


class Source(NamedTuple):
    """The run that a sink is of."""

    folder: Folder
    settings: dict[str, Any]
    seeds: Sequence[int]
    began: float
    """When it would have begun, had it never stopped: seconds since 1970."""


class TensorBoard:
    """Event files in RUN/tensorboard, a folder for each seed; each sitting anew."""

    def __init__(self, source: Source):
        make = maker("tensorboard")
        self._began = source.began
        self._writers: dict[int, Any] = {}
        for seed in source.seeds:
            place = source.folder.tensorboard / f"seed-{seed}"
            for old in place.glob("events.out.tfevents.*"):
                old.unlink()
            self._writers[seed] = make(
                str(place),
                # A TensorBoard that looks on forgets what it has read of the old files.
                purge_step=0,
                max_queue=UNBOUNDED,
                flush_secs=FLUSH_SECONDS,
            )

    def write(self, line: Line) -> None:
        writer, wall_s = self._writers[line["seed"]], line.get("wall_s") or 0.0
        for name, value in numbers(line).items():
            writer.add_scalar(name, value, line["step"], self._began + wall_s)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


class Wandb:
    """Runs of Weights & Biases, one for each seed, in a group.

    A seed has the same id in all its sittings. Online the service says how far it is,
    and gets what follows. Offline it cannot be asked: a sitting leaves a folder with
    the whole curve, and of folders with one id `wandb sync` lets the last one count.
    """

    def __init__(self, source: Source):
        name = source.folder.path.resolve().name
        group = f"{name}-{_identity(source.folder)}"
        make = maker("wandb")
        self._runs = {
            seed: make(
                project=os.environ.get("WANDB_PROJECT", "syntony"),
                group=group,
                name=f"{name}-seed-{seed}",
                id=f"{_identity(source.folder)}-{seed}",
                dir=str(source.folder.path),
                config=source.settings | {"seed": seed},
                resume="allow",
                reinit="create_new",
            )
            for seed in source.seeds
        }
        self._known = {seed: run.step for seed, run in self._runs.items()}

    def write(self, line: Line) -> None:
        seed, step = (line[name] for name in ("seed", "step"))
        if step >= self._known[seed]:
            self._runs[seed].log(numbers(line), step=step)

    def close(self) -> None:
        for run in self._runs.values():
            run.finish()


Sink = TensorBoard | Wandb
SINKS: dict[str, type[Sink]] = {"tensorboard": TensorBoard, "wandb": Wandb}


class Sinks:
    """All sinks of a run. One that fails is given up; the run goes on without it."""

    def __init__(self, names: Sequence[str], source: Source, lines: Iterable[Line]):
        self._open: dict[str, Sink] = {}
        try:
            for name in names:
                self._open[name] = _opened(name, source)
        except BadInput:
            self.close()
            raise
        for line in lines:
            self.write(line)

    def write(self, line: Line) -> None:
        """Passes on a line of the journal."""
        for name, sink in list(self._open.items()):
            try:
                sink.write(line)
            except Exception as failure:
                del self._open[name]
                _give_up(name, failure)

    def close(self) -> None:
        """Sees that all that was passed on arrives."""
        for name, sink in self._open.items():
            try:
                sink.close()
            except Exception as failure:
                _give_up(name, failure)
        self._open = {}


def maker(name: str) -> Any:
    """Returns what opens a sink.

    Raises:
        BadInput: its package is not installed; the message has what to type.
    """
    package, function = MAKERS[name]
    try:
        # What a folder of that name in the current one is taken for has no function.
        return getattr(import_module(package), function)
    except (ImportError, AttributeError):
        raise BadInput(
            f"--{name} needs {package}, which is not installed; "
            f"to install it: pip install 'syntony[{name}]'"
        ) from None


def source(folder: Folder, settings: dict[str, Any], wall_s: float) -> Source:
    """Returns the run that sinks are to be of.

    Args:
        settings: as in `settings.json`.
        wall_s: seconds that it has taken so far.
    """
    seeds = range(settings["seed"], settings["seed"] + settings["seeds"])
    return Source(folder, settings, seeds, time.time() - wall_s)


def numbers(line: Line) -> dict[str, float]:
    """Returns what a line measured, by name; what was no number is left out."""
    return {
        name: value
        for name, value in line.items()
        if name not in PLACE and value is not None and math.isfinite(value)
    }


def _opened(name: str, source: Source) -> Sink:
    try:
        return SINKS[name](source)
    except Exception as failure:
        hint = "; without a network: WANDB_MODE=offline" if name == "wandb" else ""
        raise BadInput(f"--{name}: {one_line(failure)}{hint}") from failure


def _give_up(name: str, failure: Exception) -> None:
    warnings.warn(
        f"--{name} failed ({one_line(failure)}); the run goes on without it, and "
        "a resume with it writes all of it again",
        stacklevel=3,
    )


def _identity(folder: Folder) -> str:
    """Returns what names a run at a service; drawn once, and kept in its folder."""
    path = folder.path / "wandb-id"
    try:
        with opened(path, MOST_BYTES) as file:
            found = file.read().decode("ascii", "replace").strip()
    except FileNotFoundError:
        found = ""
    if not found.isalnum():
        found = "".join(secrets.choice(ALPHABET) for _ in range(12))
        with replacing(path) as file:
            file.write(found.encode())
    return found
