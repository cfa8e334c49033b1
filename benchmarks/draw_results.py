"""Draws the figures of README and documentation from the CSV files in `results/`.

    python benchmarks/draw_results.py [NAME ...]

Writes `docs/images/results-NAME.svg` for every figure of `LEARNING_CURVES` and
`ERROR_RATES`, or for those that are named. The same files give the same figures, byte
for byte; `results/` has no pictures of its own.
"""

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import syntony
from syntony.comparison.reported_results import find_reported_curve
from syntony.evaluation.bler import MAX_BLOCKS, TARGET_BLOCK_ERRORS
from syntony.evaluation.bler_curves import LinkPoint
from syntony.evaluation.learning_curves import LearningCurve, align_curves
from syntony.evaluation.link import (
    LinkEvaluation,
    analytic_curves,
    bler_bounds,
    channels_at_snrs,
)
from syntony.evaluation.references import classical_rates
from syntony.tasks.task import HasScoreRange
from syntony.training.metrics_log import MetricsRow
from syntony.visualization import figures, link_figures

ROOT = Path(__file__).parents[1]
RESULTS, IMAGES = ROOT / "results", ROOT / "docs" / "images"
FORAGING, SPREAD = "foraging-2s-8x8-3p-2f-coop", "simple-spread-3"


class CurvesFigure(NamedTuple):
    """Learning curves of groups of seeds on one task."""

    task: str
    folder: str
    groups: Mapping[str, Sequence[str]]
    """Files of each group, by its name in the legend, relative to the folder."""
    paper: Sequence[str] = ("SMPE²", "MAA2C")
    """Methods whose curves of the paper are shown beside the groups of their name."""


class RatesFigure(NamedTuple):
    """Error rates of a link over SNR."""

    file: str
    run: str
    """Name of the run in the file."""
    title: str


LEARNING_CURVES = {
    FORAGING: CurvesFigure(
        "Foraging-2s-8x8-3p-2f-coop",
        FORAGING,
        {
            "SMPE²": ["ablations/smpe"],
            "SMPE², to 10 M": ["smpe-seeds0-2"],
            "MAA2C": ["maa2c-seeds0-2", "maa2c-seeds100-103"],
            "MAA2C, to 10 M": ["maa2c-seeds0-2"],
        },
    ),
    "foraging-4s-11x11-3p-2f-coop": CurvesFigure(
        "Foraging-4s-11x11-3p-2f-coop",
        "foraging-4s-11x11-3p-2f-coop",
        {"SMPE²": ["e-bits13-rec0.1"], "MAA2C": ["maa2c"]},
    ),
    "foraging-2s-11x11-3p-2f-coop": CurvesFigure(
        "Foraging-2s-11x11-3p-2f-coop",
        "foraging-2s-11x11-3p-2f-coop",
        {
            "SMPE²": ["smpe-bits13-rec0.1"],
            "SMPE², Table 3, 2¹⁶ codes": ["smpe-sample16"],
            "MAA2C": ["maa2c/maa2c"],
        },
    ),
    "foraging-2s-12x12-2p-2f-coop": CurvesFigure(
        "Foraging-2s-12x12-2p-2f-coop",
        "foraging-2s-12x12-2p-2f-coop",
        {
            "SMPE²": ["smpe"],
            "SMPE², constants of small boards": ["smpe-mean"],
            "MAA2C": ["maa2c"],
        },
    ),
    SPREAD: CurvesFigure(
        "SimpleSpread-3", SPREAD, {"SMPE²": ["smpe"], "MAA2C": ["maa2c"]}
    ),
    "simple-spread-3-baselines": CurvesFigure(
        "SimpleSpread-3",
        f"{SPREAD}/baselines",
        {
            "SMPE² on PPO": ["smpe-on-ppo"],
            "MAA2C": ["maa2c-seeds0-2", "maa2c-seeds3-7"],
            "IA2C": ["ia2c"],
            "MAPPO": ["mappo"],
            "MAPPO, paper's constants": ["mappo-paper"],
            "IPPO": ["ippo"],
        },
        (),
    ),
    "speaker-listener": CurvesFigure(
        "SpeakerListener",
        "speaker-listener",
        {"SMPE²": ["smpe"], "MAA2C": ["maa2c"]},
    ),
    "rware-tiny-2ag-hard": CurvesFigure(
        "rware-tiny-2ag-hard",
        "rware-tiny-2ag-hard",
        {
            "SMPE²": ["smpe-seed0", "smpe-seed1", "smpe-seed2"],
            "MAA2C": ["maa2c-seed0", "maa2c-seed1", "maa2c-seed2"],
        },
    ),
    "one-by-one-counts": CurvesFigure(
        "Foraging-2s-8x8-3p-2f-coop",
        f"{FORAGING}/one-by-one/counts",
        {
            "SMPE²": ["smpe"],
            "a sample is hashed": ["sample"],
            "a sample, 2¹⁶ codes in a sketch": ["sample-16bits-sketch"],
            "λ_rec 0.1": ["lambda-rec-0.1"],
            "all deviations": ["official-compat"],
        },
        ("SMPE²",),
    ),
    "one-by-one-ways": CurvesFigure(
        "Foraging-2s-8x8-3p-2f-coop",
        f"{FORAGING}/one-by-one/ways",
        {
            "SMPE²": ["smpe"],
            "frozen filtered critic": ["frozen-filtered-critic"],
            "two critic steps": ["two-critic-steps"],
            "filters as released": ["filters"],
            "last-step bootstrap": ["last-step-bootstrap"],
            "padding": ["padding"],
            "beliefs first": ["beliefs-first"],
        },
        ("SMPE²",),
    ),
}
ERROR_RATES = {
    "link-awgn": RatesFigure(
        "link-awgn/bler.csv", "policy gradient", "256 messages in 4 channel uses, AWGN"
    ),
    "link-awgn-orthogonal": RatesFigure(
        "link-awgn/white/bler.csv",
        "policy gradient, white",
        "256 messages in 4 channel uses, AWGN, orthogonal perturbations",
    ),
}


def main() -> None:
    """Draws the figures that are named, or all."""
    names = [*LEARNING_CURVES, *ERROR_RATES]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *names], metavar="NAME")
    for name in parser.parse_args().names or names:
        figures.save_figure(draw(name), IMAGES / f"results-{name}", ["svg"])


def draw(name: str) -> Figure:
    """Figure of a name."""
    if name in ERROR_RATES:
        shown = ERROR_RATES[name]
        return link_figures.plot_bler(read_rates(shown), title=shown.title)
    shown = LEARNING_CURVES[name]
    task = syntony.task(shown.task)
    possible = task.score_range if isinstance(task, HasScoreRange) else None
    curves = {
        label: read_curves(
            [RESULTS / shown.folder / f"{x}.csv" for x in files]
        )._replace(possible=possible)
        for label, files in shown.groups.items()
    }
    return figures.plot_learning_curves(
        curves, title=shown.task, paper=paper_points(shown, curves)
    )


def read_curves(files: Sequence[Path]) -> LearningCurve:
    """Returns of all seeds of some files, at the steps that all have reached."""
    seeds: dict[tuple[Path, str], list[tuple[float, float]]] = {}
    for file in files:
        for row in read_rows(file):
            point = float(row["step"]), float(row["eval/return_mean"])
            seeds.setdefault((file, row["seed"]), []).append(point)
    columns = (np.transpose(points) for points in seeds.values())
    return align_curves([(steps, scores) for steps, scores in columns])


def read_rows(file: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with file.open(newline="") as lines:
        return [*csv.DictReader(lines)]


def paper_points(
    shown: CurvesFigure, curves: Mapping[str, LearningCurve]
) -> dict[str, list[tuple[float, float]]]:
    """Points of the paper in million steps, as far as a curve of the figure goes."""
    last = max(curve.steps[-1] for curve in curves.values())
    points: dict[str, list[tuple[float, float]]] = {}
    for method in shown.paper:
        reported = find_reported_curve(shown.task, method)
        found = reported.points.items() if reported and method in curves else ()
        if within := [(x / 1e6, y) for x, y in found if x <= last]:
            points[method] = within
    return points


def read_rates(shown: RatesFigure) -> LinkEvaluation:
    """Measured rates of a link from a file; references and bounds of this version."""
    lines = read_rows(RESULTS / shown.file)
    measured = [row for row in lines if row["run"] == shown.run]
    snrs_db = sorted({float(row["snr_db"]) for row in measured})
    link = syntony.Link(messages=256, uses=4, channel=syntony.channel("awgn?snr_db=10"))
    channels = channels_at_snrs(link.channel, snrs_db)
    references = classical_rates(link, channels, TARGET_BLOCK_ERRORS, MAX_BLOCKS)
    points: list[LinkPoint] = []
    for index, (snr_db, channel) in enumerate(zip(snrs_db, channels, strict=True)):
        seeds = [*seed_rows(row for row in measured if float(row["snr_db"]) == snr_db)]
        rates = [seed["bler"] for seed in seeds]
        points.append(
            {
                "snr_db": snr_db,
                "bler": float(np.mean(rates)),
                "bler_low": min(rates),
                "bler_high": max(rates),
                "seeds": seeds,
                "baselines": {name: x[index] for name, x in references.items()},
                "bounds": bler_bounds(channel, 256, 4),
            }
        )
    result: LinkEvaluation = {
        "run": shown.run,
        "system": "link",
        "channel": "awgn",
        "messages": 256,
        "uses": 4,
        "target_block_errors": TARGET_BLOCK_ERRORS,
        "max_blocks": MAX_BLOCKS,
        "codebooks": [],
        "points": points,
    }
    if (analytic := analytic_curves(link, channels)) is not None:
        result["analytic"] = analytic
    return result


def seed_rows(rows: Iterator[dict[str, str]]) -> Iterator[MetricsRow]:
    """Yields the rates of each seed, with ML detection beside the learned receiver."""
    by_seed: dict[str, MetricsRow] = {}
    for row in rows:
        if row["what"] not in ("learned", "learned, ML"):
            continue
        prefix = "ml_" if row["what"].endswith("ML") else ""
        rates = by_seed.setdefault(row["seed"], {})
        rates[f"{prefix}bler"] = float(row["bler"])
        for end in ("low", "high"):
            rates[f"{prefix}bler_{end}"] = float(row[end])
    yield from by_seed.values()


if __name__ == "__main__":
    main()
