"""Draws figures of a run for print, into its folder `figures`.

Of a team: learning curve, losses, exploration bonus, an episode, an agent's beliefs. Of
a link: training, losses, constellation, and the error rates measured by evaluate.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from syntony.cli.arguments import BoolFlag, RunArgument
from syntony.cli.console import print_visible
from syntony.cli.run_options import CheckpointFlag, parse_checkpoint
from syntony.cli.trust import ask_trust


@dataclass(frozen=True)
class Figures:
    """Arguments of `syntony figures`."""

    run: RunArgument
    """Run folder."""
    format: Annotated[Literal["svg", "pdf", "png"], tyro.conf.arg(metavar="F")] = "svg"
    """File format: svg, pdf or png."""
    checkpoint: CheckpointFlag = "last"
    """Checkpoint of each seed: the newest, that of the best evaluation, or the one of a
    step. Curves are of the whole training."""
    trust: BoolFlag = False
    """Use the modules and programs that the run names, also if it is from elsewhere."""

    def execute(self) -> None:
        """Draws the figures and prints their paths."""
        # Imported late: --help need not wait for JAX.
        from syntony.training.devices import enable_compilation_cache
        from syntony.training.run import Run, load
        from syntony.visualization.run_figures import save_run_figures

        enable_compilation_cache()
        notes: list[str] = []
        run: Path | Run = Path(self.run)
        trust = ask_trust([self.run], trust=self.trust)
        if self.checkpoint != "last":
            checkpoint = parse_checkpoint(self.checkpoint)
            run = load(run, checkpoint=checkpoint, trust=trust)
            # One that does not exist is an error, not a note.
            _ = run.states
        for path in save_run_figures(
            run, [self.format], print_fn=notes.append, trust=trust
        ):
            print_visible(path)
        for note in notes:
            print_visible(f"note: {note}")
