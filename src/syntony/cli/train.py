"""`syntony train`: a preset, changed by flags, becomes a run."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any

import tyro
from tyro.constructors import PrimitiveTypeInfo

from syntony.cli.flags import Spec, Switch, parse, spec
from syntony.errors import BadInput
from syntony.run.devices import remember_programs
from syntony.run.train import train
from syntony.study import presets
from syntony.systems.ids import SYSTEMS, system
from syntony.tasks.ids import task
from syntony.tasks.task import Task

TASK = "Foraging-2s-8x8-3p-2f-coop"


@dataclass(frozen=True)
class Options:
    """How long, how often, and where to."""

    preset: str = presets.DEFAULT
    """Constants to start from; see: syntony list presets."""
    steps: int = 10_000_000
    """Environment steps of each seed."""
    seeds: int = 1
    """Number of seeds, each of which learns alone."""
    seed: int = 0
    """The first seed."""
    out: Annotated[
        str | None,
        tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: new, in runs/)"),
    ] = None
    """The run folder. If it holds this very run, that goes on."""
    eval_every: int = 50_000
    """Environment steps from one evaluation to the next."""
    eval_episodes: int = 100
    """Episodes of an evaluation."""
    quiet: Switch = False
    """Show nothing."""


def run(words: list[str]) -> None:
    """Trains."""
    if not words or words[0].startswith("-"):
        raise BadInput(f"train what? expected {' or '.join(SYSTEMS)}")
    name, flags = words[0], words[1:]
    options, learner = _read(name, flags)
    remember_programs()
    train(learner, **vars(options))


def _read(name: str, flags: list[str]) -> tuple[Options, Any]:
    """Returns the options, and the system: a preset's, but for what flags say."""
    kind = system(name)
    preset = _value(flags, "--preset", presets.DEFAULT)
    learner = presets.preset(name, preset, task(_value(flags, "--task", TASK)))
    options = Options(preset=preset, steps=presets.default_steps(preset))
    both = dataclasses.make_dataclass(
        "Train", [("run", Options), (name, kind)], frozen=True
    )
    read = parse(
        both,
        flags,
        prog=f"syntony train {name}",
        default=both(options, learner),
        rules=[_task],
    )
    return read.run, getattr(read, name)


def _value(flags: list[str], flag: str, default: str) -> str:
    """Returns the value of a flag that other flags' defaults depend on."""
    value = default
    for word, following in zip(flags, [*flags[1:], ""], strict=True):
        if word == flag and following and not following.startswith("-"):
            value = following
        elif word.startswith(f"{flag}="):
            value = word.removeprefix(f"{flag}=")
    return value


def _task(info: PrimitiveTypeInfo) -> Spec | None:
    if info.type is not Task:
        return None
    return spec("ID", lambda words: task(words[0]), object, lambda task: task.id)
