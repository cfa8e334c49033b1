"""`syntony render`: a trained team at play, as an animated picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from syntony.cli.flags import RunArgument, parse_args


@dataclass(frozen=True)
class RenderArgs:
    """Films episodes of a trained team, seen from above: a GIF.

    The episodes are the first that the team lives, not chosen ones; its actions are
    sampled.
    """

    run: RunArgument
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
    max_steps: int = 100
    """Steps of an episode that are shown."""
    fps: float = 5.0
    """Steps a second."""


def run(argv: list[str]) -> None:
    """Renders."""
    asked = parse_args(RenderArgs, argv, prog="syntony render")
    # Late: --help need not wait for JAX.
    from syntony.training.devices import enable_compilation_cache
    from syntony.training.run import load
    from syntony.visualization.gif import render_episodes

    enable_compilation_cache()
    path = render_episodes(
        load(asked.run),
        None if asked.out is None else Path(asked.out),
        episodes=asked.episodes,
        seed=asked.seed,
        max_steps=asked.max_steps,
        fps=asked.fps,
    )
    print(path)
