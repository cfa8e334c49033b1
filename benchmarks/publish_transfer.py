"""Does a team that learned in a task of ours earn the same in the original package?

    python benchmarks/publish_transfer.py OUT RUN=ORIGINAL [RUN=ORIGINAL ...]
        [--episodes N]

RUN is a run folder, ORIGINAL the id of the same task in its original package, e.g.

    runs/maa2c=gymnasium:lbforaging:Foraging-2s-8x8-3p-2f-coop-v3?max_player_level=3

Every seed lives through N episodes of both, with sampled and with most likely actions.
Writes to OUT, for each run, a CSV of every seed and score: both means with their 95 %
bootstrap intervals over episodes, and their difference with Welch's interval, which
should hold 0 in 95 rows of 100; and adds to its `made_by.json`: commands, commits,
hardware.
"""

import argparse
import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import syntony
from syntony.equations.statistics import welch_interval
from syntony.training.metrics_log import means_with_intervals
from syntony.training.provenance import collect_provenance

COLUMNS = (
    *("task", "original", "seed", "step", "score", "episodes"),
    *("ours_mean", "ours_low", "ours_high"),
    *("original_mean", "original_low", "original_high"),
    *("difference", "difference_low", "difference_high"),
)
FACTS = ("command", "commit", "hardware")
Scores = Mapping[str, np.ndarray]


def main() -> None:
    """Measures the runs that are named, and writes what is published of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", nargs="+", metavar="RUN=ORIGINAL")
    parser.add_argument("--episodes", type=int, default=1000)
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)

    record = out / "made_by.json"
    made_by = json.loads(record.read_text()) if record.exists() else {}
    for pair in arguments.runs:
        path, original = pair.split("=", 1)
        run = syntony.load(path)
        table = list(rows(run, original, arguments.episodes))
        with (out / f"{run.path.name}.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])
        made_by[run.path.name] = {
            "transfer": collect_provenance(),
            "training": {name: run.settings.get(name) for name in FACTS},
        }
        record.write_text(json.dumps(made_by, indent=2) + "\n")
        for row in table:
            print(*row)


def rows(run: syntony.Run, original: str, episodes: int) -> Iterator[tuple]:
    """Yields what is published of each seed and score."""
    ours = run.evaluate(episodes=episodes)
    theirs = run.evaluate(episodes=episodes, task=syntony.task(original))
    world: Any = run.system
    for seed, scores in ours.items():
        for name in scores:
            head = world.task.id, original, seed, run.steps[seed], name, episodes
            yield *head, *measured(scores, theirs[seed], name)


def measured(ours: Scores, theirs: Scores, name: str) -> Iterator[str]:
    """Yields both means and their difference, each with its 95 % interval."""
    for line in map(means_with_intervals, (ours, theirs)):
        yield from (f"{line[name + end]:.4f}" for end in ("", "_low", "_high"))
    pair = theirs[name].astype(float), ours[name].astype(float)
    difference = pair[0].mean() - pair[1].mean()
    yield from (f"{x:.4f}" for x in (difference, *welch_interval(*pair)))


if __name__ == "__main__":
    main()
