"""`syntony resume`: a run goes on where it stopped."""

import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from syntony.cli.flags import Run, Switch, parse


@dataclass(frozen=True)
class Resume:
    """Lets a run go on from its newest checkpoints, as if it had never stopped."""

    run: Run
    """The run folder."""
    steps: Annotated[
        int | None,
        tyro.conf.arg(metavar="INT", help_behavior_hint="(default: as planned)"),
    ] = None
    """A new end of each seed, in environment steps; no nearer than the old one."""
    quiet: Switch = False
    """Show nothing."""


def run(words: list[str]) -> int:
    """Resumes; returns the exit code."""
    asked = parse(Resume, words, prog="syntony resume")
    # Late: --help need not wait for JAX.
    from syntony.run.devices import remember_programs
    from syntony.run.train import TrainingDiverged, resume

    remember_programs()
    try:
        resume(asked.run, steps=asked.steps, quiet=asked.quiet)
    except TrainingDiverged as failure:
        print(f"syntony: {failure}", file=sys.stderr)
        return 1
    return 0
