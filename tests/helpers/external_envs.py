"""Deterministic test environments with the APIs of PettingZoo and Gymnasium."""

from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import register

fault = SimpleNamespace(change=None, step=0)
"""A function that changes the result of the step with this number, of all steps."""
num_steps = 0
"""Steps of all environments."""
num_open = 0
"""Number of open `Relay` environments."""


def inject_fault(result: tuple) -> tuple:
    """Result of a step, changed if it is the step of the fault."""
    global num_steps
    num_steps += 1
    if fault.change is None or num_steps != fault.step:
        return result
    return fault.change(*result)


def count_open(change: int) -> None:
    global num_open
    num_open += change


class Relay:
    """Three agents with different spaces; each is alive for a random number of steps.

    | agent | observation | actions | reward |
    |---|---|---|---|
    | long | (time, 10 × lifetime) | 0, 1 | its action |
    | short | lifetime, one-hot of 1 … 4 | 5, 6, 7 | its action |
    | masked | time, and a mask | 0 … 3, not `time` % 4 | its action |

    Lifetimes are uniform: of `long` from 5 to 8 steps, of the others from 1 to 4.
    """

    possible_agents: tuple[str, ...] = ("long", "short", "masked")

    def __init__(
        self,
        max_cycles: int = 6,
        hide_limit: bool = False,
        chats: bool = False,
        fail_close: bool = False,
    ):
        self.chats, self.fail_close = chats, fail_close
        self.chat("open")
        count_open(1)
        self.limit = max_cycles
        if not hide_limit:
            self.max_cycles = max_cycles

    def observation_space(self, agent: str) -> spaces.Space:
        mask = spaces.MultiBinary(4)
        parts: Any = {"observation": spaces.Box(0, 9, (1, 1)), "action_mask": mask}
        kinds: dict[str, spaces.Space] = {
            "long": spaces.Box(0, 99, (2,)),
            "short": spaces.Discrete(4, start=1),
            "masked": spaces.Dict(parts),
        }
        return kinds[agent]

    def action_space(self, agent: str) -> spaces.Discrete:
        if agent == "short":
            return spaces.Discrete(3, start=5)
        return spaces.Discrete(2 if agent == "long" else 4)

    def reset(self, seed: int | None = None) -> tuple[dict, dict]:
        lifetimes = np.random.default_rng(seed).integers(1, 5, 3)
        pairs = zip(self.possible_agents, map(int, lifetimes), strict=True)
        self.lifetimes = dict(pairs)
        self.lifetimes["long"] += 4
        self.time = 0
        self.agents = list(self.possible_agents)
        return self.observe(), {}

    def observe(self) -> dict:
        mask = np.arange(4) != self.time % 4
        obs = {
            "long": np.array([self.time, 10 * self.lifetimes["long"]]),
            "short": self.lifetimes["short"],
            "masked": {
                "observation": np.full((1, 1), self.time),
                "action_mask": mask.astype(np.int8),
            },
        }
        return {agent: obs[agent] for agent in self.agents}

    def step(self, actions: dict) -> tuple:
        assert sorted(actions) == sorted(self.agents)
        self.chat("step")
        assert actions.get("masked") != self.time % 4
        assert all(self.action_space(a).contains(x) for a, x in actions.items())
        self.time += 1
        terminated = {a: self.time >= self.lifetimes[a] for a in self.agents}
        at_limit = self.time >= self.limit
        truncated = {a: at_limit and not terminated[a] for a in self.agents}
        result = self.observe(), dict(actions), terminated, truncated, {}
        self.agents = [a for a in self.agents if not (terminated[a] or truncated[a])]
        return inject_fault(result)

    def chat(self, what: str) -> None:
        if self.chats:
            print(f"relay: {what}")

    def close(self) -> None:
        self.chat("close")
        count_open(-1)
        if self.fail_close:
            raise OSError("closing failed")


def parallel_env(**parameters: Any) -> Relay:
    return Relay(**parameters)


class Duo(gymnasium.Env):
    """Two agents with a team reward of 3 per step; terminates after `duration`."""

    observation_space = spaces.Tuple((spaces.Box(0, 9, (1,)), spaces.Box(0, 9, (2,))))
    action_space = spaces.Tuple((spaces.Discrete(2), spaces.Discrete(3)))

    def __init__(self, duration: int = 9, max_steps: int | None = None):
        self.duration = duration
        if max_steps is not None:
            self.max_steps = max_steps

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple:
        super().reset(seed=seed, options=options)
        self.time = 0
        self.hidden = self.np_random.integers(9)
        return self.observe(), self.masks()

    def observe(self) -> tuple:
        return np.array([self.time]), np.array([self.time, self.hidden])

    def masks(self) -> dict:
        return {"action_mask": [[1, 1], [0, 1, 1]]}

    def step(self, action: tuple) -> tuple:
        assert self.action_space.contains(action)
        self.time += 1
        terminated = self.time >= self.duration
        return inject_fault((self.observe(), 3.0, terminated, False, self.masks()))


class BoxSpace(Duo):
    """An environment whose observation space is not a tuple."""

    observation_space = spaces.Box(0, 9, (1,))


class ContinuousActions(Duo):
    """An environment with an agent whose actions are not discrete."""

    action_space = spaces.Tuple((spaces.Discrete(2), spaces.Box(0, 1, (1,))))


MODULE = "external_envs"
register(id="Duo-v0", entry_point=f"{MODULE}:Duo")
register(id="DuoCut-v0", entry_point=f"{MODULE}:Duo", max_episode_steps=4)
register(id="BoxSpace-v0", entry_point=f"{MODULE}:BoxSpace")
register(id="ContinuousActions-v0", entry_point=f"{MODULE}:ContinuousActions")
