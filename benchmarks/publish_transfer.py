"""Return of a trained team in a built-in task and in the original package.

    python benchmarks/publish_transfer.py OUT RUN=ORIGINAL [RUN=ORIGINAL ...]
        [--episodes N]

RUN is a run folder, ORIGINAL the id of the same task in its original package, e.g.

    runs/maa2c=gymnasium:lbforaging:Foraging-2s-8x8-3p-2f-coop-v3?max_player_level=3

Every seed is evaluated on N episodes of both, with sampled and with greedy actions.
Writes to OUT, for each run, a CSV of every seed and metric: both means with their 95 %
bootstrap intervals over episodes, and their difference with Welch's interval, which
should contain 0 in 95 rows of 100; and adds commands, commits and hardware to
`made_by.json`.
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
RUN_SETTINGS = ("command", "commit", "hardware")
Scores = Mapping[str, np.ndarray]


def main() -> None:
    """Evaluates the named runs, and writes their files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", nargs="+", metavar="RUN=ORIGINAL")
    parser.add_argument("--episodes", type=int, default=1000)
    args = parser.parse_args()
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)

    path = out / "made_by.json"
    made_by = json.loads(path.read_text()) if path.exists() else {}
    for pair in args.runs:
        folder, original = pair.split("=", 1)
        run = syntony.load(folder)
        table = list(rows(run, original, args.episodes))
        with (out / f"{run.path.name}.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])
        made_by[run.path.name] = {
            "transfer": collect_provenance(),
            "training": {name: run.settings.get(name) for name in RUN_SETTINGS},
        }
        path.write_text(json.dumps(made_by, indent=2) + "\n")
        for row in table:
            print(*row)


def rows(run: syntony.Run, original: str, episodes: int) -> Iterator[tuple]:
    """Rows of each seed and metric."""
    ours = run.evaluate(episodes=episodes)
    theirs = run.evaluate(episodes=episodes, task=syntony.task(original))
    system: Any = run.system
    for seed, scores in ours.items():
        for name in scores:
            index = system.task.id, original, seed, run.steps[seed], name, episodes
            yield *index, *means_and_difference(scores, theirs[seed], name)


def means_and_difference(ours: Scores, theirs: Scores, name: str) -> Iterator[str]:
    """Both means and their difference, each with its 95 % interval."""
    for row in map(means_with_intervals, (ours, theirs)):
        yield from (f"{row[name + end]:.4f}" for end in ("", "_low", "_high"))
    pair = theirs[name].astype(float), ours[name].astype(float)
    difference = pair[0].mean() - pair[1].mean()
    yield from (f"{x:.4f}" for x in (difference, *welch_interval(*pair)))


if __name__ == "__main__":
    main()
