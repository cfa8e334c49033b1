"""What a run is: all settings that its numbers follow from."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from syntony.errors import BadInput
from syntony.run.settings import decode, encode
from syntony.systems.ids import name_of
from syntony.systems.ids import system as system_named
from syntony.systems.system import System

MOST_STEPS = 2**31 - 1
"""Steps are counted in 32 bits."""
MOST_SEEDS = 10_000
"""Each is a state in memory."""
LABELS = ("preset",)
"""Entries of a plan's description that no number follows from."""
WORLDS = ("task", "channel")
"""Settings of a system that say what it learns in; described apart from the rest."""


@dataclass(frozen=True, kw_only=True)
class Plan:
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
            "steps": MOST_STEPS,
            "seeds": MOST_SEEDS,
            "eval_every": MOST_STEPS,
            "eval_episodes": MOST_STEPS,
        }
        for name, bound in most.items():
            if not 1 <= (value := getattr(self, name)) <= bound:
                raise BadInput(f"{name} is {value}; expected 1 to {bound:,}")
        if not 0 <= self.seed <= MOST_STEPS - self.seeds:
            raise BadInput(f"seed is {self.seed}; expected 0 to {MOST_STEPS:,}")
        self.system.check()

    @property
    def every_seed(self) -> range:
        return range(self.seed, self.seed + self.seeds)


def describe(plan: Plan) -> dict[str, Any]:
    """Returns the plan as `settings.json` holds it."""
    constants = encode(plan.system)
    worlds = {name: constants.pop(name) for name in WORLDS if name in constants}
    return {
        "system": name_of(plan.system),
        **worlds,
        "preset": plan.preset,
        "steps": plan.steps,
        "seeds": plan.seeds,
        "seed": plan.seed,
        "eval_every": plan.eval_every,
        "eval_episodes": plan.eval_episodes,
        "settings": constants,
    }


def understand(described: Mapping[str, Any], system: System | None = None) -> Plan:
    """Returns the plan that `describe` had turned into `described`.

    Args:
        system: the system itself, where it is not one of ours.

    Raises:
        BadInput: an entry is missing or makes no sense, or `system` is another one.
    """
    for name in ("system", "settings"):
        if name not in described:
            raise BadInput(f"{name} is missing")
    if system is None:
        constants = described["settings"]
        if isinstance(constants, dict):
            worlds = {name: described[name] for name in WORLDS if name in described}
            constants = worlds | constants
        system = decode(system_named(str(described["system"])), constants)
    counts = ("steps", "seeds", "seed", "eval_every", "eval_episodes")
    for name in counts:
        if type(described.get(name)) is not int:
            value = described.get(name)
            raise BadInput(f"{name} is {value!r}; expected a whole number")
    plan = Plan(
        system=system,
        preset=str(described.get("preset", "")),
        **{name: described[name] for name in counts},
    )
    plan.check()
    if found := difference(described, describe(plan)):
        raise BadInput(f"the system is not that of the run: {found}")
    return plan


def world_of(described: Mapping[str, Any]) -> str:
    """Returns the id of what a described system learns in; nothing if it has none."""
    return next((described[name]["id"] for name in WORLDS if name in described), "")


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Says in what two descriptions of a plan differ; nothing if in nothing.

    Labels do not count, and neither does what only one of them knows: `settings.json`
    holds more than a plan.
    """
    shared = [name for name in new if name in old and name not in LABELS]
    pairs = ((name, old[name], new[name]) for name in shared)
    found = [text for name, a, b in pairs for text in _differences(name, a, b)]
    rest = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
    return "; ".join(found[:3]) + rest


def _differences(name: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        # What only the new one knows had its default in the old one.
        for key in old:
            inner = key if name == "settings" else f"{name}.{key}"
            yield from _differences(inner, old[key], new.get(key))
    elif old != new:
        yield f"{name} is {json.dumps(old)}, not {json.dumps(new)}"
