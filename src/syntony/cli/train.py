"""Trains a system with one or more seeds, into a run folder.

The same command on the same folder continues its run. A team is trained on a task
(--task ID, see: syntony list tasks), a link over a channel (--channel ID, see: syntony
list channels) at --snr-db X. Every constant of a system is a flag as well, with unit
and default; they are listed by: syntony train SYSTEM --help
"""

import dataclasses
import inspect
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, get_args

import tyro
from tyro.constructors import PrimitiveTypeInfo

from syntony.channels.channel import AnyChannel, Channel
from syntony.channels.feedback import Feedback, feedback
from syntony.channels.registry import channel, no_snr_error
from syntony.channels.snr import finite_snr_db
from syntony.cli.arguments import (
    BoolFlag,
    LoggingOptions,
    Seeds,
    TyroSpec,
    make_tyro_spec,
    parse_args,
    parse_known_args,
)
from syntony.cli.config_file import ConfigFile, split_config
from syntony.cli.config_template import config_text, schema_text
from syntony.cli.flags import flag_names, switch_names
from syntony.cli.help_text import SYSTEM_SUMMARIES, common_options
from syntony.cli.run_options import CheckpointFlag, parse_checkpoint
from syntony.cli.trust import ask_trust
from syntony.config import FieldValues
from syntony.errors import InvalidInputError
from syntony.jax_settings import standard_jax_settings
from syntony.presets import registry
from syntony.systems.registry import SYSTEMS, USER_PATTERN, system_class
from syntony.systems.system import System
from syntony.tasks.registry import task
from syntony.tasks.task import Task

if TYPE_CHECKING:
    import syntony.training.run

DEFAULT_TASK = "Foraging-2s-8x8-3p-2f-coop"
DEFAULT_CHANNEL = "awgn"
Name = Annotated[str, tyro.conf.arg(metavar="NAME")]
Id = Annotated[str, tyro.conf.arg(metavar="ID")]


@dataclass(frozen=True)
class TrainOptions:
    """Preset, length, evaluations, seeds and folder."""

    preset: Name
    """Constants that other flags change; see: syntony list presets."""
    steps: int
    """Length of each seed: environment steps of a team, iterations of a link."""
    eval_every: int
    """Steps between two evaluations."""
    eval_episodes: int
    """Episodes of an evaluation; blocks, of a link."""
    seeds: Annotated[Seeds, tyro.conf.arg(metavar="K|A,B,...")] = 1
    """Number of seeds, which are trained independently, or the seeds themselves."""
    seed: int = 0
    """The first of K seeds."""
    out: Annotated[
        str | None,
        tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: new, in runs/)"),
    ] = None
    """Run folder. If it holds a run with the same settings, that is continued."""
    save_every: Annotated[
        int | None,
        tyro.conf.arg(metavar="INT", help_behavior_hint="(default: the newest stay)"),
    ] = None
    """Steps between two checkpoints that are kept."""
    keep_best: BoolFlag = False
    """Keep the checkpoint with the best evaluation so far: highest return, or lowest
    block error rate."""


@dataclass(frozen=True)
class StartOptions:
    """Weights of another run to start from, for fine-tuning and curricula."""

    from_: Annotated[
        str | None,
        tyro.conf.arg(
            name="from", metavar="RUN[:SEED]", help_behavior_hint="(default: none)"
        ),
    ] = None
    """Start from the weights of this run, with the same sizes of networks; only those:
    optimizer states and counters are new. Seed i starts from its seed i, or from its
    first if it has no such seed; with SEED, all start from that one."""
    from_checkpoint: CheckpointFlag = "last"
    """Checkpoint of that run: its newest, best, or the one of a step."""
    from_part: Annotated[
        str | None, tyro.conf.arg(metavar="PART", help_behavior_hint="(default: all)")
    ] = None
    """Take one part of the weights, e.g. actor, receiver or transmitter."""
    trust: BoolFlag = False
    """Use the modules and programs that RUN, or the settings.json of --config, names,
    also if it is from elsewhere."""

    def load(self) -> "syntony.training.run.Run | None":
        """The other run; None where the training starts from new weights."""
        from syntony.training.run import load

        checkpoint = parse_checkpoint(self.from_checkpoint)
        if self.from_ is None:
            if checkpoint != "last" or self.from_part is not None:
                raise InvalidInputError(
                    "--from-checkpoint and --from-part are of --from RUN, which is "
                    "missing"
                )
            return None
        path, _, seed = self.from_.rpartition(":")
        if not path or not seed.isdecimal() or Path(self.from_).exists():
            trust = ask_trust([self.from_], trust=self.trust)
            return load(self.from_, checkpoint=checkpoint, trust=trust)
        trust = ask_trust([path], trust=self.trust)
        return load(path, checkpoint=checkpoint, seeds=(int(seed),), trust=trust)


@dataclass(frozen=True)
class ConfigOptions:
    """Configuration files, whose entries are flags."""

    config: Annotated[
        str | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: none)")
    ] = None
    """Take flags from a TOML file, or from the settings.json of a run; those of the
    command line win."""
    print_config: BoolFlag = False
    """Print a configuration file with every constant, and train nothing."""
    print_schema: BoolFlag = False
    """Print a JSON Schema of such files, for editors, and train nothing."""


@dataclass(frozen=True)
class SNROptions:
    """Strength of the signal."""

    snr_db: float
    """E_s / N_0 per complex channel use during training, in dB. In a chain it is that
    of all noises together, which are shifted by the same dB."""


@dataclass(frozen=True)
class Train:
    """A system, and the arguments of `train` for it."""

    system: System
    arguments: FieldValues
    start: StartOptions
    printed: str = ""
    """Text that is printed in place of training; empty: it is trained."""
    config: ConfigFile | None = None
    flags: Sequence[str] = ()
    """All flags, with those of the configuration file."""

    def execute(self) -> None:
        """Trains the system."""
        if self.printed:
            print(self.printed, end="")
            return
        with self.config.naming_line() if self.config else nullcontext():
            self.train()

    def train(self) -> "syntony.training.run.Run":
        """Trains the system; the run."""
        # Imported late: --help need not wait for the training loop.
        from syntony.training.devices import enable_compilation_cache
        from syntony.training.loop import train

        enable_compilation_cache()
        return train(
            self.system,
            **self.arguments,
            start_from=self.start.load(),
            start_part=self.start.from_part,
        )


@standard_jax_settings()
def parse_train(argv: list[str]) -> Train:
    """Parses the arguments of `syntony train`.

    Task or channel, preset and length are parsed first: the defaults of all other
    flags, which the help text shows, depend on them.

    Raises:
        InvalidInputError: an argument is unknown, invalid or missing.
    """
    argv, config = split_config(argv)
    if config is None:
        return _parse_arguments(argv, None)
    return parse_config(config, argv)


def parse_config(config: ConfigFile, argv: Sequence[str] = ()) -> Train:
    """Parses the entries of a configuration file.

    Args:
        config: the file.
        argv: arguments, which win over the file.

    Raises:
        InvalidInputError: an entry or argument is unknown, invalid or missing.
    """
    with config.naming_line():
        return _parse_arguments(_with_system(argv, config), config)


def read_config(path: str | os.PathLike[str]) -> tuple[System, FieldValues]:
    """System and training options of a configuration file.

    Args:
        path: a TOML file as `syntony train SYSTEM --print-config` prints it, or the
            `settings.json` of a run.

    Returns:
        The system, and the keyword arguments of `train`.

    Raises:
        InvalidInputError: an entry is unknown or invalid.
        UntrustedCodeError: it is of a run that names code, from elsewhere.

    Examples:
        >>> import syntony
        >>> system, options = syntony.read_config("smpe.toml")  # doctest: +SKIP
        >>> run = syntony.train(system, **options)  # doctest: +SKIP
    """
    parsed = parse_train(["--config", os.fspath(path)])
    return parsed.system, parsed.arguments


def _with_system(argv: Sequence[str], config: ConfigFile) -> list[str]:
    """Arguments that begin with the system of the command line, or of the file."""
    if not argv or argv[0].startswith("-"):
        return [config.system, *argv] if config.system else [*argv]
    if config.system not in (None, argv[0]):
        raise InvalidInputError(
            f"{config.path} is of {config.system}, not of {argv[0]}; expected "
            f"syntony train {config.system}"
        )
    return [*argv]


def _parse_arguments(argv: Sequence[str], config: ConfigFile | None) -> Train:
    if not argv or argv[0].startswith("-"):
        names = ", ".join(SYSTEMS)
        raise InvalidInputError(f"train what? expected {names} or {USER_PATTERN}")
    name, flags = argv[0], list(argv[1:])
    prog = f"syntony train {name}"
    selected, rest = _select(name, flags, config)
    configs = _default_configs(name, selected)
    _reject_duplicate_flags(name, configs)
    args_class = _args_class(configs)
    if config is not None:
        switches = [*switch_names(args_class, RULES)]
        flags = [*config.arguments(flags, switches), *flags]
        _, rest = parse_known_args(_selection_class(name), flags, prog=prog)
    with warnings.catch_warnings():
        # A user's task may name the arguments of its methods otherwise than `Task`.
        warnings.filterwarnings("ignore", r"The field `\w+\.task` is annotated")
        args = parse_args(
            args_class,
            rest,
            prog=prog,
            description=SYSTEM_SUMMARIES.get(name, ""),
            common_options=common_options(_default_texts(configs)),
            default=args_class(**configs),
            rules=RULES,
        )
    arguments = vars(args.training) | vars(args.logging)
    printed = ""
    if args.files.print_config:
        printed = config_text(
            name, args, is_of_run=config is not None and config.is_of_run
        )
    elif args.files.print_schema:
        printed = schema_text(name, args)
    return Train(args.system, arguments, args.start, printed, config, flags)


def config_switches(config: ConfigFile) -> list[str]:
    """Flags without a value, and their negations, of the system of a file.

    Raises:
        InvalidInputError: its task, channel or preset is unknown.
    """
    name = config.system or ""
    selected, _ = _select(name, [], config)
    return [*switch_names(_args_class(_default_configs(name, selected)), RULES)]


def _select(
    name: str, flags: Sequence[str], config: ConfigFile | None
) -> tuple["Selection", list[str]]:
    """Values of the flags that others depend on; also all other arguments."""
    # Whether a flag has a value is known once the system's flags are.
    selectable = [] if config is None else config.arguments(flags, ())
    selected, rest = parse_known_args(
        _selection_class(name), [*selectable, *flags], prog=f"syntony train {name}"
    )
    return Selection(**vars(selected)), rest


def _args_class(configs: Mapping[str, object]) -> type:
    """Dataclass of all flags, from those whose fields they are."""
    return dataclasses.make_dataclass(
        "TrainArgs", [(field, _described_type(x)) for field, x in configs.items()]
    )


class Selection(NamedTuple):
    """Values of the flags that the defaults of other flags depend on."""

    preset: str
    steps: int | None
    task: str | None = None
    """None for a system without a task."""
    channel: str | None = None
    """None for a system without a channel."""
    snr_db: float | None = None


def _selection_class(name: str) -> type:
    """Dataclass of the flags that the defaults of other flags depend on."""
    parameters = inspect.signature(system_class(name)).parameters
    fields: list[tuple[str, object, object]] = [
        ("preset", Name, registry.default_preset(name)),
        ("steps", int | None, None),
    ]
    if "task" in parameters:
        fields += [("task", Id, DEFAULT_TASK)]
    if "channel" in parameters:
        fields += [("channel", Id, DEFAULT_CHANNEL), ("snr_db", float | None, None)]
    return dataclasses.make_dataclass("SelectionArgs", fields)


def _default_configs(name: str, selection: Selection) -> dict[str, object]:
    """Dataclasses whose fields are the flags, with the values that are the defaults."""
    selected_task = None if selection.task is None else task(selection.task)
    selected_channel = _select_channel(selection)
    has_both = selected_task is not None and selected_channel is not None
    task_or_channel = selected_channel if selected_task is None else selected_task
    system = registry.preset(
        name,
        selection.preset,
        task_or_channel,
        selected_channel if has_both else None,
    )
    run_options = registry.default_run_options(name, task_or_channel)
    if selection.steps is not None:
        run_options["steps"] = selection.steps
    configs: dict[str, object] = {
        "training": TrainOptions(preset=selection.preset, **run_options),
        "start": StartOptions(),
        "files": ConfigOptions(),
        "logging": LoggingOptions(),
    }
    if selected_channel is not None:
        snr_db = finite_snr_db(selected_channel)
        configs |= {} if snr_db is None else {"signal": SNROptions(snr_db=snr_db)}
    return configs | {"system": system}


def _default_texts(configs: Mapping[str, object]) -> dict[str, str]:
    """Default of every flag, as help texts show it; nested settings have flags too."""
    texts: dict[str, str] = {}
    for config in configs.values():
        assert dataclasses.is_dataclass(config)
        for field in dataclasses.fields(config):
            value = getattr(config, field.name)
            if isinstance(value, Task | Channel):
                texts[field.name] = value.id
            elif dataclasses.is_dataclass(value):
                texts |= _default_texts({field.name: value})
            else:
                texts[field.name.replace("_", "-")] = _default_text(value)
    return texts


def _default_text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)


def _reject_duplicate_flags(name: str, configs: Mapping[str, object]) -> None:
    """Raises InvalidInputError if a user's system has a field named as another flag."""
    flags = [flag for x in configs.values() for flag in flag_names(type(x), RULES)]
    if duplicates := [flag for flag in dict.fromkeys(flags) if flags.count(flag) > 1]:
        raise InvalidInputError(
            f"{name} has a field whose flag would be {duplicates[0]}, which exists "
            "already; expected another name"
        )


def _described_type(config: object) -> object:
    """Type of a dataclass, described by the first paragraph of its docstring.

    The other paragraphs are about Python: arguments, examples.
    """
    summary = (type(config).__doc__ or "").partition("\n\n")[0]
    return Annotated[type(config), tyro.conf.arg(help=summary)]


def _select_channel(selection: Selection) -> AnyChannel | None:
    if selection.channel is None:
        return None
    selected = channel(selection.channel)
    if selection.snr_db is None:
        return selected
    if finite_snr_db(selected) is None:
        raise no_snr_error(selected)
    return selected.with_snr(selection.snr_db)


def _task_rule(info: PrimitiveTypeInfo) -> TyroSpec | None:
    return _id_rule(info, Task, task)


def _channel_rule(info: PrimitiveTypeInfo) -> TyroSpec | None:
    return _id_rule(info, Channel, channel)


def _feedback_rule(info: PrimitiveTypeInfo) -> TyroSpec | None:
    return _id_rule(info, Feedback, feedback)


def _id_rule(
    info: PrimitiveTypeInfo,
    target_type: type,
    from_id: Callable[[str], Task | AnyChannel | Feedback],
) -> TyroSpec | None:
    """Rule for what an id names."""
    # tyro widens the type to a union for a user's class with other argument names.
    if target_type not in (info.type, *get_args(info.type)):
        return None
    return make_tyro_spec(
        "ID", lambda args: from_id(args[0]), object, lambda value: value.id
    )


RULES = [_task_rule, _channel_rule, _feedback_rule]
"""How the values of flags are parsed that name a task, channel or feedback link."""
