"""PettingZoo's parallel API: dictionaries by agent; agents may finish early."""

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Protocol, cast

import numpy as np
from jaxtyping import Bool, Int

from syntony.errors import EnvironmentStepError, InvalidInputError
from syntony.plugins import ImportFn, import_user_module
from syntony.tasks.external.adapter import (
    AgentAdapter,
    Observation,
    StepResult,
    absent_observation,
    agent_rewards,
    make_agent_adapter,
    set_agent_observation,
    set_final_observation,
)
from syntony.tasks.external.endings import EpisodeStatus, agent_flags, episode_end
from syntony.tasks.external.env_methods import (
    ActionMaskMethod,
    draw_image,
    find_global_state,
)
from syntony.tasks.external.limits import own_time_limit

ByAgent = Mapping[Hashable, object]


class ParallelEnv(Protocol):
    """An environment of the parallel API, as PettingZoo defines it."""

    @property
    def agents(self) -> Sequence[Hashable]: ...

    def observation_space(self, agent: Hashable, /) -> object: ...

    def action_space(self, agent: Hashable, /) -> object: ...

    def reset(self, seed: int) -> tuple[ByAgent, object]: ...

    def step(
        self, actions: Mapping[Hashable, int], /
    ) -> tuple[ByAgent, object, object, object, object]: ...

    def close(self) -> None: ...


class PettingZooEnv:
    """An environment of the parallel API.

    Finished agents observe zeros and earn no reward. Only their first action is
    available, and it is not passed to the environment.

    Args:
        env: the environment.
        time_limit: steps after which it ends an episode; None if unknown.
        agent_on_turn: tells which agent is on turn, in games of turns; the others can
            then only take their first action, which has no effect.
    """

    def __init__(
        self,
        env: object,
        time_limit: int | None,
        agent_on_turn: Callable[[], Hashable] | None = None,
    ):
        self._ids: list[Hashable] = list(getattr(env, "possible_agents", ()))
        if not self._ids:
            raise InvalidInputError(
                "it has no possible_agents; expected PettingZoo's parallel API"
            )
        self._env = cast(ParallelEnv, env)
        self.adapters = [
            make_agent_adapter(
                name, self._env.observation_space(name), self._env.action_space(name)
            )
            for name in self._ids
        ]
        self.time_limit = time_limit
        self._agent_on_turn = agent_on_turn
        self._mask_method = ActionMaskMethod(env, self.adapters)
        self._global_state = find_global_state(env, lambda: self._env.reset(seed=0))
        self.global_state_dim = self._global_state.dim
        self._absent_observation = absent_observation(
            self.adapters, self.global_state_dim
        )
        self._status = EpisodeStatus(len(self.adapters))
        self._step_count = 0

    def reset(self, seed: int) -> Observation:
        """Starts an episode whose randomness is determined by `seed`."""
        obs, infos = self._env.reset(seed=seed)
        self._step_count = 0
        self._status.reset(self._listed())
        return self._to_observation(obs, infos, np.zeros(len(self.adapters), bool))

    def step(self, action: Int[np.ndarray, " N"]) -> StepResult:
        """Applies the actions of the living agents."""
        acted = self._status.alive
        actions = {
            v.agent_id: v.action_start + int(action[i])
            for i, v in enumerate(self.adapters)
            if acted[i]
        }
        obs, rewards, terminated, truncated, infos = self._env.step(actions)
        self._step_count += 1
        reward = agent_rewards(rewards, self.adapters, acted)
        endings = self._status.update(
            self._listed(),
            agent_flags("terminated", terminated, self._ids),
            agent_flags("truncated", truncated, self._ids),
            at_limit=self._step_count == self.time_limit,
        )
        return StepResult(
            self._to_observation(obs, infos, endings.ended),
            reward,
            *episode_end(self._status.alive, endings.truncated),
            endings.truncated,
        )

    def render(self) -> object:
        """Image of the present state, as the environment draws it."""
        return draw_image(self._env)

    def close(self) -> None:
        """Closes windows and processes."""
        self._env.close()

    def _listed(self) -> Bool[np.ndarray, " N"]:
        """Agents in the environment's list."""
        agents = set(self._env.agents)
        if unknown := agents - set(self._ids):
            raise EnvironmentStepError(
                f"agent {unknown.pop()!r} is not in possible_agents; expected all "
                "agents of all episodes there"
            )
        return np.array([name in agents for name in self._ids])

    def _to_observation(
        self, obs: ByAgent, infos: object, ended: Bool[np.ndarray, " N"]
    ) -> Observation:
        observation = Observation(*(part.copy() for part in self._absent_observation))
        observation.global_state[:] = self._global_state.read()
        by_agent: ByAgent = cast(ByAgent, infos) if isinstance(infos, Mapping) else {}
        of_method = self._mask_method.read()
        for i, v in enumerate(self.adapters):
            of_agent = obs.get(v.agent_id)
            if ended[i]:
                set_final_observation(observation, i, v, of_agent)
            if not self._status.alive[i]:
                continue
            mask = self._given_mask(v, of_agent, by_agent.get(v.agent_id))
            mask = of_method[i] if mask is None else mask
            set_agent_observation(observation, i, v, of_agent, mask)
        return observation

    def _given_mask(self, adapter: AgentAdapter, obs: object, info: object) -> object:
        if obs is None:
            return None
        if self._agent_on_turn and adapter.agent_id != self._agent_on_turn():
            return np.arange(adapter.num_actions) == 0
        return adapter.given_mask(obs, info)


def make_pettingzoo_env(
    name: str,
    parameters: Mapping[str, object],
    import_module: ImportFn = import_user_module,
) -> PettingZooEnv:
    """Opens `MODULE.parallel_env(**parameters)`, or else converts `MODULE.env`.

    Args:
        name: name of the module.
        parameters: parameters of the environment.
        import_module: imports a module, also one of another process.

    Raises:
        InvalidInputError: there is no such module, or it has no environment.
    """
    with warnings.catch_warnings():
        # Its advice, to call `pettingzoo.make`, is not for who types an id.
        warnings.filterwarnings("ignore", "The old environment creation API")
        module = import_module(name)
    factory = getattr(module, "parallel_env", None)
    if callable(factory):
        env = factory(**parameters)
        return PettingZooEnv(env, own_time_limit(env, parameters, factory))
    factory = getattr(module, "env", None)
    aec_env = factory(**parameters) if callable(factory) else None
    if callable(getattr(aec_env, "agent_iter", None)):
        return _convert_aec_env(aec_env, parameters, import_module)
    raise InvalidInputError(
        f"module {name!r} has no parallel_env; expected a PettingZoo environment, "
        "e.g. mpe2.simple_spread_v3"
    )


def _convert_aec_env(
    aec_env: object, parameters: Mapping[str, object], import_module: ImportFn
) -> PettingZooEnv:
    """Environment of the AEC API, in which the agents act one after another.

    Where it cannot be made parallel, an environment step is the move of one agent. Its
    own time limit then counts other steps, and is not read.
    """
    conversions = import_module("pettingzoo.utils.conversions")
    metadata = cast(Mapping[str, object], getattr(aec_env, "metadata", {}))
    if metadata.get("is_parallelizable"):
        env = conversions.aec_to_parallel(aec_env)
        return PettingZooEnv(env, own_time_limit(env, parameters))
    env = conversions.turn_based_aec_to_parallel(aec_env)
    return PettingZooEnv(env, None, partial(getattr, aec_env, "agent_selection"))
