"""Curves of block error rate over SNR, taken from an evaluation of a link."""

from collections.abc import Sequence
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np
from jaxtyping import Float

from syntony.training.metrics_log import MetricsRow


class LinkRates(TypedDict):
    """Mean error rates over all seeds."""

    bler: float
    bler_low: float | None
    """End of Student's interval over the seeds; None for one or two seeds."""
    bler_high: float | None
    ml_bler: NotRequired[float]
    """With maximum-likelihood detection of the link's codebook, where it is known."""
    ml_bler_low: NotRequired[float | None]
    ml_bler_high: NotRequired[float | None]
    ml_ratio: NotRequired[float | None]
    """Error rate of the learned receiver, divided by that of ML detection."""


class LinkPoint(LinkRates):
    """Error rates at one SNR: over all seeds, of each, of other codes, and bounds."""

    snr_db: float | None
    seeds: list[MetricsRow]
    baselines: dict[str, MetricsRow]
    """Of classical codes, by name; `source` is where their error rates are from."""
    bounds: dict[str, float]
    """Bounds and approximations, by name, the tightest first."""


class AnalyticCurves(TypedDict):
    """Curves that are computed, not measured, on a grid finer than the points."""

    snr_db: list[float]
    bounds: dict[str, list[float]]
    """Bounds and approximations, by name, as those of the points."""
    baselines: dict[str, list[float]]
    """Of classical codes with a closed form, by name."""


class SeedBLER(NamedTuple):
    """Block error rates of one or more measurements, with 95 % intervals (Wilson)."""

    bler: Float[np.ndarray, " P"]
    low: Float[np.ndarray, " P"]
    high: Float[np.ndarray, " P"]


class BLERCurves(NamedTuple):
    """Block error rates over SNR: of a trained link, of other codes, and of bounds."""

    snr_db: list[float]
    """NaN for a channel without SNR."""
    seeds: list[SeedBLER]
    """Of the link's receiver, one entry per seed."""
    ml_bler: list[list[float]]
    """With maximum-likelihood detection of the link's codebook, one entry per seed;
    empty if the channel has no ML metric."""
    baselines: dict[str, SeedBLER]
    """Of classical codes, by name; without a width where they are computed."""
    analytic: AnalyticCurves
    """Bounds, and codes with a closed form, on a dense grid where there is one."""

    def baseline(self, name: str) -> tuple[list[float], list[float]]:
        """SNRs and error rates of a classical code: of its closed form if it has one.

        Args:
            name: its name in `baselines`.
        """
        if name in self.analytic["baselines"]:
            return self.analytic["snr_db"], self.analytic["baselines"][name]
        return self.snr_db, self.baselines[name].bler.tolist()


def bler_curves(
    points: Sequence[LinkPoint], analytic: AnalyticCurves | None = None
) -> BLERCurves:
    """Curves of an evaluation.

    Args:
        points: those of the result of `syntony.evaluation.link.evaluate_link`.
        analytic: its curves on a dense grid; None: the bounds of the points.

    Raises:
        IndexError: the evaluation has no points.
        KeyError: the evaluation is incomplete.
    """
    first = points[0]
    by_seed = [
        [point["seeds"][index] for point in points]
        for index in range(len(first["seeds"]))
    ]
    snr_db = [
        np.nan if point["snr_db"] is None else point["snr_db"] for point in points
    ]
    bounds = {
        name: [point["bounds"][name] for point in points] for name in first["bounds"]
    }
    return BLERCurves(
        snr_db=snr_db,
        seeds=[seed_bler(rows) for rows in by_seed],
        ml_bler=[
            [row["ml_bler"] for row in rows] for rows in by_seed if "ml_bler" in rows[0]
        ],
        baselines={
            name: seed_bler([point["baselines"][name] for point in points])
            for name in first["baselines"]
        },
        analytic=analytic or {"snr_db": snr_db, "bounds": bounds, "baselines": {}},
    )


def seed_bler(rows: Sequence[MetricsRow]) -> SeedBLER:
    """Block error rates and intervals of rows of an evaluation."""
    return SeedBLER(
        *(
            np.array([row[f"bler{end}"] for row in rows])
            for end in ("", "_low", "_high")
        )
    )
