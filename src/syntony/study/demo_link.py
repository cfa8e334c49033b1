"""The second demonstration: two modems agree on a code, over a channel none knows."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from syntony.run.train import train
from syntony.study.link import evaluate_link
from syntony.study.run_figures import draw, remember
from syntony.systems.link import Link
from syntony.systems.schedule import Schedule

STEPS, CAP = 2_000, 300_000
SNRS_DB = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)

STORY = f"""[bold]Transmit. A transmitter and a receiver must agree on a code for 256 \
messages.[/bold]
Between them is noise that neither can look into. The receiver learns from what it
hears, the transmitter from one number for each block: the loss that comes back.
Learning for {STEPS:,} iterations: half a minute on two cores.
"""


def demo(path: Path, *, link: Link | None = None, steps: int = STEPS) -> None:
    """Trains a link, measures it over SNR, draws it, and prints all that.

    As for the team, a finished demonstration is shown again at once.

    Args:
        path: the run folder.
        link: what learns; by default 256 messages in 4 uses, over white noise.
        steps: iterations.
    """
    result = path / "demo.json"
    console = Console(highlight=False)
    console.print(STORY)
    if not result.is_file():
        learner = link or Link(schedule=Schedule(horizon=steps))
        run = train(
            learner, steps=steps, eval_every=250, eval_episodes=20_000, out=path
        )
        console.print("measuring and drawing")
        found = evaluate_link(run, SNRS_DB, cap=CAP)
        remember(run, found)
        draw(path)
        # Written last: where it is, everything is.
        result.write_text(json.dumps(found))
    show(console, path, json.loads(result.read_text()))


def show(console: Console, path: Path, found: dict[str, Any]) -> None:
    """Prints the result, what it means, and where the pictures are."""
    others = list(found["points"][0]["others"])
    table = Table("SNR dB", "learned", *others, "limit", box=None, pad_edge=False)
    for column in table.columns:
        column.justify = "right"
    for point in found["points"]:
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
