"""Tables of constants by name: the papers', and ours where they are better."""

from collections.abc import Callable
from typing import Any, cast

from syntony.channels.awgn import Awgn
from syntony.channels.channel import Channel
from syntony.errors import unknown
from syntony.systems.estimators import Exploration
from syntony.systems.ids import system as named
from syntony.systems.link import Link
from syntony.systems.schedule import Schedule
from syntony.systems.system import System
from syntony.tasks.task import Task

TEAM = {"paper": "the constants of SMPE²'s Table 3 for level-based foraging"}
LINK = {
    "tuned": "what was measured to be best for 256 messages in 4 uses",
    "paper": "the plain estimator of Aoudia & Hoydis (2018), at constant rates",
}
PRESETS = {"smpe": TEAM, "maa2c": TEAM, "link": LINK}
"""The presets of each system, the default first."""


def preset(system: str, name: str, world: Task | Channel | None = None) -> System:
    """Returns the system with a preset's constants.

    Args:
        world: the task of a team; the channel of a link, by default white noise.

    Raises:
        BadInput: there is no system, or no preset, of that name.
    """
    kind = named(system)
    if name not in PRESETS[system]:
        raise unknown("preset", name, PRESETS[system])
    if kind is Link:
        channel = cast(Channel, Awgn() if world is None else world)
        return tuned_link(channel) if name == "tuned" else paper_link(channel)
    # The records' own defaults are the paper's.
    return cast(Callable[..., System], kind)(task=world)


def default(system: str) -> str:
    """Returns the name of the preset that a system starts from."""
    return next(iter(PRESETS[system]))


def tuned_link(channel: Channel) -> Link:
    """Returns a link with the best constants that we have found."""
    return Link(channel=channel)


def paper_link(channel: Channel) -> Link:
    """Returns a link with the paper's estimator; what it leaves open is plain."""
    return Link(
        channel=channel,
        exploration=Exploration(
            variance=0.02,
            final_variance=0.02,
            baseline="none",
            antithetic=False,
            temperature=1.0,
        ),
        schedule=Schedule(learning_rate=1e-3, final_learning_rate=1e-3, warm_up=0),
    )


def pace(system: str) -> dict[str, Any]:
    """Returns how long a run is by default, and how often it is measured."""
    if named(system) is Link:
        return {"steps": 10_000, "eval_every": 500, "eval_episodes": 20_000}
    return {"steps": 10_000_000, "eval_every": 50_000, "eval_episodes": 100}
