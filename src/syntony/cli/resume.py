"""Continues a run from its newest checkpoints, as if it had never stopped."""

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from syntony.cli.arguments import BoolFlag, LoggingOptions, RunArgument
from syntony.cli.trust import ask_trust


@dataclass(frozen=True)
class Resume:
    """Arguments of `syntony resume`."""

    run: RunArgument
    """Run folder."""
    steps: Annotated[
        int | None,
        tyro.conf.arg(metavar="INT", help_behavior_hint="(default: unchanged)"),
    ] = None
    """New length of every seed, in environment steps of a team or iterations of a link;
    at least the old one."""
    save_every: Annotated[
        int | None,
        tyro.conf.arg(metavar="INT", help_behavior_hint="(default: unchanged)"),
    ] = None
    """Steps between two checkpoints that are kept, from here on."""
    keep_best: BoolFlag = False
    """From here on, also keep the checkpoint with the best evaluation so far."""
    trust: BoolFlag = False
    """Use the modules and programs that the run names, also if it is from elsewhere."""
    logging: LoggingOptions = field(default_factory=LoggingOptions)

    def execute(self) -> None:
        """Continues the run."""
        # Imported late: --help need not wait for JAX.
        from syntony.training.devices import enable_compilation_cache
        from syntony.training.loop import resume

        enable_compilation_cache()
        resume(
            self.run,
            steps=self.steps,
            save_every=self.save_every,
            keep_best=self.keep_best,
            trust=ask_trust([self.run], trust=self.trust),
            **vars(self.logging),
        )
