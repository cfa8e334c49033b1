"""`syntony watch`: a run followed in the terminal."""

from dataclasses import dataclass
from pathlib import Path

from syntony.cli.flags import Run, Switch, parse
from syntony.errors import BadInput


@dataclass(frozen=True)
class Watch:
    """Follows a run: a curve for each score and seed, speed, time left, and its state.

    It reads and locks nothing, so it works on a folder that another machine writes
    to, or on a copy. Where there is no terminal it prints once. Ctrl-C ends it.
    """

    run: Run
    """The run folder."""
    once: Switch = False
    """Print how the run is now, and end."""
    every: float = 5.0
    """Seconds from one look to the next."""


def run(words: list[str]) -> None:
    """Watches."""
    asked = parse(Watch, words, prog="syntony watch")
    if not 0.1 <= asked.every <= 3600:
        raise BadInput(f"every is {asked.every}; expected 0.1 to 3600 seconds")
    # Late: --help need not wait for them.
    from rich.console import Console
    from rich.live import Live

    from syntony.study.watch import follow, look, picture

    path, console = Path(asked.run), Console(highlight=False)
    if asked.once or not console.is_terminal:
        console.print(picture(look(path), console.width), soft_wrap=True)
        return
    try:
        with Live(console=console, auto_refresh=False) as live:
            for found in follow(path, asked.every):
                live.update(picture(found, console.width), refresh=True)
    except KeyboardInterrupt:
        return
