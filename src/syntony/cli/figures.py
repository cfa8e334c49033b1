"""Draws figures of runs for print, of one run into its folder `figures`.

Of a team: learning curve, losses, exploration bonus, an episode, an agent's beliefs. Of
a link: training, losses, constellation, and the error rates measured by evaluate. Of
several runs: their learning curves in one figure for each task, profiles, and tables.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from syntony.cli.arguments import BoolFlag, RunsArgument
from syntony.cli.console import print_visible
from syntony.cli.run_options import CheckpointFlag, parse_checkpoint
from syntony.cli.trust import ask_trust
from syntony.errors import InvalidInputError

if TYPE_CHECKING:
    from syntony.visualization.print_options import PrintOptions


@dataclass(frozen=True)
class Figures:
    """Arguments of `syntony figures`."""

    runs: RunsArgument = ()
    """Run folders; several are compared."""
    out: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="DIR",
            help_behavior_hint="(default: figures, in the folder of a single run)",
        ),
    ] = None
    """Folder of the figures of several runs."""
    format: Annotated[
        Literal["svg", "pdf", "png", "csv"], tyro.conf.arg(metavar="F")
    ] = "svg"
    """File format: svg, pdf, png; or csv, the data of each figure."""
    width: Annotated[
        Literal["own", "icml", "ieee", "full"], tyro.conf.arg(metavar="W")
    ] = "own"
    """Width: icml (3.25 in), ieee (3.5 in), full (a page, 6.75 in), or each figure's
    own. Text keeps its size of 7 to 8 pt."""
    font: Annotated[Literal["sans", "serif"], tyro.conf.arg(metavar="FONT")] = "sans"
    """Font: sans or serif."""
    no_title: BoolFlag = False
    """Leave out titles, which captions replace."""
    checkpoint: CheckpointFlag = "last"
    """Checkpoint of each seed: the newest, that of the best evaluation, or the one of a
    step. Curves are of the whole training."""
    trust: BoolFlag = False
    """Use the modules and programs that the run names, also if it is from elsewhere."""

    def execute(self) -> None:
        """Draws the figures and prints their paths."""
        # Imported late: --help need not wait for JAX.
        from syntony.training.devices import enable_compilation_cache
        from syntony.visualization.print_options import PrintOptions

        if not self.runs:
            raise InvalidInputError("Missing from syntony figures: RUN...")
        enable_compilation_cache()
        width = "" if self.width == "own" else self.width
        options = PrintOptions(width, self.font, not self.no_title)
        if len(self.runs) > 1:
            self._draw_several(options)
        elif self.out is not None:
            raise InvalidInputError(
                "--out is of several runs; the figures of one are in its folder"
            )
        else:
            self._draw_one(options)

    def _draw_several(self, options: "PrintOptions") -> None:
        from syntony.comparison.compare import compare
        from syntony.comparison.figures import draw_comparison
        from syntony.comparison.tables import write_comparison

        if self.checkpoint != "last":
            raise InvalidInputError("--checkpoint is of one run; leave it out")
        comparison, folder = compare(self.runs), Path(self.out or "figures")
        written = write_comparison(comparison.results, folder)
        written += draw_comparison(comparison, folder, [self.format], options)
        for path in written:
            print_visible(path)

    def _draw_one(self, options: "PrintOptions") -> None:
        from syntony.training.run import Run, load
        from syntony.visualization.run_figures import save_run_figures

        notes: list[str] = []
        run: Path | Run = Path(self.runs[0])
        trust = ask_trust(self.runs, trust=self.trust)
        if self.checkpoint != "last":
            checkpoint = parse_checkpoint(self.checkpoint)
            run = load(run, checkpoint=checkpoint, trust=trust)
            # One that does not exist is an error, not a note.
            _ = run.states
        for path in save_run_figures(
            run, [self.format], options=options, print_fn=notes.append, trust=trust
        ):
            print_visible(path)
        for note in notes:
            print_visible(f"note: {note}")
