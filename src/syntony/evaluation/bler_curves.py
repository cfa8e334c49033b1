"""Curves of block error rate over SNR, taken from an evaluation of a link."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float


class SeedBLER(NamedTuple):
    """Block error rates of one or more measurements, with 95 % intervals (Wilson)."""

    bler: Float[np.ndarray, " P"]
    low: Float[np.ndarray, " P"]
    high: Float[np.ndarray, " P"]


class BLERCurves(NamedTuple):
    """Block error rates over SNR: of a trained link, of other codes, and of bounds."""

    snr_db: list[float]
    seeds: list[SeedBLER]
    """Of the link's receiver, one entry per seed."""
    ml_bler: list[list[float]]
    """With maximum-likelihood detection of the link's codebook, one entry per seed;
    empty if the channel has no ML metric."""
    baselines: dict[str, list[float]]
    """Of classical codes, by name."""
    bounds: dict[str, list[float]]
    """Bounds and approximations, by name."""


def bler_curves(evaluation: Mapping[str, Any]) -> BLERCurves:
    """Curves of an evaluation.

    Args:
        evaluation: the result of `syntony.evaluation.link.evaluate_link`.

    Raises:
        IndexError: the evaluation has no points.
        KeyError: the evaluation is incomplete.
    """
    points = evaluation["points"]
    first = points[0]
    by_seed = [
        [point["seeds"][index] for point in points]
        for index in range(len(first["seeds"]))
    ]
    return BLERCurves(
        snr_db=[point["snr_db"] for point in points],
        seeds=[seed_bler(rows) for rows in by_seed],
        ml_bler=[
            [row["ml_bler"] for row in rows] for rows in by_seed if "ml_bler" in rows[0]
        ],
        baselines={
            name: [point["baselines"][name]["bler"] for point in points]
            for name in first["baselines"]
        },
        bounds={
            name: [point["bounds"][name] for point in points]
            for name in first["bounds"]
        },
    )


def seed_bler(rows: Sequence[Mapping[str, Any]]) -> SeedBLER:
    """Block error rates and intervals of rows of an evaluation."""
    return SeedBLER(
        *(
            np.array([row[f"bler{end}"] for row in rows])
            for end in ("", "_low", "_high")
        )
    )
