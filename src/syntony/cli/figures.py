"""Draws figures of a run for print, into its folder `figures`.

Of a team: learning curve, losses, exploration bonus, an episode, an agent's beliefs. Of
a link: training, losses, constellation, and the error rates measured by evaluate.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from syntony.cli.arguments import RunArgument


@dataclass(frozen=True)
class Figures:
    """Arguments of `syntony figures`."""

    run: RunArgument
    """Run folder."""
    format: Annotated[
        Literal["svg", "pdf", "png"], tyro.conf.arg(metavar="svg|pdf|png")
    ] = "svg"
    """File format."""

    def execute(self) -> None:
        """Draws the figures and prints their paths."""
        # Imported late: --help need not wait for JAX.
        from syntony.training.devices import enable_compilation_cache
        from syntony.visualization.run_figures import save_run_figures

        enable_compilation_cache()
        notes: list[str] = []
        for path in save_run_figures(
            Path(self.run), [self.format], print_fn=notes.append
        ):
            print(path)
        for note in notes:
            print(f"note: {note}")
