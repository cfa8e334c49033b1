"""How good are the ways in which a transmitter can learn its gradient?

    python benchmarks/gradient_quality.py [--csv FILE]
    python benchmarks/gradient_quality.py --rows paper antithetic --after 160
    python benchmarks/gradient_quality.py --baseline message --feedback quantised?bits=2

A link (256 messages, 4 uses, white noise at 10 dB) learns for a while, is frozen early
and again when it has converged. Every estimator then draws the gradient in the codebook
from many batches. The flags that describe an estimator measure that one alone. A CSV
comes with `made_by.json`: command, commit, versions, hardware.
"""

import argparse
import csv
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
    arguments = read_arguments()
    rows = []
    print(
        f"{'iteration':>9} {'loss':>7}  {'estimator':34}",
        *map(title, GradientQuality._fields),
    )
    for row in measure(arguments):
        rows.append(row)
        numbers = [f"{value:9.3g} ± {error:<8.2g}" for value, error in row[3:]]
        print(f"{row[0]:>9} {row[1]:7.4f}  {row[2]:34}", *numbers, flush=True)
    if arguments.csv:
        write(arguments, rows)


def title(name: str) -> str:
    """Returns the head of a column of numbers."""
    return f"{name:>9}{'':11}"


def read_arguments() -> argparse.Namespace:
    """Reads the flags."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--csv", type=Path, help="also write the table here")
    add(
        "--rows",
        nargs="+",
        choices=GRADIENT_ESTIMATORS,
        default=list(GRADIENT_ESTIMATORS),
    )
    add("--after", nargs="+", type=int, default=[160, 8000], help="iterations")
    add("--batches", type=int, default=2000, help="of each estimator")
    add("--truth", type=int, default=4000, help="batches of the model's gradient")
    add("--batch", type=int, default=1000, help="blocks of a batch")
    add("--seed", type=int, default=0, help="of link and batches")
    add("--channel", default="awgn?snr_db=10", help="an id")
    add("--horizon", type=int, default=8000, help="of the link's schedule")
    one = parser.add_argument_group("one estimator, instead of the rows")
    absent: dict[str, Any] = {"default": argparse.SUPPRESS}
    one.add_argument("--gradient", choices=("policy", "spsa", "backprop"), **absent)
    one.add_argument("--variance", type=float, **absent)
    one.add_argument("--baseline", choices=("none", "batch", "message"), **absent)
    one.add_argument("--antithetic", action="store_true", **absent)
    one.add_argument("--directions", choices=("free", "orthogonal"), **absent)
    one.add_argument("--criterion", choices=("surprise", "odds"), **absent)
    one.add_argument("--clip", type=float, **absent)
    one.add_argument("--temperature", type=float, **absent)
    one.add_argument("--spsa-step", type=float, **absent)
    one.add_argument("--feedback", help="an id, such as noisy+erased", **absent)
    return parser.parse_args()


def estimators(arguments: argparse.Namespace) -> dict[str, GradientEstimator]:
    """Returns the rows that were asked for, or the one that flags describe."""
    flags = "variance", "baseline", "antithetic", "directions", "criterion"
    flags += "clip", "temperature", "spsa_step"
    given = vars(arguments)
    if not {*flags, "gradient", "feedback"} & given.keys():
        return {name: GRADIENT_ESTIMATORS[name] for name in arguments.rows}
    paper = {
        "variance": 0.02,
        "baseline": "none",
        "antithetic": False,
        "temperature": 1.0,
    }
    constants = paper | {name: given[name] for name in flags if name in given}
    exploration = PerturbationConfig(
        **constants, final_perturbation_variance=constants["variance"]
    )
    back = feedback(given.get("feedback", "perfect"))
    return {
        "given": GradientEstimator(given.get("gradient", "policy"), exploration, back)
    }


def measure(arguments: argparse.Namespace) -> Iterator[tuple[Any, ...]]:
    """Yields the rows of the table."""
    enable_compilation_cache()
    link = Link(
        channel=channel(arguments.channel),
        perturbation=PerturbationConfig(temperature=1.0),
        schedule=TrainingSchedule(
            batch_size=arguments.batch_size, decay_iterations=arguments.decay_iterations
        ),
    )
    asked = estimators(arguments)
    links = {name: with_gradient_estimator(link, row) for name, row in asked.items()}
    model = with_gradient_estimator(link, GRADIENT_ESTIMATORS["model"])
    keys = jax.random.split(jax.random.key(arguments.seed), 3)
    state = link.init(keys[0])
    for iterations in sorted(arguments.after):
        state = train_for(link, state, iterations)
        truth, loss = sample_gradients(model, state, keys[1], arguments.truth)
        for name, row in links.items():
            drawn, _ = sample_gradients(row, state, keys[2], arguments.batches)
            yield iterations, loss, name, *measure_gradient_quality(drawn, truth)


def write(arguments: argparse.Namespace, rows: list[tuple[Any, ...]]) -> None:
    """Writes the table, and beside it how it was made."""
    arguments.csv.parent.mkdir(parents=True, exist_ok=True)
    errors = [f"{name}_error" for name in GradientQuality._fields]
    pairs = [name for both in zip(COLUMNS[3:], errors, strict=True) for name in both]
    sizes = arguments.batches, arguments.truth, arguments.batch_size, arguments.seed
    with arguments.csv.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        head = ("batches", "model_batches", "blocks", "seed")
        writer.writerow((*COLUMNS[:3], *pairs, *head))
        for iterations, loss, name, *found in rows:
            numbers = [f"{x:.4g}" for measured in found for x in measured]
            writer.writerow((iterations, f"{loss:.4g}", name, *numbers, *sizes))
    made_by = json.dumps(collect_provenance(), indent=2) + "\n"
    (arguments.csv.parent / "made_by.json").write_text(made_by)


if __name__ == "__main__":
    main()
