"""Speed of the particle environments, compared with mpe2, on one core.

    python benchmarks/particles_stepping.py [--csv FILE]

Random actions, sampled beforehand for both. `stepping` times steps alone; `episodes`
includes a reset per episode of 25 steps. Ours returns every observation and reward, as
training needs them; compilation is excluded. Best of several runs.
"""

import argparse
from typing import Any

import numpy as np
from mpe2 import simple_speaker_listener_v4, simple_spread_v3
from stepping import best, rows, show

from syntony.tasks import registry

TASKS = {
    "SimpleSpread-3": lambda: simple_spread_v3.parallel_env(N=3),
    "SimpleSpread-8": lambda: simple_spread_v3.parallel_env(N=8),
    "SpeakerListener": simple_speaker_listener_v4.parallel_env,
}
NUM_AVAILABLE = 3
"""Actions available to all agents: the speaker's three messages are 0 to 2."""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="particle environments against mpe2")
    parser.add_argument("--csv", help="also write the table to this file")
    path = parser.parse_args().csv
    table = [row for id in TASKS for row in measure(id)]
    show(table, path)


def measure(id: str) -> list[tuple]:
    """Rows of one task."""
    task = registry.task(id)
    theirs = original_rates(TASKS[id](), task.time_limit)
    return rows(task, "mpe2", theirs, actions=NUM_AVAILABLE)


def original_rates(env: Any, steps: int) -> tuple[float, float]:
    """Env steps/s without and with resets.

    mpe2 cannot step after an episode's end, so only whole episodes are timed; for the
    first number the separately measured time of a reset is subtracted.
    """
    rng = np.random.default_rng(0)
    names = env.possible_agents
    actions = [
        dict(zip(names, map(int, choice), strict=True))
        for choice in rng.integers(NUM_AVAILABLE, size=(steps, len(names)))
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
