"""What a run is: all settings that its numbers follow from."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from syntony.errors import InvalidInputError
from syntony.systems.registry import system_class as system_named
from syntony.systems.registry import system_name
from syntony.systems.system import System
from syntony.training.serialization import deserialize, serialize

MAX_STEPS = 2**31 - 1
"""Steps are counted in 32 bits."""
MAX_SEEDS = 10_000
"""Each is a state in memory."""
LABEL_FIELDS = ("preset",)
"""Entries of a plan's description that no number follows from."""
TASK_OR_CHANNEL_FIELDS = ("task", "channel")
"""Settings of a system that say what it learns in; described apart from the rest."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A system, how long it learns, from which seeds, and how often it is measured."""

    system: System
    steps: int
    """Where each seed ends, in what the system counts as progress."""
    seeds: int = 1
    """How many seeds: `seed`, `seed` + 1, ..."""
    seed: int = 0
    eval_every: int = 50_000
    """Progress from one evaluation to the next."""
    eval_episodes: int = 100
    """Episodes of an evaluation."""
    preset: str = ""
    """The name of the preset that the settings started from; only a label."""

    def check(self) -> None:
        """Raises BadInput where a setting makes no sense."""
        most = {
            "steps": MAX_STEPS,
            "seeds": MAX_SEEDS,
            "eval_every": MAX_STEPS,
            "eval_episodes": MAX_STEPS,
        }
        for name, bound in most.items():
            if not 1 <= (value := getattr(self, name)) <= bound:
                raise InvalidInputError(f"{name} is {value}; expected 1 to {bound:,}")
        if not 0 <= self.seed <= MAX_STEPS - self.seeds:
            raise InvalidInputError(f"seed is {self.seed}; expected 0 to {MAX_STEPS:,}")
        self.system.check()

    @property
    def all_seeds(self) -> range:
        return range(self.seed, self.seed + self.seeds)


def run_config_to_dict(config: RunConfig) -> dict[str, Any]:
    """Returns the plan as `settings.json` holds it."""
    constants = serialize(config.system)
    worlds = {
        name: constants.pop(name)
        for name in TASK_OR_CHANNEL_FIELDS
        if name in constants
    }
    return {
        "system": system_name(config.system),
        **worlds,
        "preset": config.preset,
        "steps": config.steps,
        "seeds": config.seeds,
        "seed": config.seed,
        "eval_every": config.eval_every,
        "eval_episodes": config.eval_episodes,
        "settings": constants,
    }


def run_config_from_dict(
    settings: Mapping[str, Any], system: System | None = None
) -> RunConfig:
    """Returns the plan that `describe` had turned into `described`.

    Args:
        system: the system itself, where it is not one of ours.

    Raises:
        BadInput: an entry is missing or makes no sense, or `system` is another one.
    """
    for name in ("system", "settings"):
        if name not in settings:
            raise InvalidInputError(f"{name} is missing")
    if system is None:
        constants = settings["settings"]
        if isinstance(constants, dict):
            worlds = {
                name: settings[name]
                for name in TASK_OR_CHANNEL_FIELDS
                if name in settings
            }
            constants = worlds | constants
        system = deserialize(system_named(str(settings["system"])), constants)
    counts = ("steps", "seeds", "seed", "eval_every", "eval_episodes")
    for name in counts:
        if type(settings.get(name)) is not int:
            value = settings.get(name)
            raise InvalidInputError(f"{name} is {value!r}; expected a whole number")
    plan = RunConfig(
        system=system,
        preset=str(settings.get("preset", "")),
        **{name: settings[name] for name in counts},
    )
    plan.check()
    if found := diff_settings(settings, run_config_to_dict(plan)):
        raise InvalidInputError(f"the system is not that of the run: {found}")
    return plan


def task_or_channel_id(settings: Mapping[str, Any]) -> str:
    """Returns the id of what a described system learns in; nothing if it has none."""
    return next(
        (settings[name]["id"] for name in TASK_OR_CHANNEL_FIELDS if name in settings),
        "",
    )


def diff_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Says in what two descriptions of a plan differ; nothing if in nothing.

    Labels do not count, and neither does what only one of them knows: `settings.json`
    holds more than a plan.
    """
    shared = [name for name in new if name in old and name not in LABEL_FIELDS]
    pairs = ((name, old[name], new[name]) for name in shared)
    found = [text for name, a, b in pairs for text in _iter_differences(name, a, b)]
    rest = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
    return "; ".join(found[:3]) + rest


def _iter_differences(name: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        # What only the new one knows had its default in the old one.
        for key in old:
            inner = key if name == "settings" else f"{name}.{key}"
            yield from _iter_differences(inner, old[key], new.get(key))
    elif old != new:
        yield f"{name} is {json.dumps(old)}, not {json.dumps(new)}"
