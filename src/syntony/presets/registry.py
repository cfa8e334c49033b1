"""Presets: named sets of constants of each system, of the papers and ours."""

from collections.abc import Callable
from typing import cast

from syntony.channels.awgn import AWGN
from syntony.channels.channel import AnyChannel, ChannelProperties
from syntony.channels.ml import is_white_noise
from syntony.errors import unknown_name_error
from syntony.jax_settings import standard_jax_settings
from syntony.plugins import PREFIX
from syntony.presets.air_configs import air_run_options, filtered_air, tuned_air
from syntony.presets.paper_configs import (
    RunOptions,
    action_filtered_smpe,
    epymarl_factory,
    official_smpe,
    paper_maa2c,
    paper_mappo,
    paper_run_options,
    paper_smpe,
    table_3_smpe,
    yu2022_factory,
)
from syntony.systems.link.gradient_estimators import PerturbationConfig
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule
from syntony.systems.registry import system_class
from syntony.systems.system import System
from syntony.systems.user_system import make_user_system
from syntony.tasks.task import Task

TaskOrChannel = Task | AnyChannel | None
# Of a task for a team, of a channel or None for a link.
# Of a task and a channel for a team that transmits.
SystemFactory = Callable[..., System]
USER_PRESET = "default"
"""The preset of a user's own system: the default values of its fields."""


@standard_jax_settings()
def preset(
    system: str,
    name: str,
    task_or_channel: TaskOrChannel = None,
    channel: AnyChannel | None = None,
) -> System:
    """System with the constants of a preset.

    Args:
        system: name of the system, e.g. "smpe", or `python:MODULE:CLASS`.
        name: name of the preset, e.g. "paper"; "default", of a system of one's own.
        task_or_channel: task of a team, on which constants may depend; channel of a
            link, by default AWGN.
        channel: of a team that transmits, by default AWGN.

    Raises:
        InvalidInputError: there is no system, or no preset, of that name.
    """
    system_class(system)
    if name not in preset_summaries(system):
        raise unknown_name_error("preset", name, preset_summaries(system))
    if system.startswith(PREFIX):
        return make_user_system(system, task_or_channel, channel)
    _, make = PRESET_FACTORIES[system][name]
    # Only a system with a task and a channel has a second argument.
    return make(task_or_channel) if channel is None else make(task_or_channel, channel)


def preset_summaries(system: str) -> dict[str, str]:
    """Presets of a system and their summaries, the default first.

    Empty if there is no such system. A user's own system is not imported.
    """
    if system.startswith(PREFIX):
        return {USER_PRESET: "the default values of its fields"}
    return PRESETS.get(system, {})


def default_preset(system: str) -> str:
    """Name of the default preset of a system."""
    return next(iter(preset_summaries(system)))


def default_run_options(
    system: str, task_or_channel: TaskOrChannel = None
) -> RunOptions:
    """Default number of steps and evaluations of a run.

    Args:
        system: name of the system.
        task_or_channel: task of a team; it may have longer episodes.
    """
    if isinstance(task_or_channel, ChannelProperties) or system == "link":
        return {"steps": 10_000, "eval_every": 500, "eval_episodes": 20_000}
    if system == "air":
        return air_run_options(cast(Task | None, task_or_channel))
    return paper_run_options(system, cast(Task | None, task_or_channel))


def tuned_link(channel: AnyChannel | None) -> Link:
    """Link with orthogonal perturbations over AWGN; over other channels, with trials.

    The trials choose the codebook from which the transmitter learns, and the receiver.
    """
    if channel is None or is_white_noise(channel):
        return orthogonal_link(channel)
    return Link(channel=channel)


def orthogonal_link(channel: AnyChannel | None) -> Link:
    """Link with orthogonal perturbations and a Gaussian receiver, trained at high SNR.

    At 20 dB above the evaluation's SNR the perturbations, which the transmitter knows,
    dominate the channel noise. Gradient estimates from orthogonal perturbations have no
    variance to first order, and a receiver with learned centroids needs only a few
    hundred blocks.
    """
    return Link(
        channel=AWGN() if channel is None else channel,
        receiver="gaussian",
        initial_codebook="network",
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
            receiver_warmup_iterations=200,
            batch_size=4096,
            learning_rate=1e-3,
            receiver_lr_multiplier=10.0,
            decay="cosine",
        ),
    )


def paper_link(channel: AnyChannel | None) -> Link:
    """Link with the estimator of Aoudia & Hoydis (2018), at constant learning rates."""
    channel = AWGN() if channel is None else channel
    return Link(
        channel=channel,
        initial_codebook="network",
        receiver="equalizing" if channel.has_unknown_gain else "mlp",
        normalize_received=False,
        perturbation=PerturbationConfig(
            perturbation_variance=0.02,
            final_perturbation_variance=0.02,
            baseline="none",
            antithetic=False,
            temperature=1.0,
        ),
        schedule=TrainingSchedule(
            learning_rate=1e-3,
            final_learning_rate=1e-3,
            receiver_lr_multiplier=1.0,
            receiver_warmup_iterations=0,
            decay="constant",
        ),
    )


YU2022_SUMMARY = "PPO of Yu et al. (2022): GAE, minibatches, normalized values"
EPYMARL_SUMMARY = "the published constants of EPyMARL"
PRESET_FACTORIES: dict[str, dict[str, tuple[str, SystemFactory]]] = {
    "smpe": {
        "paper": (
            "SMPE²'s Table 3, except for hashes, clipping, λ_rec on large boards, and "
            "belief updates and critics in warehouses",
            paper_smpe,
        ),
        "table3": ("SMPE²'s Table 3 as printed", table_3_smpe),
        "action_filters": (
            "as `paper`, with filters that keep what changes the best action",
            action_filtered_smpe,
        ),
        "official_compat": (
            "SMPE²'s released code, including its deviations from the paper",
            official_smpe,
        ),
    },
    "smpe_official": {
        "official_compat": (
            "SMPE²'s released code, including its deviations from the paper",
            official_smpe,
        ),
    },
    "maa2c": {
        "paper": ("the actor-critic of SMPE²'s preset `paper`, by task", paper_maa2c),
        "epymarl": (EPYMARL_SUMMARY, epymarl_factory("maa2c")),
    },
    "mappo": {
        "epymarl": (EPYMARL_SUMMARY, epymarl_factory("mappo")),
        "paper": ("the constants that SMPE²'s paper lists for MAPPO", paper_mappo),
        "yu2022": (YU2022_SUMMARY, yu2022_factory("mappo")),
    },
    "ippo": {
        "epymarl": (EPYMARL_SUMMARY, epymarl_factory("ippo")),
        "yu2022": (YU2022_SUMMARY, yu2022_factory("ippo")),
    },
    **{
        name: {"epymarl": (EPYMARL_SUMMARY, epymarl_factory(name))}
        for name in ("ia2c", "qmix", "vdn")
    },
    "link": {
        "tuned": ("tuned for 256 messages in 4 uses", tuned_link),
        "paper": (
            "the estimator of Aoudia & Hoydis (2018), at constant learning rates",
            paper_link,
        ),
        "orthogonal": (
            "lowest error rate at 10 dB over AWGN: train at 30 dB SNR, with orthogonal "
            "perturbations and a Gaussian receiver",
            orthogonal_link,
        ),
    },
    "air": {
        "default": (
            "action feedback, no filters; the SNR falls over the first half",
            tuned_air,
        ),
        "action_filters": (
            "belief feedback, with filters that keep what changes the best action",
            filtered_air,
        ),
    },
}
"""Presets of each system, the default first, as summary and factory."""

PRESETS = {
    system: {name: summary for name, (summary, _) in presets.items()}
    for system, presets in PRESET_FACTORIES.items()
}
"""Summaries of the presets of each system, the default first."""
