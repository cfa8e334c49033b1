"""Small runs for the tests of reports and figures."""

from pathlib import Path

import syntony
from syntony.channels.feedback import Feedback
from syntony.systems.link.schedule import TrainingSchedule
from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.smpe_beliefs import BeliefConfig

TASK = "Foraging-1s-5x5-2p-1f-coop?time_limit=9"
CORRIDOR = "python:your_own_task:Corridor?length=5&time_limit=9"
"""A user's task with a drawing."""
UNDRAWN = "python:user_tasks:Undrawn?length=5&time_limit=9"
"""The same without one."""


def team(path: Path, *, task: str = TASK) -> str:
    """Trains SMPE² for 300 steps; returns the run folder."""
    system = syntony.SMPE(
        task=syntony.task(task),
        actor_critic=ActorCriticConfig(num_envs=4, hidden=8),
        beliefs=BeliefConfig(
            latent_dim=4,
            belief_minibatches=3,
            buffer_size=8,
            belief_update_interval=100,
        ),
    )
    syntony.train(
        system, steps=300, eval_every=100, eval_episodes=5, out=path, quiet=True
    )
    return str(path)


def plain_team(path: Path, *, task: str = TASK) -> str:
    """Trains MAA2C, which has no beliefs, for 300 steps; returns the run folder."""
    system = syntony.MAA2C(
        task=syntony.task(task), actor_critic=ActorCriticConfig(num_envs=4, hidden=8)
    )
    syntony.train(
        system, steps=300, eval_every=100, eval_episodes=5, out=path, quiet=True
    )
    return str(path)


def link(path: Path) -> str:
    """Trains a link with quantized, lossy feedback; returns the run folder."""
    system = syntony.Link(
        messages=4,
        uses=2,
        hidden=8,
        feedback=Feedback(bits=2, erasure_prob=0.2),
        schedule=TrainingSchedule(
            batch_size=32, receiver_warmup_iterations=5, decay_iterations=40
        ),
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
