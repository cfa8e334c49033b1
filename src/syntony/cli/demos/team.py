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
from syntony.systems.marl.smpe import SMPE, SMPEState
from syntony.tasks.foraging.rules import Foraging
from syntony.tasks.rollout import rollout
from syntony.tasks.task import Task
from syntony.training.loop import train
from syntony.training.run import evaluate_states
from syntony.training.seed_scheduler import seed_keys
from syntony.visualization.run_figures import save_run_figures

TASK = Foraging.parse("Foraging-2s-7x7-2p-2f-coop")
NUM_STEPS, NUM_SEEDS, NUM_EPISODES = 500_000, 2, 500

INTRODUCTION = f"""[bold]Infer. Two agents on a 7 x 7 board must collect two foods.[/bold]
Each food takes both agents at once, and each sees only two cells around itself.
They learn by SMPE²: each infers what its teammate sees, and acts on that.
Learning for {NUM_STEPS:,} steps, from {NUM_SEEDS} seeds: one to three minutes on two cores.
"""


class ReturnEstimate(NamedTuple):
    """A mean return, and its 95 % interval over episodes."""

    mean: float
    low: float
    high: float


def run_team_demo(path: Path, *, task: Foraging = TASK, steps: int = NUM_STEPS) -> None:
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
    console.print(INTRODUCTION)
    if not result.is_file():
        system = SMPE(task=task)
        run = train(system, steps=steps, seeds=NUM_SEEDS, out=path)
        console.print("measuring and drawing")
        scores = evaluate_before_and_after(system, run.states)
        save_run_figures(path)
        # Written last: where it is, everything is.
        result.write_text(json.dumps({name: s._asdict() for name, s in scores.items()}))
    print_results(console, path, json.loads(result.read_text()))


def evaluate_before_and_after(
    system: SMPE, trained_states: dict[int, SMPEState], episodes: int = NUM_EPISODES
) -> dict[str, ReturnEstimate]:
    """Returns how a team does that acts at random, is untrained, and is trained."""
    # One compilation for both; the numbers below zero are keys of the untrained.
    untrained = {
        -1 - seed: system.init(seed_keys(seed).init) for seed in trained_states
    }
    returns = {
        number: samples["eval/return_mean"]
        for number, samples in evaluate_states(
            system, trained_states | untrained, episodes
        ).items()
    }
    return {
        "random actions": estimate_return(
            [random_policy_returns(system.task, episodes * len(trained_states))]
        ),
        "before training": estimate_return([returns[number] for number in untrained]),
        "after training": estimate_return(
            [returns[number] for number in trained_states]
        ),
    }


def random_policy_returns(task: Task, episodes: int) -> Float[np.ndarray, " E"]:
    """Returns what episodes earn in which every available action is as likely."""

    def indifferent(
        obs: Float[Array, "E N O"], memory: None
    ) -> tuple[Float[Array, "E N A"], None]:
        return jnp.zeros((*obs.shape[:2], task.num_actions)), memory

    live = jax.jit(partial(rollout, task, indifferent, None, episodes=episodes))
    return np.asarray(live(jax.random.key(0)).returns)


def estimate_return(returns: list[Float[np.ndarray, "_"]]) -> ReturnEstimate:
    """Returns the mean over the episodes of all seeds, and its interval."""
    samples = np.concatenate(returns).astype(float)
    return ReturnEstimate(float(samples.mean()), *bootstrap_interval(samples))


def print_results(
    console: Console, path: Path, estimates: dict[str, dict[str, float]]
) -> None:
    """Prints the result, what it means, and what to do next."""
    table = Table("team", box=None, pad_edge=False)
    table.add_column("return", justify="right")
    table.add_column("95 % interval", justify="center")
    for name, s in estimates.items():
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
