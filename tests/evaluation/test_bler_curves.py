"""Curves over SNR from an evaluation of a link."""

import numpy as np
import pytest

from syntony.evaluation.bler_curves import AnalyticCurves, LinkPoint, bler_curves

ENDS = ("", "_low", "_high")


def point(snr_db: float, bler: float, **seed: float) -> LinkPoint:
    """One point of an evaluation with two seeds."""
    first = {"bler": bler, "bler_low": bler / 2, "bler_high": 2 * bler} | seed
    second = {name: value / 10 for name, value in first.items()}
    return {
        "snr_db": snr_db,
        "bler": bler,
        "bler_low": None,
        "bler_high": None,
        "seeds": [first, second],
        "baselines": {"QPSK": {f"bler{end}": 0.2 * bler for end in ENDS}},
        "bounds": {"Shannon 1959": 0.1 * bler},
    }


def test_curves_have_one_value_per_point():
    curves = bler_curves([point(0.0, 0.5), point(6.0, 0.1)])
    assert curves.snr_db == [0.0, 6.0]
    np.testing.assert_allclose(curves.seeds[0].bler, [0.5, 0.1])
    np.testing.assert_allclose(curves.seeds[1].low, [0.025, 0.005])
    np.testing.assert_allclose(curves.seeds[1].high, [0.1, 0.02])
    assert curves.baselines["QPSK"].bler == pytest.approx([0.1, 0.02])
    assert curves.analytic["bounds"]["Shannon 1959"] == pytest.approx([0.05, 0.01])
    snrs_db, rates = curves.baseline("QPSK")
    assert snrs_db == [0.0, 6.0]
    assert rates == pytest.approx([0.1, 0.02])
    assert curves.ml_bler == []


def test_ml_detection_has_one_curve_per_seed():
    curves = bler_curves([point(0.0, 0.5, ml_bler=0.4)])
    assert [list(rates) for rates in curves.ml_bler] == [[0.4], [0.04]]


def test_a_closed_form_is_drawn_on_its_own_grid():
    grid: AnalyticCurves = {
        "snr_db": [0.0, 3.0, 6.0],
        "bounds": {"Shannon 1959": [0.05, 0.02, 0.01]},
        "baselines": {"QPSK": [0.1, 0.05, 0.02]},
    }
    points = [point(0.0, 0.5), point(6.0, 0.1)]
    for x in points:
        x["baselines"]["E8"] = dict.fromkeys([f"bler{end}" for end in ENDS], 0.3)
    curves = bler_curves(points, grid)
    assert curves.baseline("QPSK") == ([0.0, 3.0, 6.0], [0.1, 0.05, 0.02])
    assert curves.baseline("E8") == ([0.0, 6.0], [0.3, 0.3])
    assert curves.analytic is grid
