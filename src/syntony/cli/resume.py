"""`syntony resume`: a run goes on where it stopped."""

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
    tensorboard: Switch = False
    """Also write to tensorboard/ in the run folder, for TensorBoard. To be asked for
    again by each resume; then the whole curve is there, once."""
    wandb: Switch = False
    """Also log to Weights & Biases; without a network: WANDB_MODE=offline. To be
    asked for again as well."""


def run(words: list[str]) -> None:
    """Resumes."""
    asked = parse(Resume, words, prog="syntony resume")
    # Late: --help need not wait for JAX.
    from syntony.run.devices import remember_programs
    from syntony.run.train import resume

    remember_programs()
    options = dict(vars(asked))
    resume(options.pop("run"), **options)
