"""Configuration of a run: all settings that determine its results."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from syntony.channels.channel import output_uses
from syntony.channels.missing import MissingChannel, is_missing
from syntony.channels.registry import parse_channel
from syntony.errors import InvalidInputError
from syntony.plugins import PREFIX
from syntony.systems.registry import system_class, system_name
from syntony.systems.system import (
    ChoosesSettings,
    DependsOnSteps,
    HasChannel,
    System,
)
from syntony.training.integrity import MAX_ROWS
from syntony.training.safe_io import JsonObject
from syntony.training.serialization import check_stored, deserialize, serialize

MAX_UPDATE_STEPS = 2**27
"""More steps than one update can take: their observations fit in no memory."""
MAX_STEPS = 2**31 - 1 - MAX_UPDATE_STEPS
"""Steps are 32-bit integers, and the last update may go beyond the training length."""
MAX_SEED = 2**31 - 1
"""Seeds are 32-bit integers."""
MAX_SEEDS = 10_000
"""The state of each seed is kept in memory."""
LABEL_FIELDS = ("preset", "save_every", "keep_best")
"""Entries of `settings.json` that do not influence the results."""
TASK_OR_CHANNEL_FIELDS = ("task", "channel")
"""Fields of a system that are stored beside `settings`, not in it."""
CHANNEL_PROPERTIES = "channel_properties"
"""Entry of `settings.json`: what a link needs to know of a user's channel to be loaded
where that cannot be imported."""
COUNT_FIELDS = ("steps", "eval_every", "eval_episodes")
"""Integer fields of `RunConfig` beside the seeds."""
INITIAL_STEPS = "initial_steps"
"""Entry of `settings.json`: the training length at the first start of the run."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A system, its training length, seeds, evaluations and kept checkpoints."""

    system: System
    """The system to train."""
    steps: int
    """Training length of each seed, in units of the system's `step_unit`."""
    seeds: int | tuple[int, ...] = 1
    """Number of seeds: `seed`, `seed` + 1, ...; or the seeds themselves."""
    seed: int = 0
    """The first seed; zero where `seeds` are the seeds themselves."""
    eval_every: int = 50_000
    """Steps between evaluations."""
    eval_episodes: int = 100
    """Episodes per evaluation."""
    preset: str = ""
    """Name of the preset from which the settings were made; only a label."""
    save_every: int | None = None
    """Steps between the checkpoints that are kept; None: none are kept."""
    keep_best: bool = False
    """Whether the checkpoint with the best evaluation so far is kept."""

    def check(self) -> None:
        """Raises `InvalidInputError` if a setting is invalid."""
        upper_bounds = {
            "steps": MAX_STEPS,
            "eval_every": MAX_STEPS,
            "eval_episodes": MAX_STEPS,
        }
        for name, bound in upper_bounds.items():
            if not 1 <= (value := getattr(self, name)) <= bound:
                raise InvalidInputError(f"{name} is {value}; expected 1 to {bound:,}")
        seed_sequence(self.seeds, self.seed)
        if self.save_every is not None and not 1 <= self.save_every <= MAX_STEPS:
            raise InvalidInputError(
                f"save_every is {self.save_every}; expected 1 to {MAX_STEPS:,}"
            )
        self._check_rows()
        self.system.check()

    def _check_rows(self) -> None:
        """Raises `InvalidInputError` if the metrics log would be too long to read."""
        rows = len(self.all_seeds) * (-(-self.steps // self.eval_every) + 1)
        if rows > MAX_ROWS:
            raise InvalidInputError(
                f"eval_every is {self.eval_every}, which makes {rows:,} evaluations; "
                f"expected more steps from one to the next, and at most {MAX_ROWS:,}"
            )

    @property
    def all_seeds(self) -> Sequence[int]:
        """All seeds, in order."""
        return seed_sequence(self.seeds, self.seed)


def seed_sequence(seeds: object, seed: object = 0) -> Sequence[int]:
    """All seeds of a run, in order.

    Args:
        seeds: number of seeds, or the seeds themselves; may be anyone's JSON.
        seed: the first of a number of seeds; not given with the seeds themselves.

    Raises:
        InvalidInputError: there are none, or too many, or one is no 32-bit integer, or
            given twice.
    """
    if not isinstance(seeds, list | tuple):
        count, first = _require_int("seeds", seeds), _require_int("seed", seed)
        if not 1 <= count <= MAX_SEEDS:
            raise InvalidInputError(f"seeds is {count}; expected 1 to {MAX_SEEDS:,}")
        if not 0 <= first <= MAX_SEED - count:
            raise InvalidInputError(f"seed is {first}; expected 0 to {MAX_SEED:,}")
        return range(first, first + count)
    if not 1 <= len(seeds) <= MAX_SEEDS:
        raise InvalidInputError(
            f"seeds is a list of {len(seeds)}; expected 1 to {MAX_SEEDS:,} seeds"
        )
    for one in seeds:
        if not 0 <= _require_int("a seed", one) < MAX_SEED:
            raise InvalidInputError(f"a seed is {one}; expected 0 to {MAX_SEED:,}")
    if repeated := [one for one, count in Counter(seeds).items() if count > 1]:
        raise InvalidInputError(f"seed {repeated[0]} is given twice; expected once")
    if seed != 0:
        raise InvalidInputError(
            f"seed is {seed} and seeds is a list; expected one of the two"
        )
    return seeds


def stored_seeds(settings: Mapping[str, object]) -> Sequence[int]:
    """All seeds of the run of a `settings.json`, in order.

    Raises:
        InvalidInputError: as for `seed_sequence`.
    """
    seeds = settings.get("seeds")
    return seed_sequence(seeds, 0 if isinstance(seeds, list) else settings.get("seed"))


def run_config_to_dict(config: RunConfig) -> JsonObject:
    """Converts a configuration to the JSON values of `settings.json`."""
    fields = serialize(config.system)
    task_or_channel = {
        name: fields.pop(name) for name in TASK_OR_CHANNEL_FIELDS if name in fields
    }
    return {
        "system": system_name(config.system),
        "step_unit": config.system.step_unit,
        **task_or_channel,
        **_channel_properties(config.system),
        "preset": config.preset,
        "steps": config.steps,
        "seeds": config.seeds if isinstance(config.seeds, int) else [*config.seeds],
        "seed": config.all_seeds[0],
        "eval_every": config.eval_every,
        "eval_episodes": config.eval_episodes,
        "save_every": config.save_every,
        "keep_best": config.keep_best,
        "settings": fields,
    }


def _channel_properties(system: System) -> JsonObject:
    """Entry `channel_properties`, of a system over a user's channel."""
    if not isinstance(system, HasChannel) or PREFIX not in system.channel.id:
        return {}
    channel = system.channel
    snr_db = channel.snr_db
    properties = {
        "received_uses": output_uses(channel, system.uses),
        "snr_db": None if snr_db is None else float(snr_db),
        "differentiable": channel.differentiable,
        "has_unknown_gain": channel.has_unknown_gain,
    }
    return {CHANNEL_PROPERTIES: properties}


def run_config_from_dict(
    settings: Mapping[str, object],
    system: System | None = None,
    *,
    imports_channel: bool = True,
) -> RunConfig:
    """Converts the JSON values of `settings.json` to a configuration.

    A user's channel that cannot be imported is replaced by a `MissingChannel`.

    Args:
        settings: JSON values, as `run_config_to_dict` returns them.
        system: the system, if `settings.json` is not enough to make it; what depends
            on the training length is that of the settings.
        imports_channel: whether a user's channel is imported at all.

    Raises:
        InvalidInputError: an entry is missing or invalid, or `system` differs from the
            settings.
    """
    for name in ("system", "settings"):
        if name not in settings:
            raise InvalidInputError(f"{name} is missing")
    if system is None:
        system = _stored_system(settings, imports_channel=imports_channel)
    counts = {name: _require_int(name, settings.get(name)) for name in COUNT_FIELDS}
    seeds = stored_seeds(settings)
    counted = isinstance(seeds, range)
    system = resolve_steps(system, initial_steps(settings))
    config = RunConfig(
        system=_with_stored_choices(system, settings),
        preset=str(settings.get("preset", "")),
        seeds=len(seeds) if counted else tuple(seeds),
        seed=seeds[0] if counted else 0,
        save_every=_read_save_every(settings),
        # Entries that older versions did not write have their defaults.
        keep_best=settings.get("keep_best") is True,
        **counts,
    )
    config.check()
    made = run_config_to_dict(config)
    if isinstance(system, HasChannel) and is_missing(system.channel):
        del made["channel"]
    if differences := diff_settings(settings, made):
        raise InvalidInputError(f"the system is not that of the run: {differences}")
    return config


def _stored_system(settings: Mapping[str, object], *, imports_channel: bool) -> System:
    fields = settings["settings"]
    if isinstance(fields, dict):
        names = [name for name in TASK_OR_CHANNEL_FIELDS if name in settings]
        fields = {name: settings[name] for name in names} | fields
        if "channel" in names:
            fields["channel"] = _stored_channel(settings, imports=imports_channel)
    return deserialize(system_class(str(settings["system"])), fields)


def _stored_channel(settings: Mapping[str, object], *, imports: bool) -> object:
    """Stored values of a channel; of a user's, the channel or its substitute."""
    value = settings["channel"]
    id = value.get("id") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(id, str) or PREFIX not in id:
        return value
    if not imports:
        return _missing_channel(id, "its code is not used here", settings)
    try:
        channel = parse_channel(id)
    except InvalidInputError as error:
        return _missing_channel(id, str(error), settings)
    check_stored(channel, value, "settings.channel")
    return channel


def _missing_channel(
    id: str, reason: str, settings: Mapping[str, object]
) -> MissingChannel:
    """Substitute of a channel that cannot be imported, with its stored properties.

    Raises:
        InvalidInputError: the properties are invalid.
    """
    properties = settings.get(CHANNEL_PROPERTIES, {})
    if isinstance(properties, dict):
        properties = properties | {"id": id, "reason": reason}
    return deserialize(MissingChannel, properties, f"settings.{CHANNEL_PROPERTIES}")


def with_stored_keeping(config: RunConfig, settings: Mapping[str, object]) -> RunConfig:
    """The configuration, which keeps the checkpoints that the stored run keeps, too.

    Args:
        config: a configuration; where it says nothing, the settings count.
        settings: content of the run's `settings.json`.

    Raises:
        InvalidInputError: an entry is invalid.
    """
    return dataclasses.replace(
        config,
        save_every=config.save_every or _read_save_every(settings),
        keep_best=config.keep_best or settings.get("keep_best") is True,
    )


def with_stored_choices(config: RunConfig, settings: Mapping[str, object]) -> RunConfig:
    """The configuration, with the settings that trials chose for the stored run.

    Args:
        config: a configuration; settings that it leaves open are taken.
        settings: content of the run's `settings.json`.
    """
    system = _with_stored_choices(config.system, settings)
    return dataclasses.replace(config, system=system)


def _with_stored_choices(system: System, settings: Mapping[str, object]) -> System:
    stored = settings["settings"]
    if not isinstance(system, ChoosesSettings) or not isinstance(stored, dict):
        return system
    return system.with_open_settings(stored)


def resolve_steps(system: System, steps: int) -> System:
    """The system with its settings that follow from the training length, if any."""
    return system.resolve_steps(steps) if isinstance(system, DependsOnSteps) else system


def initial_steps(settings: Mapping[str, object]) -> int:
    """Training length at the first start of a run; `resume` may have raised it since.

    Raises:
        InvalidInputError: the entry is invalid.
    """
    value = settings.get(INITIAL_STEPS, settings.get("steps"))
    steps = _require_int(INITIAL_STEPS, value)
    if not 1 <= steps <= MAX_STEPS:
        raise InvalidInputError(
            f"{INITIAL_STEPS} is {steps}; expected 1 to {MAX_STEPS:,}"
        )
    return steps


def _read_save_every(settings: Mapping[str, object]) -> int | None:
    value = settings.get("save_every")
    return None if value is None else _require_int("save_every", value)


def _require_int(name: str, value: object) -> int:
    if type(value) is not int:
        raise InvalidInputError(f"{name} is {value!r}; expected a whole number")
    return value


def task_and_channel_id(settings: Mapping[str, object]) -> str:
    """Ids of the task and the channel in `settings.json`, e.g. "TASK over CHANNEL".

    One id if it has only one of them; empty if it has neither.

    Raises:
        InvalidInputError: an entry has no id.
    """
    ids = []
    for name in TASK_OR_CHANNEL_FIELDS:
        entry = settings.get(name, {"id": ""})
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
            raise InvalidInputError(f"the {name} has no id")
        ids.append(entry["id"])
    return " over ".join(filter(None, ids))


def diff_settings(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    """Describes the differences of two settings; empty if there are none.

    Ignores labels and entries that only one of them has: `settings.json` contains more
    than the configuration.
    """
    shared = [name for name in new if name in old and name not in LABEL_FIELDS]
    pairs = ((name, old[name], new[name]) for name in shared)
    texts = [text for name, a, b in pairs for text in _iter_differences(name, a, b)]
    rest = f" (and {len(texts) - 3} more)" if len(texts) > 3 else ""
    return "; ".join(texts[:3]) + rest


def _iter_differences(name: str, old: object, new: object) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        # Fields that only the new settings have had their defaults in the old ones.
        for key in old:
            path = key if name == "settings" else f"{name}.{key}"
            yield from _iter_differences(path, old[key], new.get(key))
    elif old != new:
        yield f"{name} is {json.dumps(old)}, not {json.dumps(new)}"
