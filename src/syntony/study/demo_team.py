"""The first demonstration: a small team learns, and shows what it has learned."""

import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from rich.console import Console
from rich.table import Table

from syntony.equations.statistics import bootstrap_interval
from syntony.run.lanes import keys
from syntony.run.load import assess
from syntony.run.train import train
from syntony.study.run_figures import draw
from syntony.systems.smpe import Smpe, SmpeState
from syntony.tasks.foraging import Foraging
from syntony.tasks.rollout import rollout
from syntony.tasks.task import Task

TASK = Foraging.parse("Foraging-2s-7x7-2p-2f-coop")
STEPS, SEEDS, EPISODES = 500_000, 2, 500

STORY = f"""[bold]Infer. Two agents on a 7 x 7 board must collect two foods.[/bold]
Each food takes both agents at once, and each sees only two cells around itself.
They learn by SMPE²: each infers what its teammate sees, and acts on that.
Learning for {STEPS:,} steps, from {SEEDS} seeds: one to three minutes on two cores.
"""


class Score(NamedTuple):
    """A mean return, and its 95 % interval over episodes."""

    mean: float
    low: float
    high: float


def demo(path: Path, *, task: Foraging = TASK, steps: int = STEPS) -> None:
    """Trains a small team, measures it, draws it, and prints all that.

    If the folder holds the finished demonstration, its result is shown again at once;
    if it holds an unfinished one, that goes on.

    Args:
        path: the run folder.
        task: what they learn.
        steps: how long each seed learns.
    """
    result = path / "demo.json"
    console = Console(highlight=False)
    console.print(STORY)
    if not result.is_file():
        system = Smpe(task=task)
        run = train(system, steps=steps, seeds=SEEDS, out=path)
        console.print("measuring and drawing")
        scores = measure(system, run.states)
        draw(path)
        # Written last: where it is, everything is.
        result.write_text(json.dumps({name: s._asdict() for name, s in scores.items()}))
    show(console, path, json.loads(result.read_text()))


def measure(
    system: Smpe, trained: dict[int, SmpeState], episodes: int = EPISODES
) -> dict[str, Score]:
    """Returns how a team does that acts at random, is untrained, and is trained."""
    # One compilation for both; the numbers below zero are keys of the untrained.
    untrained = {-1 - seed: system.init(keys(seed).begin) for seed in trained}
    returns = {
        number: samples["eval/return_mean"]
        for number, samples in assess(system, trained | untrained, episodes).items()
    }
    return {
        "random actions": score([random_returns(system.task, episodes * len(trained))]),
        "before training": score([returns[number] for number in untrained]),
        "after training": score([returns[number] for number in trained]),
    }


def random_returns(task: Task, episodes: int) -> Float[np.ndarray, " E"]:
    """Returns what episodes earn in which every available action is as likely."""

    def indifferent(
        obs: Float[Array, "E N O"], memory: None
    ) -> tuple[Float[Array, "E N A"], None]:
        return jnp.zeros((*obs.shape[:2], task.actions)), memory

    live = jax.jit(partial(rollout, task, indifferent, None, episodes=episodes))
    return np.asarray(live(jax.random.key(0)).returns)


def score(returns: list[Float[np.ndarray, "_"]]) -> Score:
    """Returns the mean over the episodes of all seeds, and its interval."""
    samples = np.concatenate(returns).astype(float)
    return Score(float(samples.mean()), *bootstrap_interval(samples))


def show(console: Console, path: Path, scores: dict[str, dict[str, float]]) -> None:
    """Prints the result, what it means, and what to do next."""
    table = Table("team", box=None, pad_edge=False)
    table.add_column("return", justify="right")
    table.add_column("95 % interval", justify="center")
    for name, s in scores.items():
        interval = f"{s['low']:.3f} to {s['high']:.3f}"
        table.add_row(name, f"{s['mean']:.3f}", interval)
    console.print(table)
    console.print("\n1.0 = all food collected in every episode.")
    console.print(
        "Alone an agent earns nothing: this team learned to meet at the food."
    )
    console.print(f"\nPictures, each as PNG and SVG, in {path / 'figures'}:")
    console.print("  learning_curve  how the return grew")
    console.print("  losses          what was descended; bonus: what novelty paid")
    console.print("  episode         the team at work; a tint is what an agent sees")
    console.print("  beliefs         what one agent believes that the other sees")
