"""`syntony resume`: a run goes on where it stopped."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from syntony.cli.flags import BoolFlag, RunArgument, parse_args


@dataclass(frozen=True)
class ResumeArgs:
    """Lets a run go on from its newest checkpoints, as if it had never stopped."""

    run: RunArgument
    """The run folder."""
    steps: Annotated[
        int | None,
        tyro.conf.arg(metavar="INT", help_behavior_hint="(default: as planned)"),
    ] = None
    """A new end of each seed, in environment steps; no nearer than the old one."""
    quiet: BoolFlag = False
    """Show nothing."""
    tensorboard: BoolFlag = False
    """Also write to tensorboard/ in the run folder, for TensorBoard. To be asked for
    again by each resume; then the whole curve is there, once."""
    wandb: BoolFlag = False
    """Also log to Weights & Biases; without a network: WANDB_MODE=offline. To be
    asked for again as well."""


def run(argv: list[str]) -> None:
    """Resumes."""
    asked = parse_args(ResumeArgs, argv, prog="syntony resume")
    # Late: --help need not wait for JAX.
    from syntony.training.devices import enable_compilation_cache
    from syntony.training.loop import resume

    enable_compilation_cache()
    options = dict(vars(asked))
    resume(options.pop("run"), **options)
