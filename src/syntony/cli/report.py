"""Writes one HTML file about one run or several, or about a study.

The file contains all data that it shows: curves, an episode to play, beliefs; of links
error rates and constellations. It opens in any browser, without a network.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from syntony.cli.arguments import BoolFlag, RunsArgument
from syntony.cli.console import print_visible
from syntony.cli.trust import ask_trust


@dataclass(frozen=True)
class Report:
    """Arguments of `syntony report`."""

    runs: RunsArgument = ()
    """Run folders; metrics that several share are drawn together. Or the folder of a
    study."""
    out: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="FILE.html",
            help_behavior_hint="(default: report.html, in the folder of a run)",
        ),
    ] = None
    """HTML file."""
    trust: BoolFlag = False
    """Use the modules and programs that the runs name, also if they are from elsewhere;
    without, such runs are shown by their logged metrics."""

    def execute(self) -> None:
        """Writes the report and prints its path."""
        # Imported late: --help need not wait for JAX.
        from syntony.report.page import write_report
        from syntony.training.devices import enable_compilation_cache

        enable_compilation_cache()
        out = None if self.out is None else Path(self.out)
        trust = ask_trust(self.runs, trust=self.trust)
        print_visible(write_report(self.runs, out, print_fn=print_visible, trust=trust))
