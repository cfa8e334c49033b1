"""Train a team in a simulator of your own that steps many episodes in one call.

    python examples/your_own_simulator.py [steps]

Two agents on a ring meet; all positions of all episodes are one NumPy array, so that
1,000 episodes take hardly longer than one. The same on the command line:

    cd examples
    syntony train maa2c --task "batched:your_own_simulator:Meeting?cells=8"
        --num-envs 256 --steps 1000000
"""

import sys
from typing import Any

import numpy as np

import syntony

Info = dict[str, Any]


class Meeting:
    """Episodes of two agents on a ring, which meet when they are in the same cell.

    Args:
        num_envs: number of episodes E that are stepped together.
        cells: number of cells of the ring.
    """

    num_agents, num_actions, obs_dim, time_limit = 2, 3, 1, 10

    def __init__(self, num_envs: int, cells: int = 8):
        self.num_envs, self.cells = num_envs, cells

    def reset_batch(self, seeds: np.ndarray) -> tuple[np.ndarray, Info]:
        """Random cells; no observation needs further information."""
        # One generator for all episodes is enough: these seeds are new in every batch.
        random = np.random.default_rng(seeds)
        self.cell = random.integers(self.cells, size=(self.num_envs, 2))
        return self.observe(), {}

    def step_batch(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Info]:
        """Moves all agents; a meeting is worth 1 and terminates the episode."""
        self.cell = (self.cell + actions - 1) % self.cells
        met = self.cell[:, 0] == self.cell[:, 1]
        # One number for each episode is the team's reward. The time limit is counted
        # by Syntony.
        reward = np.where(met, 1.0, -0.1)
        return self.observe(), reward, met, np.zeros_like(met), {}

    def observe(self) -> np.ndarray:
        """Signed distance of each agent to the other one, in halves of the ring."""
        distance = self.cell[:, ::-1] - self.cell
        wrapped = (distance + self.cells // 2) % self.cells - self.cells // 2
        return (wrapped / (self.cells / 2))[..., None]


def train(steps: int) -> None:
    """Trains a team, and prints its results before and after."""
    task = syntony.task("batched:your_own_simulator:Meeting?cells=8")
    run = syntony.train(
        syntony.MAA2C(
            task=task, actor_critic=syntony.ActorCriticConfig(num_envs=64, hidden=32)
        ),
        steps=steps,
        eval_every=steps,
        out="runs/own-simulator",
    )
    for row in run.metrics():
        print(
            f"{row['step']:,} steps: return {row['eval/return_mean']:.2f}, "
            f"{row['eval/length_mean']:.1f} steps until they meet"
        )


if __name__ == "__main__":
    train(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
