"""An engine that trains nothing: it writes run folders with scores of their flags."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from syntony.studies.engine import EngineOptions
from syntony.studies.trial import Job, Outcome

submitted: list[str] = []
"""Names of all jobs, in order."""
endings: dict[str, list[tuple[int | None, str]]] = {}
"""Exit codes and errors of the next starts of jobs whose name contains the key."""
hooks: list[Callable[[], None]] = []
"""Called once each, at the next looks at the jobs."""


def reset() -> None:
    submitted.clear()
    endings.clear()
    hooks.clear()


def flag(job: Job, name: str) -> str:
    """Value of a flag of a job; empty without it."""
    values = [x.partition("=")[2] for x in job.arguments if x.startswith(f"--{name}=")]
    return values[0] if values else ""


def job_seeds(job: Job) -> list[int]:
    seeds = flag(job, "seeds")
    return [*map(int, seeds.split(","))] if "," in seeds else [int(flag(job, "seed"))]


def write_run(run: Path, job: Job, steps: int) -> None:
    """Writes a run whose score is best at a rate of 0.3, and grows with the steps."""
    settings = {"descent": {"rate": float(flag(job, "rate") or 0.1)}}
    run.mkdir(parents=True, exist_ok=True)
    content = {"system": job.arguments[0], "settings": settings, "step_unit": "steps"}
    content |= {"seeds": job_seeds(job), "steps": int(flag(job, "steps"))}
    (run / "settings.json").write_text(json.dumps(content))
    best = -((settings["descent"]["rate"] - 0.3) ** 2)
    rows = [
        {"step": step, "seed": seed, "wall_s": step / 100}
        | {
            f"eval/return_mean{end}": best + step * 1e-6 + seed * 1e-3
            for end in ("", "_low", "_high")
        }
        for step in range(0, steps + 1, max(1, int(flag(job, "steps")) // 9))
        for seed in job_seeds(job)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (run / "metrics.jsonl").write_text(text)


class FakeEngine:
    """Ends every job at the second look at it; stopped ones with code 143."""

    slots, cores = 2, 2

    def __init__(self, options: EngineOptions):
        del options
        self._jobs: dict[str, Job] = {}
        self._seen: set[str] = set()

    def submit(self, job: Job) -> None:
        submitted.append(job.name)
        self._jobs[job.name] = job
        write_run(job.run, job, int(flag(job, "steps")) // 9)

    def poll(self) -> list[Outcome]:
        if hooks:
            hooks.pop(0)()
        ended = [self._end(self._jobs.pop(name)) for name in [*self._seen]]
        self._seen = {*self._jobs}
        return ended

    def stop(self, name: str) -> None:
        endings[name] = [(143, "stopped and saved")]

    def close(self) -> None:
        assert not self._jobs

    def _end(self, job: Job) -> Outcome:
        keys = [key for key in endings if key in job.name and endings[key]]
        if keys:
            code, error = endings[keys[0]].pop(0)
            return Outcome(job.name, code, error)
        write_run(job.run, job, int(flag(job, "steps")))
        return Outcome(job.name, 0)


class NoEngine:
    """A class that is no engine."""

    def __init__(self, options: Any):
        del options


def count(names: Sequence[str]) -> dict[str, int]:
    return {name: names.count(name) for name in names}
