"""Reported results, and the paper's names of our systems."""

import math
from typing import Any

import pytest

from syntony.comparison import reported_results
from syntony.comparison.reported_results import ReportedCurve


def test_interpolation_between_points():
    curve = ReportedCurve({1.0: 2.0, 3.0: 4.0}, 0.1)
    assert [
        reported_results.interpolate(curve, step) for step in (0.5, 1.0, 2.0, 3.0, 4.0)
    ] == [*(None, 2.0, 3.0, 4.0, None)]


@pytest.mark.parametrize(
    ("system", "settings", "expected"),
    [
        ("smpe", {}, "SMPE²"),
        ("smpe", {"intrinsic_reward": False}, "SMPE², no intrinsic reward"),
        ("smpe", {"intrinsic_reward": False, "filters": False}, ""),
        ("smpe", {"hash_input": "observation"}, "SMPE², hashes observations"),
        ("smpe", {"gamma": 0.5}, ""),
        ("maa2c", {}, "MAA2C"),
        ("maa2c", {"hidden": 64}, ""),
        ("mappo", {}, "MAPPO"),
        ("maa2c", {"objective": "ppo"}, "MAPPO"),
        ("maa2c", {"critic_input": "local"}, ""),
        ("link", {}, ""),
    ],
)
def test_method_names(system: str, settings: dict[str, Any], expected: str):
    assert reported_results.method_name(system, settings) == expected


def test_all_reported_methods_have_a_name_of_ours():
    names = {
        reported_results.SMPE_NAME,
        reported_results.MAA2C_NAME,
        reported_results.MAPPO_NAME,
        *reported_results.ABLATION_NAMES.values(),
    }
    for methods in reported_results.REPORTED_CURVES.values():
        assert methods.keys() <= names
        for curve in methods.values():
            assert all(0 < step <= 40e6 for step in curve.points)
            assert all(map(math.isfinite, curve.points.values()))
