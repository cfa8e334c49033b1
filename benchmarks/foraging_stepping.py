"""How fast does foraging step, against the original lbforaging, on one core?

    python benchmarks/foraging_stepping.py [--csv FILE]

Random actions, drawn beforehand for both. `stepping` counts steps alone; `episodes`
counts the resets too, one for each episode of 50 steps. Ours returns every observation
and reward, as a learner needs them; compilation is left out. Best of several runs.
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
    parser.add_argument("--csv", help="write the table to this file, too")
    path = parser.parse_args().csv
    tasks = [Foraging.parse(id) for id in TASKS]
    tables = [
        rows(task, "lbforaging", original_rates(task), actions=task.num_actions)
        for task in tasks
    ]
    show([row for table in tables for row in table], path)


def original_rates(task: Foraging) -> tuple[float, float]:
    """Returns env steps/s without and with resets."""
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

    def walk() -> None:
        for action in actions:
            env.step(action)

    def episode() -> None:
        env.reset()
        walk()

    return best(walk, task.time_limit), best(episode, task.time_limit)


if __name__ == "__main__":
    main()
