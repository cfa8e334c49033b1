"""A game of turns for two, in PettingZoo's AEC API."""

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv


class Countdown(AECEnv):
    """Two players take 1 or 2 from a heap in turns; who takes the last one earns 1.

    The other one loses 1. Who is not on turn has no available action.
    """

    def __init__(self, heap: int = 5):
        self.heap = heap
        self.metadata = {"name": "countdown", "is_parallelizable": False}
        self.render_mode = None
        self.possible_agents = ["first", "second"]

    def observation_space(self, agent: str) -> Any:
        del agent
        mask = spaces.Box(0, 1, (2,), np.int8)
        left = spaces.Box(0, 9, (1,))
        return spaces.Dict({"observation": left, "action_mask": mask})

    def action_space(self, agent: str) -> Any:
        del agent
        return spaces.Discrete(2)

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        del seed, options
        self.agents = list(self.possible_agents)
        self.left, self.agent_selection = self.heap, "first"
        self.rewards: Any = dict.fromkeys(self.agents, 0)
        self._cumulative_rewards: Any = dict.fromkeys(self.agents, 0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos: Any = {a: {} for a in self.agents}

    def observe(self, agent: str) -> dict:
        on_turn = agent == self.agent_selection
        mask = np.array([on_turn, on_turn and self.left > 1], np.int8)
        return {"observation": np.array([self.left]), "action_mask": mask}

    def step(self, action: int | None) -> None:
        player = self.agent_selection
        if self.terminations[player]:
            self._was_dead_step(action)
            return
        assert action is not None
        assert action + 1 <= self.left
        self.left -= action + 1
        other = "second" if player == "first" else "first"
        if self.left == 0:
            self.rewards = {player: 1, other: -1}
            self.terminations = dict.fromkeys(self.agents, True)
        self.agent_selection = other


env = Countdown
