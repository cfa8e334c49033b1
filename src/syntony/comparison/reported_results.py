"""Results that papers report, for comparison.

The paper of SMPE² has no table of returns: the values are digitized from its figures 2
to 5, 8, 13, 15 to 18 and 22. The last point of each curve is the mean over the last 7 %
of the training; a zero is a curve on the axis.

Source: Kontogiannis et al., "Enhancing Cooperative Multi-Agent Reinforcement Learning
    with State Modelling and Adversarial Exploration", ICML 2025.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

SMPE_NAME, MAA2C_NAME, MAPPO_NAME = "SMPE²", "MAA2C", "MAPPO"
ABLATION_NAMES: dict[tuple[str, object], str] = {
    ("intrinsic_reward", False): "SMPE², no intrinsic reward",
    ("filters", False): "SMPE², no filters",
    ("hash_input", "observation"): "SMPE², hashes observations",
    ("lambda_kl", 0.0): "SMPE², no KL loss",
    ("lambda_norm", 0.0): "SMPE², no norm loss",
    ("filtered_critic", False): "SMPE², no filtered critic",
    ("standard_critic", False): "SMPE², no standard critic",
    ("objective", "ppo"): "SMPE², on PPO",
}
"""The paper's names of ablations, by the setting and value of ours."""


class ReportedCurve(NamedTuple):
    """Learning curve of a method on a task, digitized from a figure."""

    points: dict[float, float]
    """Mean return of an episode, by environment steps."""
    reading_error: float
    """Maximum error of the digitized values: two hundredths of the figure's axis."""


def _digitized_curve(
    reading_error: float, points: Mapping[int | float, float]
) -> ReportedCurve:
    return ReportedCurve(
        {1e6 * millions: value for millions, value in points.items()}, reading_error
    )


REPORTED_CURVES: dict[str, dict[str, ReportedCurve]] = {
    "Foraging-2s-8x8-3p-2f-coop": {
        SMPE_NAME: _digitized_curve(
            0.02,
            {0.5: 0.0, 1: 0.0, 1.5: 0.09, 2: 0.46, 3: 0.89}
            | {4: 0.93, 5: 0.96, 7.5: 0.975, 10: 0.985},
        ),
        MAA2C_NAME: _digitized_curve(
            0.02,
            {0.5: 0.0, 1: 0.0, 1.5: 0.03, 2: 0.19, 3: 0.43}
            | {4: 0.60, 5: 0.76, 7.5: 0.92, 10: 0.955},
        ),
        MAPPO_NAME: _digitized_curve(0.02, {10: 0.53}),
        "SMPE², no filtered critic": _digitized_curve(0.02, {6: 0.97}),
        "SMPE², on PPO": _digitized_curve(0.02, {10: 0.89}),
    },
    "Foraging-2s-12x12-2p-2f-coop": {
        SMPE_NAME: _digitized_curve(
            0.02,
            {0.5: 0.1, 1: 0.35, 1.5: 0.44, 3: 0.62, 4: 0.66, 5: 0.69, 10: 0.80},
        ),
        MAA2C_NAME: _digitized_curve(
            0.02,
            {0.5: 0.22, 1: 0.30, 1.5: 0.33, 2: 0.33, 3: 0.44}
            | {4: 0.57, 5: 0.58, 10: 0.73},
        ),
        MAPPO_NAME: _digitized_curve(0.02, {10: 0.64}),
    },
    "Foraging-4s-11x11-3p-2f-coop": {
        SMPE_NAME: _digitized_curve(
            0.02,
            {0.5: 0.0, 1: 0.0, 1.5: 0.0, 2: 0.0, 2.5: 0.03}
            | {4: 0.65, 5: 0.89, 7.5: 0.955, 10: 0.975},
        ),
        MAA2C_NAME: _digitized_curve(0.02, {10: 0.0}),
        MAPPO_NAME: _digitized_curve(0.02, {10: 0.0}),
        "SMPE², no filters": _digitized_curve(0.02, {10: 0.30}),
        "SMPE², hashes observations": _digitized_curve(0.02, {10: 0.0}),
        "SMPE², no KL loss": _digitized_curve(0.02, {10: 0.0}),
        "SMPE², no norm loss": _digitized_curve(0.02, {10: 0.0}),
        "SMPE², no intrinsic reward": _digitized_curve(0.02, {10: 0.0}),
    },
    "Foraging-2s-11x11-3p-2f-coop": {
        SMPE_NAME: _digitized_curve(
            0.02,
            {0.5: 0.0, 1: 0.0, 1.5: 0.0, 2: 0.0, 2.5: 0.02}
            | {4: 0.30, 5: 0.485, 7.5: 0.64, 10: 0.715},
        ),
        MAA2C_NAME: _digitized_curve(0.02, {10: 0.0}),
        MAPPO_NAME: _digitized_curve(0.02, {10: 0.0}),
        "SMPE², no filters": _digitized_curve(0.02, {10: 0.645}),
        "SMPE², hashes observations": _digitized_curve(0.02, {10: 0.30}),
        "SMPE², no KL loss": _digitized_curve(0.02, {10: 0.13}),
        "SMPE², no norm loss": _digitized_curve(0.02, {10: 0.0}),
        "SMPE², no intrinsic reward": _digitized_curve(0.02, {10: 0.0}),
    },
    "SimpleSpread-3": {
        SMPE_NAME: _digitized_curve(
            4.0,
            {0.5: -436.0, 1: -417.0, 1.5: -405.0, 2: -402.0, 3: -400.0}
            | {4: -397.0, 5: -396.0, 7.5: -394.0, 10: -395.0},
        ),
        MAA2C_NAME: _digitized_curve(
            4.0,
            {0.5: -526.0, 1: -469.0, 1.5: -461.0, 2: -453.0, 3: -444.0}
            | {4: -433.0, 5: -430.0, 10: -410.0},
        ),
        MAPPO_NAME: _digitized_curve(
            4.0,
            {0.5: -476.0, 1: -453.0, 1.5: -447.0, 2: -432.0, 3: -417.0}
            | {4: -412.0, 5: -408.0, 10: -403.0},
        ),
        "SMPE², on PPO": _digitized_curve(4.0, {10: -396.0}),
    },
    "SimpleSpread-8": {
        SMPE_NAME: _digitized_curve(10.0, {10: -6020.0}),
        MAA2C_NAME: _digitized_curve(10.0, {10: -6206.0}),
        MAPPO_NAME: _digitized_curve(10.0, {10: -6120.0}),
    },
    "SpeakerListener": {
        SMPE_NAME: _digitized_curve(
            1.2,
            {0.5: -51.6, 1: -43.6, 1.5: -37.8, 2: -32.3, 3: -32.0}
            | {4: -26.7, 5: -25.2, 10: -24.6},
        ),
        MAA2C_NAME: _digitized_curve(
            1.2,
            {0.5: -56.0, 1: -52.1, 1.5: -48.6, 2: -40.3, 3: -36.4}
            | {4: -30.2, 5: -30.5, 10: -26.9},
        ),
        MAPPO_NAME: _digitized_curve(1.2, {10: -28.3}),
    },
    "rware-tiny-2ag-hard": {
        SMPE_NAME: _digitized_curve(0.2, {10: 0.0, 20: 0.7, 30: 3.8, 40: 9.6}),
        MAA2C_NAME: _digitized_curve(0.2, {40: 1.9}),
        MAPPO_NAME: _digitized_curve(0.2, {40: 2.35}),
        "SMPE², no filtered critic": _digitized_curve(0.2, {40: 4.8}),
        "SMPE², on PPO": _digitized_curve(0.2, {40: 9.4}),
    },
}
"""Reported returns, summed over the team, by task and method."""


def find_reported_curve(task: str, method: str) -> ReportedCurve | None:
    """Curve that the paper reports for a method on a task; None without one."""
    return REPORTED_CURVES.get(task, {}).get(method)


def method_name(system: str, overrides: Mapping[str, object]) -> str:
    """Name of a system in the paper; empty if the paper has none.

    Args:
        system: our name of the system.
        overrides: settings that differ from the preset's, by their last name.
    """
    names = {"smpe": SMPE_NAME, "maa2c": MAA2C_NAME, "mappo": MAPPO_NAME}
    variants: dict[str, dict[tuple[str, object], str]] = {
        "smpe": ABLATION_NAMES,
        "maa2c": {("objective", "ppo"): MAPPO_NAME},
    }
    match list(overrides.items()):
        case []:
            return names.get(system, "")
        case [override]:
            return variants.get(system, {}).get(override, "")
    return ""


def interpolate(curve: ReportedCurve, step: float) -> float | None:
    """Reported value at a step, interpolated linearly; None outside the points.

    Args:
        curve: a reported curve.
        step: environment steps.
    """
    steps = sorted(curve.points)
    if not steps[0] <= step <= steps[-1]:
        return None
    return float(np.interp(step, steps, [curve.points[x] for x in steps]))
