"""Tables of constants by name: the papers', and ours where they are better."""

from collections.abc import Callable
from typing import Any, cast

from syntony.channels.awgn import Awgn
from syntony.channels.channel import Channel
from syntony.errors import unknown
from syntony.study.published import (
    epymarl,
    official_compat,
    paper_maa2c,
    paper_mappo,
    paper_smpe,
    published_pace,
    table_3,
)
from syntony.systems.estimators import Exploration
from syntony.systems.ids import system as named
from syntony.systems.link import Link
from syntony.systems.schedule import Schedule
from syntony.systems.system import System
from syntony.tasks.task import Task

World = Task | Channel | None
Maker = Callable[[Any], System]


def preset(system: str, name: str, world: World = None) -> System:
    """Returns the system with a preset's constants.

    Args:
        world: the task of a team, which constants may depend on; the channel of a
            link, by default white noise.

    Raises:
        BadInput: there is no system, or no preset, of that name.
    """
    named(system)
    if name not in MAKERS[system]:
        raise unknown("preset", name, MAKERS[system])
    _, make = MAKERS[system][name]
    return make(world)


def default(system: str) -> str:
    """Returns the name of the preset that a system starts from."""
    return next(iter(PRESETS[system]))


def pace(system: str, world: World = None) -> dict[str, Any]:
    """Returns how long a run is by default, and how often it is measured.

    Args:
        world: the task of a team; episodes of some are ten times as long.
    """
    if named(system) is Link:
        return {"steps": 10_000, "eval_every": 500, "eval_episodes": 20_000}
    return published_pace(system, cast(Task | None, world))


def tuned_link(channel: Channel | None) -> Link:
    """Returns a link with the best constants that we have found."""
    return Link(channel=Awgn() if channel is None else channel)


def white_link(channel: Channel | None) -> Link:
    """Returns a link whose receiver models white noise, and that learns nearby.

    Of what happens to a block nearly all is then the transmitter's own doing, and known
    to it: what its trials in orthogonal directions say is exact to first order, and a
    receiver that learns centres is right about all of them after a few hundred blocks.
    """
    return Link(
        channel=Awgn() if channel is None else channel,
        receiver="gaussian",
        receiver_exploration=True,
        training_gain_db=20.0,
        exploration=Exploration(
            variance=0.13,
            final_variance=0.1,
            directions="orthogonal",
            temperature=4.0,
            criterion="odds",
        ),
        schedule=Schedule(warm_up=200, batch=4096, receiver_rate=10.0),
    )


def paper_link(channel: Channel | None) -> Link:
    """Returns a link with the paper's estimator; what it leaves open is plain."""
    return Link(
        channel=Awgn() if channel is None else channel,
        exploration=Exploration(
            variance=0.02,
            final_variance=0.02,
            baseline="none",
            antithetic=False,
            temperature=1.0,
        ),
        schedule=Schedule(learning_rate=1e-3, final_learning_rate=1e-3, warm_up=0),
    )


EPYMARL = "the constants that EPyMARL is published with"
MAKERS: dict[str, dict[str, tuple[str, Maker]]] = {
    "smpe": {
        "paper": (
            "SMPE²'s Table 3, but for what is counted, beliefs' bounds, λ_rec on large"
            " boards, bursts and critics in warehouses",
            paper_smpe,
        ),
        "table3": ("SMPE²'s Table 3 as it is printed", table_3),
        "official_compat": (
            "constants and ways of SMPE²'s released code, its mistakes included",
            official_compat,
        ),
    },
    "maa2c": {
        "paper": ("the backbone of SMPE²'s preset `paper`, task by task", paper_maa2c),
        "epymarl": (EPYMARL, epymarl("maa2c")),
    },
    "mappo": {
        "epymarl": (EPYMARL, epymarl("mappo")),
        "paper": ("what SMPE²'s paper lists for it", paper_mappo),
    },
    **{
        name: {"epymarl": (EPYMARL, epymarl(name))}
        for name in ("ia2c", "ippo", "qmix", "vdn")
    },
    "link": {
        "tuned": (
            "what we measured to be best for 256 messages in 4 uses",
            tuned_link,
        ),
        "paper": (
            "the plain estimator of Aoudia & Hoydis (2018), at constant rates",
            paper_link,
        ),
        "white": (
            "for the lowest error rate at 10 dB over white noise: learn nearby, in "
            "orthogonal directions, with a receiver that learns centres",
            white_link,
        ),
    },
}
"""For each system its presets, the default first: what it is, and what makes it."""

PRESETS = {
    system: {name: summary for name, (summary, _) in presets.items()}
    for system, presets in MAKERS.items()
}
"""The presets of each system, the default first, and what they are."""
