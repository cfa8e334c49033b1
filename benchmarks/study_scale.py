"""Cost of large studies: time per trial, and 2,000 runs in compare, watch and report.

    python benchmarks/study_scale.py runs     compare, watch and report on a large study
    python benchmarks/study_scale.py driver   time per trial of the study alone
    python benchmarks/study_scale.py ray      500 trials of one second on Ray

Each part prints one JSON object, and adds it to results/speed/studies.json.
"""

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import syntony
from syntony.cli.run_study import TrialArguments
from syntony.studies.engine import EngineOptions
from syntony.studies.ray_engine import RayEngine
from syntony.studies.runner import StudyPlan, StudyRunner
from syntony.studies.sources import make_sources
from syntony.studies.status import StudyStatus, budgets
from syntony.studies.study import Setting, Study, study_to_dict
from syntony.studies.study_folder import StudyFolder
from syntony.studies.trial import Job, Outcome
from syntony.training.integrity import CHAIN_KEY, HASH_KEY
from syntony.training.verification import SEAL_KEY

RESULTS = Path(__file__).parents[1] / "results" / "speed" / "studies.json"
RUNS = 2000
DRIVER_TRIALS = 500
RAY_TRIALS = 500
RAY_CORES = 8
"""Trials of one second at a time; they only wait."""
SEEDS_OF_SETTING = 5


class SleepingJob(Job):
    """A trial that takes one second and trains nothing."""

    def command(self, run: Path | None = None) -> list[str]:
        del run
        return ["sleep", "1"]


class IdleEngine:
    """Ends every trial at once, with nothing trained."""

    slots, cores = 2, 2

    def __init__(self):
        self._names: list[str] = []

    def submit(self, job: Job) -> None:
        self._names.append(job.name)

    def poll(self) -> list[Outcome]:
        ended, self._names = [Outcome(name, 0) for name in self._names], []
        return ended

    def stop(self, name: str) -> None:
        del name

    def close(self) -> None: ...


class NoDisplay:
    """Shows nothing."""

    def update(self, status: StudyStatus) -> None:
        del status

    def tell(self, text: str) -> None:
        del text


def large_study(folder: StudyFolder, runs: int) -> None:
    """Writes a study of links whose runs are copies of one, with rates of their own."""
    rates = [1e-4 * (1 + i) for i in range(runs // SEEDS_OF_SETTING)]
    study = Study(
        systems=["link"],
        channels=["awgn"],
        steps=40,
        seeds=SEEDS_OF_SETTING,
        seeds_per_trial=1,
        settings={"messages": 4, "uses": 2},
        grid={"learning_rate": rates},
    )
    found = [x._asdict() for x in budgets(study)]
    with folder.acquire():
        folder.write_study({"study": study_to_dict(study), "budgets": found})
        source = make_sources(study, folder)["link on awgn"]
        template = folder.path / "template"
        train_template(template)
        while (trial := source.next_trial()) is not None:
            rate = trial.setting.flags["learning_rate"]
            copy_run(template, folder.run_path(trial.name), float(rate), trial.seeds[0])
            folder.append(trial.name, "started")
            done = {"seconds": 1.0, "steps": 40, "score": 0.1, "metric": "eval/bler"}
            folder.append(trial.name, "done", **done)
        shutil.rmtree(template)


def train_template(path: Path) -> None:
    """Trains the run that is copied."""
    link = syntony.Link(messages=4, uses=2, hidden=8)
    syntony.train(link, steps=40, eval_every=4, eval_episodes=50, out=path, quiet=True)


def copy_run(template: Path, run: Path, rate: float, seed: int) -> None:
    """A copy of a run with another learning rate and seed."""
    run.mkdir(parents=True)
    settings = json.loads((template / "settings.json").read_text())
    settings["settings"]["schedule"]["learning_rate"] = rate
    settings["seed"] = seed
    # Without hashes: of a copy with other values damage would be told.
    for name in (HASH_KEY, SEAL_KEY, "sessions"):
        settings.pop(name, None)
    (run / "settings.json").write_text(json.dumps(settings))
    lines = (template / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) | {"seed": seed} for line in lines]
    for row in rows:
        row.pop(CHAIN_KEY)
    (run / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


LAUNCHER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = used.ru_utime + used.ru_stime
wall = time.perf_counter() - start
print(json.dumps([round(wall, 1), round(cpu, 1), round(used.ru_maxrss / 1000)]))
"""
"""Runs a command from a small process: at its start a child has its parent's memory."""


def measure_command(*arguments: str) -> dict[str, float]:
    """Wall and CPU time, and memory, of a command of `syntony`."""
    command = [sys.executable, "-m", "syntony", *arguments]
    printed = subprocess.run(
        [sys.executable, "-c", LAUNCHER, *command],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    return dict(zip(("wall_s", "cpu_s", "peak_mb"), json.loads(printed), strict=True))


def measure_runs() -> dict[str, object]:
    """Cost of the commands on a study of many runs."""
    with tempfile.TemporaryDirectory() as name:
        folder = StudyFolder(Path(name) / "study")
        large_study(folder, RUNS)
        path = str(folder.path)
        return {
            "runs": RUNS,
            "watch": measure_command("watch", path, "--once"),
            "report": measure_command("report", path),
            "compare": measure_command("compare", path, "--json"),
        }


def measure_driver() -> dict[str, object]:
    """Time per trial of the driver: arguments, journal and states, no training."""
    with tempfile.TemporaryDirectory() as name:
        folder = StudyFolder(Path(name) / "study")
        rates = [1e-4 * (1 + i) for i in range(DRIVER_TRIALS)]
        study = Study(systems=["link"], steps=40, grid={"learning_rate": rates})
        with folder.acquire():
            arguments = TrialArguments(None).of
            sources = make_sources(study, folder)
            plan = StudyPlan(sources, budgets(study), 0, None, arguments)
            start, cpu = time.perf_counter(), time.process_time()
            StudyRunner(folder, plan, IdleEngine(), NoDisplay()).run()
        return {
            "trials": DRIVER_TRIALS,
            "ms_per_trial": round(1e3 * (time.perf_counter() - start) / DRIVER_TRIALS),
            "cpu_ms_per_trial": round(
                1e3 * (time.process_time() - cpu) / DRIVER_TRIALS
            ),
        }


def measure_ray() -> dict[str, object]:
    """Time per trial of one second, and the memory of the process of the study."""
    import ray

    with tempfile.TemporaryDirectory() as name:
        folder = StudyFolder(Path(name))
        ray.init(num_cpus=RAY_CORES, include_dashboard=False, log_to_driver=False)
        engine = RayEngine(EngineOptions(folder))
        start, cpu = time.perf_counter(), time.process_time()
        setting = Setting("link", {}, 1)
        names = [setting.trial_name((seed,)) for seed in range(RAY_TRIALS)]
        waiting = [
            SleepingJob(x, [], Path(name) / x, Path(name) / f"{x}.log", Path(name))
            for x in names
        ]
        running = failed = 0
        while waiting or running:
            while waiting and running < engine.slots:
                engine.submit(waiting.pop())
                running += 1
            ended = engine.poll()
            running -= len(ended)
            failed += sum(outcome.code != 0 for outcome in ended)
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        driver_cpu = time.process_time() - cpu
        engine.close()
        ray.shutdown()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "trials": RAY_TRIALS,
        "at_a_time": RAY_CORES,
        "failed": failed,
        "seconds": round(seconds, 1),
        "overhead_ms_per_trial": round(1e3 * (seconds * RAY_CORES / RAY_TRIALS - 1)),
        "driver_cpu_ms_per_trial": round(1e3 * driver_cpu / RAY_TRIALS, 1),
        "driver_peak_mb": round(peak / 1000),
    }


def commit() -> str:
    """Commit of the checkout; empty outside of one."""
    command = ["git", "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip()


PARTS: dict[str, Callable[[], dict[str, object]]] = {
    "runs": measure_runs,
    "driver": measure_driver,
    "ray": measure_ray,
}


def main() -> None:
    """Measures the part that the command line names."""
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    if part not in PARTS:
        sys.exit(f"expected one of {', '.join(PARTS)}")
    measured = PARTS[part]() | {
        "command": f"python benchmarks/study_scale.py {part}",
        "commit": commit(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_at_end": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(measured))
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(results | {part: measured}, indent=2) + "\n")


if __name__ == "__main__":
    main()
