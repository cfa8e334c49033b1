"""The second demonstration: two modems agree on a code, over a channel none knows."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from syntony.evaluation.link import evaluate_link
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule
from syntony.training.loop import train
from syntony.visualization.run_figures import save_evaluation, save_run_figures

NUM_ITERATIONS, MAX_BLOCKS = 2_000, 300_000
SNRS_DB = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)

INTRODUCTION = f"""[bold]Transmit. A transmitter and a receiver must agree on a code for 256 \
messages.[/bold]
Between them is noise that neither can look into. The receiver learns from what it
hears, the transmitter from one number for each block: the loss that comes back.
Learning for {NUM_ITERATIONS:,} iterations: half a minute on two cores.
"""


def run_link_demo(
    path: Path, *, link: Link | None = None, steps: int = NUM_ITERATIONS
) -> None:
    """Trains a link, measures it over SNR, draws it, and prints all that.

    As for the team, a finished demonstration is shown again at once.

    Args:
        path: the run folder.
        link: what learns; by default 256 messages in 4 uses, over white noise.
        steps: iterations.
    """
    result = path / "demo.json"
    console = Console(highlight=False)
    console.print(INTRODUCTION)
    if not result.is_file():
        learner = link or Link(schedule=TrainingSchedule(decay_iterations=steps))
        run = train(
            learner, steps=steps, eval_every=250, eval_episodes=20_000, out=path
        )
        console.print("measuring and drawing")
        found = evaluate_link(run, SNRS_DB, max_blocks=MAX_BLOCKS)
        save_evaluation(run, found)
        save_run_figures(path)
        # Written last: where it is, everything is.
        result.write_text(json.dumps(found))
    print_results(console, path, json.loads(result.read_text()))


def print_results(console: Console, path: Path, evaluation: dict[str, Any]) -> None:
    """Prints the result, what it means, and where the pictures are."""
    others = list(evaluation["points"][0]["others"])
    table = Table("SNR dB", "learned", *others, "limit", box=None, pad_edge=False)
    for column in table.columns:
        column.justify = "right"
    for point in evaluation["points"]:
        rates = [point["bler"], *(point["others"][name]["bler"] for name in others)]
        rates += [*point["bounds"].values()][:1]
        table.add_row(f"{point['snr_db']:g}", *(f"{rate:.2g}" for rate in rates))
    console.print(table)
    console.print(
        "\nShares of wrong blocks. QPSK is the textbook's code, E8 the densest"
    )
    console.print("packing known; no code can be below the limit.")
    console.print(f"\nPictures, each as PNG and SVG, in {path / 'figures'}:")
    console.print("  bler            errors over SNR, beside other codes and bounds")
    console.print("  constellation   what is sent in each of the four channel uses")
    console.print("  training        how the error rate fell; losses: by what")
