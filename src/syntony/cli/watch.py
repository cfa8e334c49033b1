"""`syntony watch`: a run followed in the terminal."""

from dataclasses import dataclass
from pathlib import Path

from syntony.cli.flags import BoolFlag, RunArgument, parse_args
from syntony.errors import InvalidInputError


@dataclass(frozen=True)
class WatchArgs:
    """Follows a run: a curve for each score and seed, speed, time left, and its state.

    It reads and locks nothing, so it works on a folder that another machine writes
    to, or on a copy. Where there is no terminal it prints once. Ctrl-C ends it.
    """

    run: RunArgument
    """The run folder."""
    once: BoolFlag = False
    """Print how the run is now, and end."""
    interval: float = 5.0
    """Seconds from one look to the next."""


def run(argv: list[str]) -> None:
    """Watches."""
    asked = parse_args(WatchArgs, argv, prog="syntony watch")
    if not 0.1 <= asked.interval <= 3600:
        raise InvalidInputError(
            f"every is {asked.interval}; expected 0.1 to 3600 seconds"
        )
    # Late: --help need not wait for them.
    from rich.console import Console
    from rich.live import Live

    from syntony.cli.monitor import poll_status, read_status, render_status

    path, console = Path(asked.run), Console(highlight=False)
    if asked.once or not console.is_terminal:
        console.print(render_status(read_status(path), console.width), soft_wrap=True)
        return
    try:
        with Live(console=console, auto_refresh=False) as live:
            for found in poll_status(path, asked.interval):
                live.update(render_status(found, console.width), refresh=True)
    except KeyboardInterrupt:
        return
