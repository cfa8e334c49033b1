"""Tables of constants by name: the papers', and ours where they are better."""

from collections.abc import Callable
from typing import Any, cast

from syntony.channels.awgn import AWGN
from syntony.channels.channel import Channel
from syntony.errors import unknown_name_error
from syntony.presets.paper_configs import (
    epymarl_factory,
    official_smpe,
    paper_maa2c,
    paper_mappo,
    paper_run_options,
    paper_smpe,
    table_3_smpe,
)
from syntony.systems.link.gradient_estimators import PerturbationConfig
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule
from syntony.systems.registry import system_class as named
from syntony.systems.system import System
from syntony.tasks.task import Task

TaskOrChannel = Task | Channel | None
SystemFactory = Callable[[Any], System]


def preset(system: str, name: str, task_or_channel: TaskOrChannel = None) -> System:
    """Returns the system with a preset's constants.

    Args:
        world: the task of a team, which constants may depend on; the channel of a
            link, by default white noise.

    Raises:
        BadInput: there is no system, or no preset, of that name.
    """
    named(system)
    if name not in PRESET_FACTORIES[system]:
        raise unknown_name_error("preset", name, PRESET_FACTORIES[system])
    _, make = PRESET_FACTORIES[system][name]
    return make(task_or_channel)


def default_preset(system: str) -> str:
    """Returns the name of the preset that a system starts from."""
    return next(iter(PRESETS[system]))


def default_run_options(
    system: str, task_or_channel: TaskOrChannel = None
) -> dict[str, Any]:
    """Returns how long a run is by default, and how often it is measured.

    Args:
        world: the task of a team; episodes of some are ten times as long.
    """
    if named(system) is Link:
        return {"steps": 10_000, "eval_every": 500, "eval_episodes": 20_000}
    return paper_run_options(system, cast(Task | None, task_or_channel))


def tuned_link(channel: Channel | None) -> Link:
    """Returns a link with the best constants that we have found."""
    return Link(channel=AWGN() if channel is None else channel)


def orthogonal_link(channel: Channel | None) -> Link:
    """Returns a link whose receiver models white noise, and that learns nearby.

    Of what happens to a block nearly all is then the transmitter's own doing, and known
    to it: what its trials in orthogonal directions say is exact to first order, and a
    receiver that learns centres is right about all of them after a few hundred blocks.
    """
    return Link(
        channel=AWGN() if channel is None else channel,
        receiver="gaussian",
        perturb_receiver_batches=True,
        training_snr_offset_db=20.0,
        perturbation=PerturbationConfig(
            perturbation_variance=0.13,
            final_perturbation_variance=0.1,
            perturbation_directions="orthogonal",
            temperature=4.0,
            feedback_loss="odds",
        ),
        schedule=TrainingSchedule(
            receiver_warmup_iterations=200, batch_size=4096, receiver_lr_multiplier=10.0
        ),
    )


def paper_link(channel: Channel | None) -> Link:
    """Returns a link with the paper's estimator; what it leaves open is plain."""
    return Link(
        channel=AWGN() if channel is None else channel,
        perturbation=PerturbationConfig(
            perturbation_variance=0.02,
            final_perturbation_variance=0.02,
            baseline="none",
            antithetic=False,
            temperature=1.0,
        ),
        schedule=TrainingSchedule(
            learning_rate=1e-3, final_learning_rate=1e-3, receiver_warmup_iterations=0
        ),
    )


EPYMARL_SUMMARY = "the constants that EPyMARL is published with"
PRESET_FACTORIES: dict[str, dict[str, tuple[str, SystemFactory]]] = {
    "smpe": {
        "paper": (
            "SMPE²'s Table 3, but for what is counted, beliefs' bounds, λ_rec on large"
            " boards, bursts and critics in warehouses",
            paper_smpe,
        ),
        "table3": ("SMPE²'s Table 3 as it is printed", table_3_smpe),
        "official_compat": (
            "constants and ways of SMPE²'s released code, its mistakes included",
            official_smpe,
        ),
    },
    "maa2c": {
        "paper": ("the backbone of SMPE²'s preset `paper`, task by task", paper_maa2c),
        "epymarl": (EPYMARL_SUMMARY, epymarl_factory("maa2c")),
    },
    "mappo": {
        "epymarl": (EPYMARL_SUMMARY, epymarl_factory("mappo")),
        "paper": ("what SMPE²'s paper lists for it", paper_mappo),
    },
    **{
        name: {"epymarl": (EPYMARL_SUMMARY, epymarl_factory(name))}
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
        "orthogonal": (
            "for the lowest error rate at 10 dB over white noise: learn nearby, in "
            "orthogonal directions, with a receiver that learns centres",
            orthogonal_link,
        ),
    },
}
"""For each system its presets, the default first: what it is, and what makes it."""

PRESETS = {
    system: {name: summary for name, (summary, _) in presets.items()}
    for system, presets in PRESET_FACTORIES.items()
}
"""The presets of each system, the default first, and what they are."""
