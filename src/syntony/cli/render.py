"""Renders episodes of a trained team as an animated GIF, or as an MP4.

The episodes are the first ones, not selected ones; actions are sampled.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from syntony.cli.arguments import BoolFlag, RunArgument
from syntony.cli.console import print_visible
from syntony.cli.run_options import CheckpointFlag, parse_checkpoint
from syntony.cli.trust import ask_trust


@dataclass(frozen=True)
class Render:
    """Arguments of `syntony render`."""

    run: RunArgument
    """Run folder of a team."""
    episodes: int = 3
    """Episodes, one after the other."""
    out: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="FILE.gif",
            help_behavior_hint="(default: figures/episodes.gif, in the run's folder)",
        ),
    ] = None
    """GIF file; an MP4 file if its name ends with .mp4."""
    seed: Annotated[
        int | None,
        tyro.conf.arg(metavar="INT", help_behavior_hint="(default: the first)"),
    ] = None
    """Seed whose team is rendered."""
    checkpoint: CheckpointFlag = "last"
    """Checkpoint of the seed: the newest, that of the best evaluation, or the one of a
    step."""
    max_steps: int = 100
    """Largest number of environment steps shown of an episode."""
    fps: float = 5.0
    """Environment steps shown per second."""
    trust: BoolFlag = False
    """Use the modules and programs that the run names, also if it is from elsewhere."""

    def execute(self) -> None:
        """Renders the episodes and prints the path of the file."""
        # Imported late: --help need not wait for JAX.
        from syntony.training.devices import enable_compilation_cache
        from syntony.training.run import load
        from syntony.visualization.gif import render_episodes

        enable_compilation_cache()
        path = render_episodes(
            load(
                self.run,
                checkpoint=parse_checkpoint(self.checkpoint),
                trust=ask_trust([self.run], trust=self.trust),
            ),
            None if self.out is None else Path(self.out),
            episodes=self.episodes,
            seed=self.seed,
            max_steps=self.max_steps,
            fps=self.fps,
        )
        print_visible(path)
