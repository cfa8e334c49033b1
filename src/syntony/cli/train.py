"""`syntony train`: a preset, changed by flags, becomes a run."""

import dataclasses
import warnings
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import tyro
from tyro.constructors import PrimitiveTypeInfo

from syntony.channels.channel import Channel
from syntony.channels.feedback import Feedback, feedback
from syntony.channels.ids import channel
from syntony.cli.flags import Rule, Spec, Switch, parse, spec
from syntony.errors import BadInput
from syntony.run.devices import remember_programs
from syntony.run.train import train
from syntony.study import presets
from syntony.systems.ids import SYSTEMS, system
from syntony.systems.link import Link
from syntony.tasks.ids import task
from syntony.tasks.task import Task

TASK = "Foraging-2s-8x8-3p-2f-coop"


@dataclass(frozen=True)
class Options:
    """How long, how often, and where to."""

    preset: str
    """Constants to start from; see: syntony list presets."""
    steps: int
    """Length of each seed: environment steps of a team, iterations of a link."""
    eval_every: int
    """Steps from one evaluation to the next."""
    eval_episodes: int
    """Episodes of an evaluation; blocks, of a link."""
    seeds: int = 1
    """Number of seeds, each of which learns alone."""
    seed: int = 0
    """The first seed."""
    out: Annotated[
        str | None,
        tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: new, in runs/)"),
    ] = None
    """The run folder. If it holds this very run, that goes on."""
    quiet: Switch = False
    """Show nothing."""
    tensorboard: Switch = False
    """Also write to tensorboard/ in the run folder, for TensorBoard. Not remembered: a
    resumed run does so if it is asked again."""
    wandb: Switch = False
    """Also log to Weights & Biases; without a network: WANDB_MODE=offline. Not
    remembered either."""


@dataclass(frozen=True)
class Noise:
    """How strong the signal is."""

    snr_db: float
    """E_s / N_0 a channel use while training, in dB."""


def run(words: list[str]) -> None:
    """Trains."""
    if not words or words[0].startswith("-"):
        *most, last = SYSTEMS
        raise BadInput(f"train what? expected {', '.join(most)} or {last}")
    name, flags = words[0], words[1:]
    kind = system(name)
    options, learner = (_read_link if kind is Link else _read_team)(name, flags)
    remember_programs()
    train(learner, **vars(options))


def _read_team(name: str, flags: list[str]) -> tuple[Options, Any]:
    """Returns the options, and the system: a preset's, but for what flags say."""
    preset = _value(flags, "--preset", presets.default(name))
    world = task(_value(flags, "--task", TASK))
    learner = presets.preset(name, preset, world)
    options = Options(preset=preset, **presets.pace(name, world))
    read = _parse(name, flags, {"run": options, name: learner}, [_task])
    return read.run, getattr(read, name)


def _read_link(name: str, flags: list[str]) -> tuple[Options, Any]:
    """Returns the options, and the link: a preset's, but for what flags say."""
    preset = _value(flags, "--preset", presets.default(name))
    world = channel(_value(flags, "--channel", "awgn"))
    learner: Any = presets.preset(name, preset, world)
    options = Options(preset=preset, **presets.pace(name))
    records: dict[str, Any] = {"run": options, name: learner}
    if world.snr_db is not None:
        records["noise"] = Noise(snr_db=world.snr_db)
    elif _given(flags, "--snr-db"):
        raise BadInput(f"{world.id} has a noise of its own; leave out --snr-db")
    read = _parse(name, flags, records, [_channel, _feedback])
    link = getattr(read, name)
    if world.snr_db is not None:
        at_snr = link.channel.at(read.noise.snr_db)
        link = dataclasses.replace(link, channel=at_snr)
    if not _given(flags, "--horizon"):
        # What falls until the end falls until the end that was asked for.
        schedule = dataclasses.replace(link.schedule, horizon=read.run.steps)
        link = dataclasses.replace(link, schedule=schedule)
    return read.run, link


def _parse(
    name: str, flags: list[str], records: dict[str, Any], rules: list[Rule]
) -> Any:
    fields = [(field, type(record)) for field, record in records.items()]
    together = dataclasses.make_dataclass("Train", fields, frozen=True)
    prog, default = f"syntony train {name}", together(**records)
    with warnings.catch_warnings():
        # How a task of one's own names its methods' arguments is nobody's business.
        warnings.filterwarnings("ignore", r"The field `\w+\.task` is annotated")
        return parse(together, flags, prog=prog, default=default, rules=rules)


def _given(flags: list[str], flag: str) -> bool:
    return any(word == flag or word.startswith(f"{flag}=") for word in flags)


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
    return _named(info, Task, task)


def _channel(info: PrimitiveTypeInfo) -> Spec | None:
    return _named(info, Channel, channel)


def _feedback(info: PrimitiveTypeInfo) -> Spec | None:
    return _named(info, Feedback, feedback)


def _named(info: PrimitiveTypeInfo, kind: Any, read: Any) -> Spec | None:
    """Reads an id as the record that it names."""
    # Where names of arguments differ from the protocol's, it is one of two types.
    if kind not in (info.type, *get_args(info.type)):
        return None
    return spec("ID", lambda words: read(words[0]), object, lambda record: record.id)
