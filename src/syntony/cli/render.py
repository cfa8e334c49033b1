"""Renders episodes of a team, or the training of a link, as a GIF or MP4.

The episodes are the first ones, not selected ones; actions are sampled. Of a link the
constellation is shown as it changes in training: the snapshots in the run's folder.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from syntony.cli.arguments import BoolFlag, RunArgument
from syntony.cli.console import print_visible
from syntony.cli.run_options import CheckpointFlag, parse_checkpoint
from syntony.cli.trust import ask_trust
from syntony.errors import InvalidInputError

if TYPE_CHECKING:
    from syntony.training.run import Run

EPISODES, MAX_STEPS, EPISODE_FPS = 3, 100, 5.0
TRAINING_FPS = 10.0


@dataclass(frozen=True)
class Render:
    """Arguments of `syntony render`."""

    run: RunArgument
    """Run folder of a team or a link."""
    episodes: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: 3)")
    ] = None
    """Episodes of a team, one after the other."""
    out: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="FILE.gif",
            help_behavior_hint="(default: figures/episodes.gif or training.gif, in the "
            "run's folder)",
        ),
    ] = None
    """GIF file; an MP4 file if its name ends with .mp4."""
    seed: Annotated[
        int | None,
        tyro.conf.arg(metavar="INT", help_behavior_hint="(default: the first)"),
    ] = None
    """Seed whose team or link is rendered."""
    checkpoint: CheckpointFlag = "last"
    """Checkpoint of the seed: the newest, that of the best evaluation, or the one of a
    step. The training of a link is shown up to it."""
    max_steps: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: 100)")
    ] = None
    """Largest number of environment steps shown of an episode."""
    fps: Annotated[
        float | None,
        tyro.conf.arg(
            metavar="FLOAT", help_behavior_hint="(default: 5; 10 of a training)"
        ),
    ] = None
    """Frames per second: environment steps, or snapshots of a training."""
    trust: BoolFlag = False
    """Use the modules and programs that the run names, also if it is from elsewhere."""

    def execute(self) -> None:
        """Renders the run and prints the path of the file."""
        # Imported late: --help need not wait for JAX.
        from syntony.systems.system import ActsInEpisodes, TransmitsMessages
        from syntony.training.devices import enable_compilation_cache
        from syntony.training.run import load

        enable_compilation_cache()
        run = load(
            self.run,
            checkpoint=parse_checkpoint(self.checkpoint),
            trust=ask_trust([self.run], trust=self.trust),
        )
        is_link = isinstance(run.system, TransmitsMessages)
        if is_link and not isinstance(run.system, ActsInEpisodes):
            print_visible(self._render_training(run))
        else:
            print_visible(self._render_episodes(run))

    def _render_episodes(self, run: "Run") -> Path:
        from syntony.visualization.gif import render_episodes

        return render_episodes(
            run,
            self._out,
            episodes=EPISODES if self.episodes is None else self.episodes,
            seed=self.seed,
            max_steps=MAX_STEPS if self.max_steps is None else self.max_steps,
            fps=EPISODE_FPS if self.fps is None else self.fps,
        )

    def _render_training(self, run: "Run") -> Path:
        from syntony.visualization.link_animation import render_training

        for flag, value in [("episodes", self.episodes), ("max-steps", self.max_steps)]:
            if value is not None:
                raise InvalidInputError(
                    f"--{flag} is of teams, and {self.run} is a link's run; expected "
                    "no such flag"
                )
        fps = TRAINING_FPS if self.fps is None else self.fps
        return render_training(run, self._out, seed=self.seed, fps=fps)

    @property
    def _out(self) -> Path | None:
        return None if self.out is None else Path(self.out)
