"""Shows the progress of a run: learning curves, speed, remaining time, state.

Of the folder of a study it shows the table of its trials.

It only reads and takes no lock, so it works on a folder that another machine writes to,
and on a copy. Without a terminal it prints once. Ctrl-C ends it.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from syntony.cli.arguments import BoolFlag, RunArgument
from syntony.errors import InvalidInputError


@dataclass(frozen=True)
class Watch:
    """Arguments of `syntony watch`."""

    run: RunArgument
    """Run folder, or the folder of a study."""
    once: BoolFlag = False
    """Print the current state, and exit."""
    interval: float = 5.0
    """Seconds between two updates."""

    def execute(self) -> None:
        """Shows the run until it is finished."""
        if not 0.1 <= self.interval <= 3600:
            raise InvalidInputError(
                f"interval is {self.interval}; expected 0.1 to 3600 seconds"
            )
        # Imported late: --help need not wait for them.
        from rich.console import Console
        from rich.live import Live

        from syntony.cli.monitor import poll_status, read_status, render_status
        from syntony.cli.study_display import watch_study
        from syntony.studies.study_folder import StudyFolder

        path, console = Path(self.run), Console(highlight=False)
        if StudyFolder(path).contains_study():
            with suppress(KeyboardInterrupt):
                watch_study(path, self.interval, once=self.once)
            return
        if self.once or not console.is_terminal:
            status = render_status(read_status(path), console.width)
            console.print(status, soft_wrap=True)
            return
        try:
            with Live(console=console, auto_refresh=False) as live:
                for status in poll_status(path, self.interval):
                    live.update(render_status(status, console.width), refresh=True)
        except KeyboardInterrupt:
            return
