"""`syntony train`: a preset, changed by flags, becomes a run."""

import dataclasses
import warnings
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import tyro
from tyro.constructors import PrimitiveTypeInfo

from syntony.channels.channel import Channel
from syntony.channels.feedback import Feedback, feedback
from syntony.channels.registry import channel
from syntony.cli.flags import BoolFlag, TyroRule, TyroSpec, make_tyro_spec, parse_args
from syntony.errors import InvalidInputError
from syntony.presets import registry
from syntony.systems.link.link import Link
from syntony.systems.registry import SYSTEMS, system_class
from syntony.tasks.registry import task
from syntony.tasks.task import Task
from syntony.training.devices import enable_compilation_cache
from syntony.training.loop import train

DEFAULT_TASK = "Foraging-2s-8x8-3p-2f-coop"


@dataclass(frozen=True)
class TrainOptions:
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
    quiet: BoolFlag = False
    """Show nothing."""
    tensorboard: BoolFlag = False
    """Also write to tensorboard/ in the run folder, for TensorBoard. Not remembered: a
    resumed run does so if it is asked again."""
    wandb: BoolFlag = False
    """Also log to Weights & Biases; without a network: WANDB_MODE=offline. Not
    remembered either."""


@dataclass(frozen=True)
class SNROptions:
    """How strong the signal is."""

    snr_db: float
    """E_s / N_0 a channel use while training, in dB."""


def run(argv: list[str]) -> None:
    """Trains."""
    if not argv or argv[0].startswith("-"):
        *most, last = SYSTEMS
        raise InvalidInputError(f"train what? expected {', '.join(most)} or {last}")
    name, flags = argv[0], argv[1:]
    kind = system_class(name)
    options, learner = (_parse_link_args if kind is Link else _parse_team_args)(
        name, flags
    )
    enable_compilation_cache()
    train(learner, **vars(options))


def _parse_team_args(name: str, argv: list[str]) -> tuple[TrainOptions, Any]:
    """Returns the options, and the system: a preset's, but for what flags say."""
    preset = _flag_value(argv, "--preset", registry.default_preset(name))
    world = task(_flag_value(argv, "--task", DEFAULT_TASK))
    learner = registry.preset(name, preset, world)
    options = TrainOptions(preset=preset, **registry.default_run_options(name, world))
    read = _parse_configs(name, argv, {"run": options, name: learner}, [_task_rule])
    return read.run, getattr(read, name)


def _parse_link_args(name: str, argv: list[str]) -> tuple[TrainOptions, Any]:
    """Returns the options, and the link: a preset's, but for what flags say."""
    preset = _flag_value(argv, "--preset", registry.default_preset(name))
    world = channel(_flag_value(argv, "--channel", "awgn"))
    learner: Any = registry.preset(name, preset, world)
    options = TrainOptions(preset=preset, **registry.default_run_options(name))
    records: dict[str, Any] = {"run": options, name: learner}
    if world.snr_db is not None:
        records["noise"] = SNROptions(snr_db=world.snr_db)
    elif _has_flag(argv, "--snr-db"):
        raise InvalidInputError(
            f"{world.id} has a noise of its own; leave out --snr-db"
        )
    read = _parse_configs(name, argv, records, [_channel_rule, _feedback_rule])
    link = getattr(read, name)
    if world.snr_db is not None:
        at_snr = link.channel.at(read.noise.snr_db)
        link = dataclasses.replace(link, channel=at_snr)
    if not _has_flag(argv, "--decay-iterations"):
        # What falls until the end falls until the end that was asked for.
        schedule = dataclasses.replace(link.schedule, decay_iterations=read.run.steps)
        link = dataclasses.replace(link, schedule=schedule)
    return read.run, link


def _parse_configs(
    name: str, argv: list[str], configs: dict[str, Any], rules: list[TyroRule]
) -> Any:
    fields = [(field, type(record)) for field, record in configs.items()]
    together = dataclasses.make_dataclass("Train", fields, frozen=True)
    prog, default = f"syntony train {name}", together(**configs)
    with warnings.catch_warnings():
        # How a task of one's own names its methods' arguments is nobody's business.
        warnings.filterwarnings("ignore", r"The field `\w+\.task` is annotated")
        return parse_args(together, argv, prog=prog, default=default, rules=rules)


def _has_flag(argv: list[str], flag: str) -> bool:
    return any(word == flag or word.startswith(f"{flag}=") for word in argv)


def _flag_value(argv: list[str], flag: str, default: str) -> str:
    """Returns the value of a flag that other flags' defaults depend on."""
    value = default
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        if word == flag and following and not following.startswith("-"):
            value = following
        elif word.startswith(f"{flag}="):
            value = word.removeprefix(f"{flag}=")
    return value


def _task_rule(info: PrimitiveTypeInfo) -> TyroSpec | None:
    return _id_rule(info, Task, task)


def _channel_rule(info: PrimitiveTypeInfo) -> TyroSpec | None:
    return _id_rule(info, Channel, channel)


def _feedback_rule(info: PrimitiveTypeInfo) -> TyroSpec | None:
    return _id_rule(info, Feedback, feedback)


def _id_rule(
    info: PrimitiveTypeInfo, target_type: Any, from_id: Any
) -> TyroSpec | None:
    """Reads an id as the record that it names."""
    # Where names of arguments differ from the protocol's, it is one of two types.
    if target_type not in (info.type, *get_args(info.type)):
        return None
    return make_tyro_spec(
        "ID", lambda words: from_id(words[0]), object, lambda record: record.id
    )
