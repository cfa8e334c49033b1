"""Small runs for the tests of reports: trained once, where they are asked for."""

from pathlib import Path

import syntony
from syntony.channels.feedback import Feedback
from syntony.systems.actor_critic import Backbone
from syntony.systems.beliefs import Beliefs
from syntony.systems.schedule import Schedule

TASK = "Foraging-1s-5x5-2p-1f-coop?time_limit=9"


def team(path: Path, *, task: str = TASK) -> str:
    """Trains a team of SMPE² for a moment."""
    system = syntony.Smpe(
        task=syntony.task(task),
        backbone=Backbone(environments=4, hidden=8),
        beliefs=Beliefs(latent=4, minibatches=3, replay=8, burst_every=100),
    )
    syntony.train(
        system, steps=300, eval_every=100, eval_episodes=5, out=path, quiet=True
    )
    return str(path)


def plain_team(path: Path) -> str:
    """Trains a team without beliefs."""
    system = syntony.Maa2c(
        task=syntony.task(TASK), backbone=Backbone(environments=4, hidden=8)
    )
    syntony.train(
        system, steps=300, eval_every=100, eval_episodes=5, out=path, quiet=True
    )
    return str(path)


def link(path: Path) -> str:
    """Trains a link over a bad way back."""
    system = syntony.Link(
        messages=4,
        uses=2,
        hidden=8,
        feedback=Feedback(bits=2, erasures=0.2),
        schedule=Schedule(batch=32, warm_up=5, horizon=40),
    )
    syntony.train(
        system,
        steps=40,
        seeds=2,
        eval_every=10,
        eval_episodes=200,
        out=path,
        quiet=True,
    )
    return str(path)
