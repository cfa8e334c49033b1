"""`syntony render`: a trained team at play, as an animated picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from syntony.cli.flags import Run, parse


@dataclass(frozen=True)
class Render:
    """Films episodes of a trained team, seen from above: a GIF.

    The episodes are the first that the team lives, not chosen ones; its actions are
    sampled.
    """

    run: Run
    """The run folder, of a team."""
    episodes: int = 3
    """How many, one after the other."""
    out: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="FILE.gif",
            help_behavior_hint="(default: figures/episodes.gif, in the run's folder)",
        ),
    ] = None
    """The file."""
    seed: Annotated[
        int | None,
        tyro.conf.arg(metavar="INT", help_behavior_hint="(default: the first)"),
    ] = None
    """Whose team."""
    most_steps: int = 100
    """Steps of an episode that are shown."""
    fps: float = 5.0
    """Steps a second."""


def run(words: list[str]) -> None:
    """Renders."""
    asked = parse(Render, words, prog="syntony render")
    # Late: --help need not wait for JAX.
    from syntony.run.devices import remember_programs
    from syntony.run.load import load
    from syntony.study.render import render

    remember_programs()
    path = render(
        load(asked.run),
        None if asked.out is None else Path(asked.out),
        episodes=asked.episodes,
        seed=asked.seed,
        most_steps=asked.most_steps,
        fps=asked.fps,
    )
    print(path)
