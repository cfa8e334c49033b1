"""Speed of Foraging, compared with the original lbforaging, on one core.

    python benchmarks/foraging_stepping.py [--csv FILE]

Random actions, sampled beforehand for both. `stepping` times steps alone; `episodes`
includes a reset per episode of 50 steps. Ours returns every observation and reward, as
training needs them; compilation is excluded. Best of several runs.
"""

import argparse

import numpy as np
from lbforaging.foraging.environment import ForagingEnv
from stepping import best, rows, show

from syntony.tasks.foraging.rules import Foraging

TASKS = ("Foraging-2s-8x8-3p-2f-coop", "Foraging-7s-20x20-5p-3f-coop")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="foraging against lbforaging")
    parser.add_argument("--csv", help="also write the table to this file")
    path = parser.parse_args().csv
    tasks = [Foraging.parse(id) for id in TASKS]
    tables = [
        rows(task, "lbforaging", original_rates(task), actions=task.num_actions)
        for task in tasks
    ]
    show([row for table in tables for row in table], path)


def original_rates(task: Foraging) -> tuple[float, float]:
    """Env steps/s without and with resets."""
    env = ForagingEnv(
        players=task.players,
        min_player_level=task.min_player_level,
        max_player_level=task.max_player_level,
        min_food_level=1,
        max_food_level=None,
        field_size=(task.size, task.size),
        max_num_food=task.foods,
        sight=task.sight,
        max_episode_steps=task.time_limit,
        force_coop=task.coop,
    )
    rng = np.random.default_rng(0)
    shape = (task.time_limit, task.num_agents)
    actions = rng.integers(task.num_actions, size=shape).tolist()
    env.reset(seed=0)

    def rollout() -> None:
        for action in actions:
            env.step(action)

    def episode() -> None:
        env.reset()
        rollout()

    return best(rollout, task.time_limit), best(episode, task.time_limit)


if __name__ == "__main__":
    main()
