"""`syntony figures`: pictures of a run for print."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from syntony.cli.flags import Run, parse


@dataclass(frozen=True)
class Figures:
    """Draws what a run has learned, for print: into the folder `figures` of the run.

    Of a team: learning curve, losses, novelty bonus, an episode, an agent's beliefs. Of
    a link: training, losses, constellation, and the error rates that evaluate found.
    """

    run: Run
    """The run folder."""
    format: Annotated[
        Literal["svg", "pdf", "png"], tyro.conf.arg(metavar="svg|pdf|png")
    ] = "svg"
    """The kind of file."""


def run(words: list[str]) -> None:
    """Draws."""
    asked = parse(Figures, words, prog="syntony figures")
    # Late: --help need not wait for JAX.
    from syntony.run.devices import remember_programs
    from syntony.study.run_figures import draw

    remember_programs()
    notes: list[str] = []
    for path in draw(Path(asked.run), [asked.format], say=notes.append):
        print(path)
    for note in notes:
        print(f"note: {note}")
