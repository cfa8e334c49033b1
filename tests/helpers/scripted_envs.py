"""Test environments whose endings, masks, states and sides are known exactly."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import register


class Scripted:
    """Agents `a`, `b` and `c`, each of which earns 1 in every step; ends by a script.

    Rewards are reported for all agents in all steps, also for finished ones.

    Args:
        script: entries `LISTED:TERMINATED:TRUNCATED` for each step, of agents' letters,
            between `|`: the agents that the environment lists after the step, and
            those that report an end in it. The last entry holds for all later steps.
        gone: what an agent that ends observes: "zeros", "empty" (None), "nan", or that
            it is "missing".
        shared: whether flags are those of all, with RLlib's key.
    """

    possible_agents: tuple[str, ...] = ("a", "b", "c")

    def __init__(self, script: str, gone: str = "zeros", shared: bool = False):
        self.script = [entry.split(":") for entry in script.split("|")]
        self.gone, self.shared = gone, shared

    def observation_space(self, agent: str) -> spaces.Space:
        del agent
        return spaces.Box(0, 9, (2,))

    def action_space(self, agent: str) -> spaces.Discrete:
        del agent
        return spaces.Discrete(2)

    def reset(self, seed: int | None = None) -> tuple[dict, dict]:
        del seed
        self.time, self.agents = 0, list(self.possible_agents)
        return {a: np.ones(2) for a in self.agents}, {}

    def step(self, actions: dict) -> tuple:
        assert set(actions) <= set(self.agents)
        entry = self.script[min(self.time, len(self.script) - 1)]
        listed, *reports = entry
        self.time, self.agents = self.time + 1, list(listed)
        obs: dict[str, Any] = {a: np.ones(2) for a in self.agents}
        values = {"zeros": np.zeros(2), "empty": None, "nan": np.nan}
        for agent in set("".join(reports)):
            obs[agent] = values.get(self.gone)
            if self.gone == "missing":
                del obs[agent]
        flags = [{a: np.bool_(a in x) for a in self.possible_agents} for x in reports]
        if self.shared:
            flags = [{"__all__": bool(x)} for x in reports]
        return obs, dict.fromkeys(self.possible_agents, 1.0), *flags, {}

    def close(self) -> None:
        pass


class Flagged(gymnasium.Env):
    """Two agents that earn 1 each in every step, with flags of each agent.

    Args:
        script: entries `TERMINATED:TRUNCATED` for each step, of the agents' indices,
            between `|`. The last entry holds for all later steps.
        form: type of the flags: "list", "tuple", "array", "dict", "one" for both or
            "nested" for arrays of one number.
        reward: "each" agent's, or one of the "team".
        gone: what a finished agent observes: "zeros", "empty" (None) or "nan".
    """

    observation_space = spaces.Tuple((spaces.Box(0, 9, (1,)), spaces.Box(0, 9, (1,))))
    action_space = spaces.Tuple((spaces.Discrete(2), spaces.Discrete(3)))

    def __init__(
        self,
        script: str,
        form: str = "list",
        reward: str = "each",
        gone: str = "zeros",
    ):
        self.script = [entry.split(":") for entry in script.split("|")]
        self.form, self.reward, self.gone = form, reward, gone

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple:
        super().reset(seed=seed, options=options)
        self.time, self.finished = 0, set[int]()
        return (np.ones(1), np.ones(1)), [{"name": 0}, {"name": 1}]

    def step(self, action: tuple) -> tuple:
        assert self.action_space.contains(action)
        assert not any(action[i] for i in self.finished)
        entry = self.script[min(self.time, len(self.script) - 1)]
        self.time += 1
        living = 2 - len(self.finished)
        self.finished |= {int(i) for letters in entry for i in letters}
        obs: list[Any] = [np.ones(1), np.ones(1)]
        gone = {"zeros": np.zeros(1), "empty": None, "nan": np.full(1, np.nan)}
        for i in self.finished:
            obs[i] = gone[self.gone]
        reward = [1, np.float32(1)] if self.reward == "each" else float(living)
        return tuple(obs), reward, *map(self.flags, entry), ({}, {})

    def flags(self, letters: str) -> Any:
        each = [str(i) in letters for i in range(2)]
        forms = {
            "list": each,
            "tuple": tuple(map(np.bool_, each)),
            "array": np.array(each),
            "dict": dict(enumerate(each)),
            "one": np.bool_(letters),
            "nested": [np.array([x]) for x in each],
        }
        return forms[self.form]


class Battle(gymnasium.Env):
    """A battle as PyMARL's environments have it: masks and states by methods.

    Two soldiers with four actions and a medic with three. Action 0 is that of the dead:
    all others are available to the living only, and soldier 1 dies in the second step.
    Ends after `episode_limit` steps, with a termination.
    """

    observation_space = spaces.Tuple([spaces.Box(0, 9, (2,))] * 3)
    action_space = spaces.Tuple([spaces.Discrete(n) for n in (4, 4, 3)])

    def __init__(self, by: str = "all", state: str = "yes"):
        self.by, self.state_kind = by, state

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple:
        super().reset(seed=seed, options=options)
        self.time = 0
        return self.observe(), {}

    def observe(self) -> tuple:
        return tuple(np.full(2, self.time) for _ in range(3))

    def get_env_info(self) -> dict:
        return {"episode_limit": 4, "n_agents": 3}

    def is_dead(self, agent: int) -> bool:
        return agent == 1 and self.time >= 2

    def get_avail_actions(self) -> list:
        if self.by == "each":
            raise NotImplementedError
        rows = [self.available(i) for i in range(3)]
        return rows[:2] if self.by == "too few" else rows

    def get_avail_agent_actions(self, agent_id: int) -> list:
        return self.available(agent_id)

    def available(self, agent: int) -> list:
        if self.by == "indices":
            return [1, 2, 3, 0]
        # As long as that of the agent with most actions.
        return [1, 0, 0, 0] if self.is_dead(agent) else [0, 1, 1, agent != 2]

    def get_state(self) -> Any:
        if self.state_kind == "no":
            raise NotImplementedError
        bad = self.state_kind == "nan" and self.time
        return np.array([[self.time, 10.0], [np.nan if bad else 0.5, 7.0]])

    def step(self, action: tuple) -> tuple:
        assert all(type(x) is int for x in action)
        assert all((x == 0) == self.is_dead(i) for i, x in enumerate(action))
        self.time += 1
        return self.observe(), 3.0, self.time == 4, False, {}


class Sides:
    """Pursuers and a fugitive, which earns the opposite of their rewards.

    Each agent observes the time and the last action of all others. The state is the
    number of steps, with a space, where there is one.
    """

    possible_agents: tuple[str, ...] = ("hunter_0", "hunter_1", "prey_0")

    def __init__(self, max_cycles: int = 6, state: str = "no", leaves: bool = False):
        # Without an attribute: the limit is a default of this function.
        self.limit, self.leaves = max_cycles, leaves
        if state != "no":
            self.state_space = spaces.Dict(
                {"time": spaces.Discrete(9), "late": spaces.Box(0, 1, (1, 2))}
            )
        self.has_state = state == "yes"

    def observation_space(self, agent: str) -> spaces.Space:
        return spaces.Box(-1, 9, (3 if agent == "prey_0" else 4,))

    def action_space(self, agent: str) -> spaces.Discrete:
        return spaces.Discrete(5 if agent == "prey_0" else 3)

    def state(self) -> Any:
        if not self.has_state:
            raise NotImplementedError
        return {"time": self.time, "late": np.full((1, 2), self.time / 9)}

    def reset(self, seed: int | None = None) -> tuple[dict, dict]:
        del seed
        self.time, self.agents = 0, list(self.possible_agents)
        self.last = dict.fromkeys(self.agents, -1)
        return self.observe(), {}

    def observe(self) -> dict:
        last = list(self.last.values())
        sizes = {a: 3 if a == "prey_0" else 4 for a in self.possible_agents}
        return {a: np.array([self.time, *last])[:n] for a, n in sizes.items()}

    def step(self, actions: dict) -> tuple:
        self.time += 1
        self.last = {a: actions.get(a, -1) for a in self.possible_agents}
        rewards = {a: 1.0 for a in actions if a != "prey_0"}
        rewards["prey_0"] = -2.0
        over = self.time == self.limit
        agents = set(self.agents)
        ended = agents if over else set[str]()
        if self.leaves and self.time == 3:
            ended = {a for a in agents if a != "prey_0"}
        self.agents = [a for a in self.agents if a not in ended]
        flags = {a: a in ended for a in agents}
        return self.observe(), rewards, {}, flags, {}

    def close(self) -> None:
        pass


class Picture(Sides):
    """An environment whose observations are pictures of the given shape."""

    def __init__(self, shape: Any, dtype: str = "uint8"):
        super().__init__()
        self.max_cycles, self.shape, self.dtype = 2, shape, np.dtype(dtype)

    def observation_space(self, agent: str) -> spaces.Space:
        del agent
        box: Any = spaces.Box(0, 255, tuple(self.shape), self.dtype.type)
        return spaces.Dict({"picture": box, "time": spaces.Discrete(3)})


def parallel_env(kind: str, **parameters: Any) -> Any:
    kinds: dict[str, Any] = {"scripted": Scripted, "sides": Sides, "picture": Picture}
    return kinds[kind](**parameters)


register(id="Flagged-v0", entry_point=f"{__name__}:Flagged")
register(id="Battle-v0", entry_point=f"{__name__}:Battle")
