"""Demonstration of a team: two agents trained with SMPE² on level-based foraging."""

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

INTRODUCTION = f"""\
[bold]Team. Two agents on a 7 x 7 grid must collect two foods.[/bold]
Each food takes both agents at once, and each observes only two cells around
itself. They train with SMPE²: each infers its teammate's observation and acts
on the belief.
Training for {NUM_STEPS:,} steps, {NUM_SEEDS} seeds: one to three minutes on two cores.
"""


class ReturnEstimate(NamedTuple):
    """Mean return with its 95 % confidence interval over episodes."""

    mean: float
    low: float
    high: float


def run_team_demo(path: Path, *, task: Foraging = TASK, steps: int = NUM_STEPS) -> None:
    """Trains a small team, evaluates it, draws it, and prints the results.

    If the folder holds a finished demonstration, only its results are printed; an
    unfinished one is continued.

    Args:
        path: run folder.
        task: the task of the team.
        steps: environment steps of each seed.
    """
    result = path / "demo.json"
    console = Console(highlight=False)
    console.print(INTRODUCTION)
    if not result.is_file():
        system = SMPE(task=task)
        run = train(system, steps=steps, seeds=NUM_SEEDS, out=path)
        console.print("evaluating and drawing")
        returns = evaluate_before_and_after(system, run.states)
        save_run_figures(path)
        # Written last: it marks the demonstration as finished.
        result.write_text(json.dumps({k: v._asdict() for k, v in returns.items()}))
    print_results(console, path, json.loads(result.read_text()))


def evaluate_before_and_after(
    system: SMPE, trained_states: dict[int, SMPEState], episodes: int = NUM_EPISODES
) -> dict[str, ReturnEstimate]:
    """Mean returns of random actions, of untrained states and of trained states."""
    # Evaluated together, to compile once; negative keys are the untrained states.
    untrained = {
        -1 - seed: system.init(seed_keys(seed).init) for seed in trained_states
    }
    returns = {
        seed: samples["eval/return_mean"]
        for seed, samples in evaluate_states(
            system, trained_states | untrained, episodes
        ).items()
    }
    return {
        "random actions": estimate_return(
            [random_policy_returns(system.task, episodes * len(trained_states))]
        ),
        "before training": estimate_return([returns[seed] for seed in untrained]),
        "after training": estimate_return([returns[seed] for seed in trained_states]),
    }


def random_policy_returns(task: Task, episodes: int) -> Float[np.ndarray, " E"]:
    """Returns of episodes in which all available actions have the same probability."""

    def uniform_policy(
        obs: Float[Array, "E N O"], hidden: None
    ) -> tuple[Float[Array, "E N A"], None]:
        return jnp.zeros((*obs.shape[:2], task.num_actions)), hidden

    collect = jax.jit(partial(rollout, task, uniform_policy, None, episodes=episodes))
    return np.asarray(collect(jax.random.key(0)).returns)


def estimate_return(returns: list[Float[np.ndarray, "_"]]) -> ReturnEstimate:
    """Mean over the episodes of all seeds, with its bootstrap interval."""
    samples = np.concatenate(returns).astype(float)
    return ReturnEstimate(float(samples.mean()), *bootstrap_interval(samples))


def print_results(
    console: Console, path: Path, estimates: dict[str, dict[str, float]]
) -> None:
    """Prints the returns, their meaning, and the paths of the figures."""
    table = Table("team", box=None, pad_edge=False)
    table.add_column("return", justify="right")
    table.add_column("95 % interval", justify="center")
    for name, estimate in estimates.items():
        interval = f"{estimate['low']:.3f} to {estimate['high']:.3f}"
        table.add_row(name, f"{estimate['mean']:.3f}", interval)
    console.print(table)
    console.print("\n1.0 = all food collected in every episode.")
    console.print("One agent alone earns nothing: the food takes both agents at once.")
    console.print(f"\nFigures, each as PNG and SVG, in {path / 'figures'}:")
    console.print("  learning_curve  return during training")
    console.print("  losses          training losses; bonus: exploration bonus")
    console.print("  episode         one episode; a tint marks an agent's observation")
    console.print("  beliefs         one agent's belief of the other's observation")
