"""What the paper reports, and what it calls our systems."""

import math
from typing import Any

import pytest

from syntony.study import papers
from syntony.study.papers import Known


def test_the_paper_between_its_readings():
    curve = Known({1.0: 2.0, 3.0: 4.0}, 0.1)
    assert [papers.at(curve, step) for step in (0.5, 1.0, 2.0, 3.0, 4.0)] == [
        *(None, 2.0, 3.0, 4.0, None)
    ]


@pytest.mark.parametrize(
    ("system", "settings", "expected"),
    [
        ("smpe", {}, "SMPE²"),
        ("smpe", {"intrinsic": False}, "SMPE², no intrinsic reward"),
        ("smpe", {"intrinsic": False, "filters": False}, ""),
        ("smpe", {"hashed": "observation"}, "SMPE², hashes observations"),
        ("smpe", {"gamma": 0.5}, ""),
        ("maa2c", {}, "MAA2C"),
        ("maa2c", {"hidden": 64}, ""),
        ("mappo", {}, "MAPPO"),
        ("maa2c", {"objective": "ppo"}, "MAPPO"),
        ("maa2c", {"critic_sees": "own"}, ""),
        ("link", {}, ""),
    ],
)
def test_what_the_paper_calls_our_systems(
    system: str, settings: dict[str, Any], expected: str
):
    assert papers.method(system, settings) == expected


def test_every_method_of_the_paper_is_one_of_ours():
    known = {papers.SMPE, papers.MAA2C, papers.MAPPO, *papers.ABLATIONS.values()}
    for methods in papers.TASKS.values():
        assert methods.keys() <= known
        for curve in methods.values():
            assert all(0 < step <= 40e6 for step in curve.points)
            assert all(map(math.isfinite, curve.points.values()))
