"""How fast do the particle worlds step, against mpe2, on one core?

    python benchmarks/particles_stepping.py [--csv FILE]

Random actions, drawn beforehand for both. `stepping` counts steps alone; `episodes`
counts the resets too, one for each episode of 25 steps. Ours returns every observation
and reward, as a learner needs them; compilation is left out. Best of several runs.
"""

import argparse
from typing import Any

import numpy as np
from mpe2 import simple_speaker_listener_v4, simple_spread_v3
from stepping import best, rows, show

from syntony.tasks.registry import task as named

TASKS = {
    "SimpleSpread-3": lambda: simple_spread_v3.parallel_env(N=3),
    "SimpleSpread-8": lambda: simple_spread_v3.parallel_env(N=8),
    "SpeakerListener": simple_speaker_listener_v4.parallel_env,
}
ALLOWED = 3
"""The speaker has three words of the five actions: 0 to 2 are allowed to all."""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="particle worlds against mpe2")
    parser.add_argument("--csv", help="write the table to this file, too")
    path = parser.parse_args().csv
    table = [row for id in TASKS for row in measured(id)]
    show(table, path)


def measured(id: str) -> list[tuple]:
    """Returns the rows of one task."""
    task = named(id)
    theirs = original_rates(TASKS[id](), task.time_limit)
    return rows(task, "mpe2", theirs, actions=ALLOWED)


def original_rates(env: Any, steps: int) -> tuple[float, float]:
    """Returns env steps/s without and with resets.

    mpe2 refuses to go on after an episode's end, so only whole episodes are timed;
    the resets' time, taken apart, is what the first figure leaves out.
    """
    rng = np.random.default_rng(0)
    names = env.possible_agents
    actions = [
        dict(zip(names, map(int, choice), strict=True))
        for choice in rng.integers(ALLOWED, size=(steps, len(names)))
    ]

    def episode() -> None:
        env.reset(seed=0)
        for action in actions:
            env.step(action)

    episodes = best(episode, steps)
    resets = best(lambda: env.reset(seed=0), 1)
    return 1.0 / (1.0 / episodes - 1.0 / (steps * resets)), episodes


if __name__ == "__main__":
    main()
