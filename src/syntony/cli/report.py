"""Writes one HTML file about one run or several.

The file contains all data that it shows: curves, an episode to play, beliefs; of links
error rates and constellations. It opens in any browser, without a network.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from syntony.cli.arguments import RunsArgument


@dataclass(frozen=True)
class Report:
    """Arguments of `syntony report`."""

    runs: RunsArgument = ()
    """Run folders; metrics that several share are drawn together."""
    out: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="FILE.html",
            help_behavior_hint="(default: report.html, in the folder of a single run)",
        ),
    ] = None
    """HTML file."""

    def execute(self) -> None:
        """Writes the report and prints its path."""
        # Imported late: --help need not wait for JAX.
        from syntony.report.page import write_report
        from syntony.training.devices import enable_compilation_cache

        enable_compilation_cache()
        out = None if self.out is None else Path(self.out)
        print(write_report(self.runs, out, print_fn=print))
