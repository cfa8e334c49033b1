"""PettingZoo's parallel API: dictionaries by agent; agents may finish early."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol, cast

import numpy as np
from jaxtyping import Int

from syntony.errors import EnvironmentStepError, InvalidInputError
from syntony.plugins import import_user_module
from syntony.tasks.external.adapter import (
    Observation,
    StepResult,
    absent_observation,
    env_time_limit,
    make_agent_adapter,
    set_agent_observation,
    validate_reward,
)

ByAgent = Mapping[Hashable, object]


class ParallelEnv(Protocol):
    """An environment of the parallel API, as PettingZoo defines it."""

    @property
    def agents(self) -> Sequence[Hashable]: ...

    def observation_space(self, agent: Hashable, /) -> object: ...

    def action_space(self, agent: Hashable, /) -> object: ...

    def reset(self, seed: int) -> tuple[ByAgent, ByAgent]: ...

    def step(
        self, actions: Mapping[Hashable, int], /
    ) -> tuple[ByAgent, ByAgent, ByAgent, ByAgent, ByAgent]: ...

    def close(self) -> None: ...


class PettingZooEnv:
    """An environment of the parallel API.

    Finished agents observe zeros and earn no reward. Only their first action is
    available, and it is not passed to the environment.
    """

    def __init__(self, env: object, parameters: Mapping[str, object]):
        agents: list[Hashable] = list(getattr(env, "possible_agents", ()))
        if not agents:
            raise InvalidInputError(
                "it has no possible_agents; expected PettingZoo's parallel API"
            )
        self._env = cast(ParallelEnv, env)
        self.adapters = [
            make_agent_adapter(
                name, self._env.observation_space(name), self._env.action_space(name)
            )
            for name in agents
        ]
        self.time_limit = env_time_limit(env, parameters)
        self.global_state_dim = 0
        self._absent_observation = absent_observation(self.adapters)
        self._alive_agents: set[Hashable] = set()

    def reset(self, seed: int) -> Observation:
        """Starts an episode whose randomness is determined by `seed`."""
        obs, infos = self._env.reset(seed=seed)
        self._alive_agents = set(self._env.agents)
        return self._to_observation(obs, infos)

    def step(self, action: Int[np.ndarray, " N"]) -> StepResult:
        """Applies the actions of the living agents."""
        living = [
            (i, v)
            for i, v in enumerate(self.adapters)
            if v.agent_id in self._alive_agents
        ]
        actions = {v.agent_id: v.action_start + int(action[i]) for i, v in living}
        obs, rewards, terminated, truncated, infos = self._env.step(actions)
        reward = np.zeros(len(self.adapters), np.float32)
        for i, v in living:
            reward[i] = validate_reward(v.agent_id, rewards.get(v.agent_id, 0.0))
        finished = {a for a in actions if terminated.get(a) or truncated.get(a)}
        cut = any(truncated.get(a) and not terminated.get(a) for a in finished)
        self._alive_agents = set(self._env.agents) - finished
        over = not self._alive_agents
        return StepResult(
            self._to_observation(obs, infos), reward, over and not cut, over and cut
        )

    def close(self) -> None:
        """Closes windows and processes."""
        self._env.close()

    def _to_observation(self, obs: ByAgent, infos: ByAgent) -> Observation:
        observation = Observation(*(part.copy() for part in self._absent_observation))
        for i, v in enumerate(self.adapters):
            if v.agent_id in self._alive_agents and v.agent_id not in obs:
                raise EnvironmentStepError(f"there is no observation of {v.agent_id}")
            if v.agent_id in self._alive_agents:
                set_agent_observation(
                    observation, i, v, obs[v.agent_id], infos.get(v.agent_id)
                )
            elif v.agent_id in obs:
                # The final observation of an agent that has just finished.
                observation.obs[i, : v.obs_dim] = v.flatten_obs(obs[v.agent_id])
        return observation


def make_pettingzoo_env(name: str, parameters: Mapping[str, object]) -> PettingZooEnv:
    """Opens `MODULE.parallel_env(**parameters)`.

    Raises:
        InvalidInputError: there is no such module, or it has no `parallel_env`.
    """
    module = import_user_module(name)
    if not callable(getattr(module, "parallel_env", None)):
        raise InvalidInputError(
            f"module {name!r} has no parallel_env; expected a PettingZoo environment, "
            "e.g. mpe2.simple_spread_v3"
        )
    return PettingZooEnv(module.parallel_env(**parameters), parameters)
