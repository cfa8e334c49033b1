"""Bias and variance of a transmitter's gradient estimators.

    python benchmarks/gradient_quality.py [--csv FILE]
    python benchmarks/gradient_quality.py --estimators paper antithetic --after 160
    python benchmarks/gradient_quality.py --baseline message --feedback quantized?bits=2

A link (256 messages, 4 uses, AWGN at 10 dB) is trained and frozen twice: early, and
after convergence. Every estimator then estimates the gradient with respect to the
codebook from many batches. The flags of a single estimator replace the table of
estimators. Beside a CSV, `made_by.json` has command, commit, versions and hardware.
"""

import argparse
import csv
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from syntony.channels.feedback import feedback
from syntony.channels.registry import channel
from syntony.evaluation.gradients import (
    GRADIENT_ESTIMATORS,
    GradientEstimator,
    GradientQuality,
    measure_gradient_quality,
    sample_gradients,
    train_for,
    with_gradient_estimator,
)
from syntony.systems.link.gradient_estimators import PerturbationConfig
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule
from syntony.training.devices import enable_compilation_cache
from syntony.training.provenance import collect_provenance

COLUMNS = ("iterations", "loss", "estimator", *GradientQuality._fields)


def main() -> None:
    """Prints the table, row by row."""
    args = read_args()
    rows = []
    print(
        f"{'iteration':>9} {'loss':>7}  {'estimator':34}",
        *map(header, GradientQuality._fields),
    )
    for row in measure(args):
        rows.append(row)
        numbers = [f"{value:11.3g} ± {error:<8.2g}" for value, error in row[3:]]
        print(f"{row[0]:>9} {row[1]:7.4f}  {row[2]:34}", *numbers, flush=True)
    if args.csv:
        write(args, rows)


def header(name: str) -> str:
    """Header of a column of values and standard errors."""
    return f"{name:>22}"


def read_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--csv", type=Path, help="also write the table here")
    add(
        "--estimators",
        nargs="+",
        choices=GRADIENT_ESTIMATORS,
        default=list(GRADIENT_ESTIMATORS),
    )
    add("--after", nargs="+", type=int, default=[160, 8000], help="training iterations")
    add("--batches", type=int, default=2000, help="batches of each estimator")
    add(
        "--reference-batches",
        type=int,
        default=4000,
        help="batches of back-propagation through the channel",
    )
    add("--batch-size", type=int, default=1000, help="blocks of a batch")
    add("--seed", type=int, default=0, help="seed of link and batches")
    add("--channel", default="awgn?snr_db=10", help="id of the channel")
    add("--decay-iterations", type=int, default=8000, help="of the link's schedule")
    one = parser.add_argument_group("a single estimator, instead of the table")
    absent: dict[str, Any] = {"default": argparse.SUPPRESS}
    one.add_argument("--gradient", choices=("policy", "spsa", "backprop"), **absent)
    one.add_argument("--perturbation-variance", type=float, **absent)
    one.add_argument("--baseline", choices=("none", "batch", "message"), **absent)
    one.add_argument("--antithetic", action="store_true", **absent)
    one.add_argument(
        "--perturbation-directions", choices=("iid", "orthogonal"), **absent
    )
    one.add_argument("--feedback-loss", choices=("nll", "odds"), **absent)
    one.add_argument("--loss-clip-quantile", type=float, **absent)
    one.add_argument("--temperature", type=float, **absent)
    one.add_argument("--spsa-perturbation-size", type=float, **absent)
    one.add_argument("--feedback", help="id, such as noisy+erased", **absent)
    return parser.parse_args()


def estimators(args: argparse.Namespace) -> dict[str, GradientEstimator]:
    """The chosen estimators of the table, or the single one that flags describe."""
    fields = {field.name for field in dataclasses.fields(PerturbationConfig)}
    given = vars(args)
    if not {*fields, "gradient", "feedback"} & given.keys():
        return {name: GRADIENT_ESTIMATORS[name] for name in args.estimators}
    settings: dict[str, Any] = {
        "perturbation_variance": 0.02,
        "baseline": "none",
        "antithetic": False,
        "temperature": 1.0,
    }
    settings |= {name: given[name] for name in fields if name in given}
    settings["final_perturbation_variance"] = settings["perturbation_variance"]
    perturbation = PerturbationConfig(**settings)
    link = feedback(given.get("feedback", "perfect"))
    gradient = given.get("gradient", "policy")
    return {"given": GradientEstimator(gradient, perturbation, link)}


def measure(args: argparse.Namespace) -> Iterator[tuple[Any, ...]]:
    """Rows of the table."""
    enable_compilation_cache()
    link = Link(
        channel=channel(args.channel),
        perturbation=PerturbationConfig(temperature=1.0),
        schedule=TrainingSchedule(
            batch_size=args.batch_size, decay_iterations=args.decay_iterations
        ),
    )
    links = {
        name: with_gradient_estimator(link, estimator)
        for name, estimator in estimators(args).items()
    }
    reference = with_gradient_estimator(link, GRADIENT_ESTIMATORS["model"])
    keys = jax.random.split(jax.random.key(args.seed), 3)
    state = link.init(keys[0])
    for iterations in sorted(args.after):
        state = train_for(link, state, iterations)
        truth, loss = sample_gradients(
            reference, state, keys[1], args.reference_batches
        )
        for name, estimated in links.items():
            samples, _ = sample_gradients(estimated, state, keys[2], args.batches)
            yield iterations, loss, name, *measure_gradient_quality(samples, truth)


def write(args: argparse.Namespace, rows: list[tuple[Any, ...]]) -> None:
    """Writes the table, and its provenance beside it."""
    args.csv.parent.mkdir(parents=True, exist_ok=True)
    errors = [f"{name}_error" for name in GradientQuality._fields]
    pairs = [name for both in zip(COLUMNS[3:], errors, strict=True) for name in both]
    sizes = args.batches, args.reference_batches, args.batch_size, args.seed
    with args.csv.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        head = ("batches", "model_batches", "blocks", "seed")
        writer.writerow((*COLUMNS[:3], *pairs, *head))
        for iterations, loss, name, *measurements in rows:
            numbers = [f"{x:.4g}" for measured in measurements for x in measured]
            writer.writerow((iterations, f"{loss:.4g}", name, *numbers, *sizes))
    made_by = json.dumps(collect_provenance(), indent=2) + "\n"
    (args.csv.parent / "made_by.json").write_text(made_by)


if __name__ == "__main__":
    main()
