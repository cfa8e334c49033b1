"""Teams within an environment: `?team=adversary_0,adversary_1&others=random`."""

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import cast

import numpy as np
from jaxtyping import Int

from syntony.errors import EnvironmentStepError, InvalidInputError
from syntony.tasks.external.adapter import (
    AgentAdapter,
    MultiAgentEnv,
    Observation,
    StepResult,
)
from syntony.tasks.external.endings import episode_end

TEAM_PARAMETER = "team"
OTHERS_PARAMETER = "others"
OTHERS = "random"
"""The only policy of the others: uniformly random among the available actions."""
OTHERS_STREAM = 1
"""Number of the random stream of the others, beside that of the environment."""
OPPOSING = (
    *("adversary", "leadadversary", "predator", "prey", "red", "blue", "eve"),
    *("attacker", "defender", "evader", "pursuer", "opponent", "enemy", "tiger"),
)
"""Names of agents in environments where sides play against each other."""

MAX_LISTED = 20
"""Most names in an error message."""


class TeamEnv:
    """An environment of which only some agents belong to the task.

    The others act uniformly at random among their available actions, from the seed of
    the episode. An episode ends when no agent of the team acts any more.

    Args:
        env: the environment of all agents.
        members: indices of the team's agents.
    """

    def __init__(self, env: MultiAgentEnv, members: Sequence[int]):
        self._env = env
        self._members = list(members)
        self._others = [i for i in range(len(env.adapters)) if i not in members]
        self.adapters = [env.adapters[i] for i in members]
        self.time_limit = env.time_limit
        self.global_state_dim = env.global_state_dim
        self._rng = np.random.default_rng()

    def reset(self, seed: int) -> Observation:
        """Starts an episode whose randomness is determined by `seed`."""
        self._rng = np.random.default_rng([seed, OTHERS_STREAM])
        self._of_all = self._env.reset(seed)
        observation = self._of_team(self._of_all)
        if not observation.alive.any():
            raise EnvironmentStepError("no agent of the team acts; expected at least 1")
        return observation

    def step(self, action: Int[np.ndarray, " N"]) -> StepResult:
        """Applies the team's actions, and random ones of the others."""
        joint = np.zeros(len(self._env.adapters), action.dtype)
        joint[self._members] = action
        for i in self._others:
            available = np.flatnonzero(self._of_all.action_mask[i])
            joint[i] = self._rng.choice(available)
        result = self._env.step(joint)
        self._of_all = result.observation
        observation = self._of_team(result.observation)
        over = result.terminated or result.truncated
        truncated = result.agent_truncated
        if truncated is None:
            truncated = np.full(len(joint), result.truncated)
        truncated = truncated[self._members]
        return StepResult(
            observation,
            result.reward[self._members],
            *episode_end(observation.alive & (not over), truncated),
            truncated,
        )

    def render(self) -> object:
        """Image of the present state, as the environment draws it."""
        return self._env.render()

    def close(self) -> None:
        """Closes windows and processes."""
        self._env.close()

    def _of_team(self, observation: Observation) -> Observation:
        obs_dim = max(v.obs_dim for v in self.adapters)
        num_actions = max(v.num_actions for v in self.adapters)
        return Observation(
            observation.obs[self._members, :obs_dim],
            observation.action_mask[self._members, :num_actions],
            observation.alive[self._members],
            observation.global_state,
        )


def select_team(
    env: MultiAgentEnv, parameters: Mapping[str, object]
) -> MultiAgentEnv | TeamEnv:
    """The environment with the team of an id's parameters; without one, as it is.

    Raises:
        InvalidInputError: there is no agent of that name, or the others' policy is
            unknown.
    """
    others = parameters.get(OTHERS_PARAMETER, OTHERS)
    if TEAM_PARAMETER not in parameters:
        if OTHERS_PARAMETER in parameters:
            raise InvalidInputError("others is given without team; expected team=A,B")
        return env
    if others != OTHERS:
        raise InvalidInputError(f"others is {others!r}; expected {OTHERS}")
    names = [agent_name(v.agent_id) for v in env.adapters]
    team = parameters[TEAM_PARAMETER]
    wanted = (
        cast(list[object], team) if isinstance(team, list) else str(team).split(",")
    )
    members = [_index_of(str(name).strip(), names) for name in wanted]
    if len(set(members)) < len(members):
        raise InvalidInputError(f"team is {team!r}; expected each agent once")
    return TeamEnv(env, members)


def agent_name(agent_id: Hashable) -> str:
    """Name of an agent in `team`: its id, or its index in a tuple space."""
    return str(agent_id).removeprefix("agent ")


def _index_of(name: str, names: list[str]) -> int:
    if name not in names:
        listed = ", ".join(names[:MAX_LISTED]) + ", …" * (len(names) > MAX_LISTED)
        raise InvalidInputError(
            f"there is no agent {name!r}; expected some of {listed}"
        )
    return names.index(name)


def opposing_sides(adapters: Sequence[AgentAdapter]) -> list[str]:
    """Prefixes of the agents' names where they tell that sides play against each other.

    Empty for one prefix, and where no name is one of `OPPOSING`.
    """
    matches = [re.fullmatch(r"(.+?)_?\d+", str(v.agent_id)) for v in adapters]
    prefixes = sorted({match[1] for match in matches if match})
    opposing = len(prefixes) > 1 and any(prefix in OPPOSING for prefix in prefixes)
    return prefixes if opposing else []
