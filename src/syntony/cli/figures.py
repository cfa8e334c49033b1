"""`syntony figures`: pictures of a run for print."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from syntony.cli.flags import RunArgument, parse_args


@dataclass(frozen=True)
class FiguresArgs:
    """Draws what a run has learned, for print: into the folder `figures` of the run.

    Of a team: learning curve, losses, novelty bonus, an episode, an agent's beliefs. Of
    a link: training, losses, constellation, and the error rates that evaluate found.
    """

    run: RunArgument
    """The run folder."""
    format: Annotated[
        Literal["svg", "pdf", "png"], tyro.conf.arg(metavar="svg|pdf|png")
    ] = "svg"
    """The kind of file."""


def run(argv: list[str]) -> None:
    """Draws."""
    asked = parse_args(FiguresArgs, argv, prog="syntony figures")
    # Late: --help need not wait for JAX.
    from syntony.training.devices import enable_compilation_cache
    from syntony.visualization.run_figures import save_run_figures

    enable_compilation_cache()
    notes: list[str] = []
    for path in save_run_figures(
        Path(asked.run), [asked.format], print_fn=notes.append
    ):
        print(path)
    for note in notes:
        print(f"note: {note}")
