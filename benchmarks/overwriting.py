"""Speed and memory of training that overwrites states, beside one that copies them.

    git worktree add ../before COMMIT
    python benchmarks/overwriting.py ../before

In a warehouse a state of SMPE² is 287 MB, nearly all of it replay buffer. Before, each
chunk of training, of about a second, wrote a new state; now it overwrites the old one,
of which a copy is made every half minute. Also measured: glibc with huge pages, as
their number is what page faults cost. Turns alternate; each is a process of its own and
trains two seeds as `syntony train` does. Writes results/speed/overwriting.json.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "speed" / "overwriting.json"
TASK = "rware-tiny-4ag-hard"
SEEDS = 2
STEPS = 25_000
"""Steps of a seed that are timed, after as many that are not."""
TURNS = 2
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


def main() -> None:
    """Measures all variants in turns, and prints and writes the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", nargs="?", type=Path, help="checkout to compare with")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure()))
        return
    checkouts = {"before": args.before, "now": ROOT}
    variants: dict[str, tuple[Path, dict[str, str]]] = {
        name: (path, {}) for name, path in checkouts.items()
    }
    variants["now, huge pages"] = ROOT, HUGE_PAGES
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    for _ in range(TURNS):
        for name, (path, extra) in variants.items():
            turns[name].append(measure_in_child(path, extra))
            print(name, turns[name][-1], flush=True)
    result = {
        "command": "python benchmarks/overwriting.py BEFORE",
        "commits": {name: commit(path) for name, path in checkouts.items()},
        "task": TASK,
        "seeds": SEEDS,
        "turns": TURNS,
        "load_at_end": round(os.getloadavg()[0], 1),
        "medians": {name: medians(rows) for name, rows in turns.items()},
        "all": turns,
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["medians"], indent=2))


def measure_in_child(path: Path, extra: dict[str, str]) -> dict[str, float]:
    """Measures a checkout in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one"],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(path.resolve() / "src"), **extra},
    )
    return json.loads(done.stdout)


def measure() -> dict[str, float]:
    """Trains; rates between the middle of the training and its end."""
    import syntony
    from syntony.training.devices import enable_compilation_cache

    enable_compilation_cache()
    marks: dict[int, list[tuple[float, ...]]] = {}

    def mark(run: Any, step: int, metrics: Any) -> None:
        del run, metrics
        marks.setdefault(step, []).append(usage())

    system = syntony.preset("smpe", "paper", syntony.task(TASK))
    with tempfile.TemporaryDirectory() as folder:
        syntony.train(
            system,
            steps=2 * STEPS,
            seeds=SEEDS,
            eval_every=STEPS,
            eval_episodes=2,
            out=folder,
            quiet=True,
            callbacks=[mark],
        )
    # The last seed at the middle, and at the end.
    start, end = (marks[step][-1] for step in (STEPS, 2 * STEPS))
    wall, user, system_s, faults = (b - a for a, b in zip(start, end, strict=True))
    steps = SEEDS * STEPS
    return {
        "steps_per_s": round(steps / wall),
        "steps_per_cpu_s": round(steps / (user + system_s)),
        "share_in_kernel": round(system_s / (user + system_s), 3),
        "page_faults_per_step": round(faults / steps, 2),
        "peak_memory_gb": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2
        ),
    }


def usage() -> tuple[float, ...]:
    """Wall time, CPU time of the user and of the kernel, and page faults so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime, used.ru_stime, used.ru_minflt


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    """Median of each figure over the turns."""
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def commit(path: Path) -> str:
    """Commit of a checkout."""
    command = ["git", "-C", str(path), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout[
        :-1
    ]


if __name__ == "__main__":
    main()
