"""Demonstration of a link: a code learned over a black-box channel."""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from syntony.evaluation.link import LinkEvaluation, evaluate_link
from syntony.systems.link.link import Link
from syntony.training.loop import train
from syntony.visualization.run_figures import save_evaluation, save_run_figures

NUM_ITERATIONS, MAX_BLOCKS = 2_000, 300_000
SNRS_DB = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)

INTRODUCTION = f"""\
[bold]Link. A transmitter and a receiver learn a code for 256 messages.[/bold]
The channel between them is a black box that adds noise. The receiver is
trained on the received symbols, the transmitter on one number per block: the
receiver's loss.
Training for {NUM_ITERATIONS:,} iterations: half a minute on two cores.
"""


def run_link_demo(
    path: Path, *, link: Link | None = None, steps: int = NUM_ITERATIONS
) -> None:
    """Trains a link, evaluates it over SNR, draws it, and prints the results.

    If the folder holds a finished demonstration, only its results are printed.

    Args:
        path: run folder.
        link: the link; by default 256 messages in 4 uses, over white Gaussian noise.
        steps: iterations.
    """
    result = path / "demo.json"
    console = Console(highlight=False)
    console.print(INTRODUCTION)
    if not result.is_file():
        run = train(
            link or Link(), steps=steps, eval_every=250, eval_episodes=20_000, out=path
        )
        console.print("evaluating and drawing")
        evaluation = evaluate_link(run, SNRS_DB, max_blocks=MAX_BLOCKS)
        save_evaluation(run, evaluation)
        save_run_figures(path)
        # Written last: it marks the demonstration as finished.
        result.write_text(json.dumps(evaluation))
    print_results(console, path, json.loads(result.read_text()))


def print_results(console: Console, path: Path, evaluation: LinkEvaluation) -> None:
    """Prints the error rates, their meaning, and the paths of the figures."""
    baselines = list(evaluation["points"][0]["baselines"])
    table = Table("SNR dB", "learned", *baselines, "limit", box=None, pad_edge=False)
    for column in table.columns:
        column.justify = "right"
    for point in evaluation["points"]:
        rates = [
            point["bler"],
            *(point["baselines"][name]["bler"] for name in baselines),
        ]
        rates += [*point["bounds"].values()][:1]
        table.add_row(f"{point['snr_db']:g}", *(f"{rate:.2g}" for rate in rates))
    console.print(table)
    console.print(
        "\nBlock error rates. QPSK is the uncoded baseline, E8 the densest lattice\n"
        "packing in 8 dimensions; no code can be below the limit."
    )
    console.print(f"\nFigures, each as PNG and SVG, in {path / 'figures'}:")
    console.print("  bler            error rates over SNR, with other codes and bounds")
    console.print("  constellation   symbols sent in each of the four channel uses")
    console.print("  training        error rate during training; losses: both losses")
