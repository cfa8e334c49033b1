"""`syntony report`: one HTML file that shows what runs have learned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from syntony.cli.flags import parse_args


@dataclass(frozen=True)
class ReportArgs:
    """Writes one HTML file about one run or several, to be looked at or sent on.

    It holds all that it shows: curves, an episode to be played, beliefs; of links error
    rates and constellations. Whoever opens it needs a browser and no network.
    """

    runs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN...", help_behavior_hint=""),
    ] = ()
    """Run folders; what was measured in several is overlaid."""
    out: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="FILE.html",
            help_behavior_hint="(default: report.html, in the folder of a single run)",
        ),
    ] = None
    """The file."""


def run(argv: list[str]) -> None:
    """Reports."""
    asked = parse_args(ReportArgs, argv, prog="syntony report")
    # Late: --help need not wait for JAX.
    from syntony.report.page import write_report
    from syntony.training.devices import enable_compilation_cache

    enable_compilation_cache()
    out = None if asked.out is None else Path(asked.out)
    print(write_report(asked.runs, out, print_fn=print))
