"""The papers' tables of constants, by name."""

from collections.abc import Callable
from typing import cast

from syntony.errors import unknown
from syntony.systems.ids import system as named
from syntony.systems.system import System
from syntony.tasks.task import Task

DEFAULT = "paper"
PRESETS = {"paper": "the constants of SMPE²'s Table 3 for level-based foraging"}


def preset(system: str, name: str, task: Task) -> System:
    """Returns the system with a preset's constants, for a task.

    Raises:
        BadInput: there is no system, or no preset, of that name.
    """
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    # The records' own defaults are the paper's.
    return cast(Callable[..., System], named(system))(task=task)


def default_steps(name: str) -> int:
    """Returns how many environment steps the paper trained a seed for."""
    return {"paper": 10_000_000}[name]
