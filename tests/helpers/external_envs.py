"""Environments of other libraries' manner, whose every answer is known beforehand."""

from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import register

mischief = SimpleNamespace(what=None, at=0)
"""What goes wrong, and at which step of how many that were ever taken."""
taken = 0
open_now = 0
"""Relays that were opened and not closed again."""


def misbehave(answer: tuple) -> tuple:
    """Returns the answer to an action, spoilt if it is time."""
    global taken
    taken += 1
    if mischief.what is None or taken != mischief.at:
        return answer
    return mischief.what(*answer)


def count(change: int) -> None:
    global open_now
    open_now += change


class Relay:
    """Three agents of different kinds; each lives as long as it was told at the start.

    | agent | sees | does | earns |
    |---|---|---|---|
    | long | (time, 10 × its life) | 0, 1 | its action |
    | short | its life, one-hot of 1 … 4 | 5, 6, 7 | its action |
    | masked | time, and a mask | 0 … 3, not `time` % 4 | its action |

    Lives are drawn alike: of `long` from 5 to 8 steps, of the others from 1 to 4.
    """

    possible_agents: tuple[str, ...] = ("long", "short", "masked")

    def __init__(
        self,
        max_cycles: int = 6,
        silent: bool = False,
        chats: bool = False,
        stuck: bool = False,
    ):
        self.chats, self.stuck = chats, stuck
        self.chat("open")
        count(1)
        self.limit = max_cycles
        if not silent:
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
        lives = np.random.default_rng(seed).integers(1, 5, 3)
        self.lives = dict(zip(self.possible_agents, map(int, lives), strict=True))
        self.lives["long"] += 4
        self.time = 0
        self.agents = list(self.possible_agents)
        return self.observe(), {}

    def observe(self) -> dict:
        mask = np.arange(4) != self.time % 4
        seen = {
            "long": np.array([self.time, 10 * self.lives["long"]]),
            "short": self.lives["short"],
            "masked": {
                "observation": np.full((1, 1), self.time),
                "action_mask": mask.astype(np.int8),
            },
        }
        return {agent: seen[agent] for agent in self.agents}

    def step(self, actions: dict) -> tuple:
        assert sorted(actions) == sorted(self.agents)
        self.chat("step")
        assert actions.get("masked") != self.time % 4
        assert all(self.action_space(a).contains(x) for a, x in actions.items())
        self.time += 1
        ends = {agent: self.time >= self.lives[agent] for agent in self.agents}
        late = self.time >= self.limit
        cuts = {agent: late and not ends[agent] for agent in self.agents}
        answer = self.observe(), dict(actions), ends, cuts, {}
        self.agents = [a for a in self.agents if not (ends[a] or cuts[a])]
        return misbehave(answer)

    def chat(self, what: str) -> None:
        if self.chats:
            print(f"relay: {what}")

    def close(self) -> None:
        self.chat("close")
        count(-1)
        if self.stuck:
            raise OSError("the door is stuck")


def parallel_env(**parameters: Any) -> Relay:
    return Relay(**parameters)


class Duo(gymnasium.Env):
    """Two agents; the team earns 3 a step. Ends by itself after `ends` steps."""

    observation_space = spaces.Tuple((spaces.Box(0, 9, (1,)), spaces.Box(0, 9, (2,))))
    action_space = spaces.Tuple((spaces.Discrete(2), spaces.Discrete(3)))

    def __init__(self, ends: int = 9, max_steps: int | None = None):
        self.ends = ends
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
        ended = self.time >= self.ends
        return misbehave((self.observe(), 3.0, ended, False, self.masks()))


class Alone(Duo):
    """Not of many agents."""

    observation_space = spaces.Box(0, 9, (1,))


class Steering(Duo):
    """Not of choices."""

    action_space = spaces.Tuple((spaces.Discrete(2), spaces.Box(0, 1, (1,))))


HOME = "external_envs"
register(id="Duo-v0", entry_point=f"{HOME}:Duo")
register(id="DuoCut-v0", entry_point=f"{HOME}:Duo", max_episode_steps=4)
register(id="Alone-v0", entry_point=f"{HOME}:Alone")
register(id="Steering-v0", entry_point=f"{HOME}:Steering")
