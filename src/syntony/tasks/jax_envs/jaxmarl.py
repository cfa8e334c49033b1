"""Environments of JaxMARL: dictionaries by agent.

JaxMARL says only that an episode is over (`done["__all__"]`). Time limits are read from
the environment, so that an end by the limit is a truncation.

Source: Rutherford et al., "JaxMARL: Multi-Agent RL Environments and Algorithms in JAX",
    NeurIPS 2024.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, cast, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.errors import InvalidInputError, unknown_name_error
from syntony.plugins import import_user_module, quiet
from syntony.pytrees import PyTree
from syntony.tasks.jax_envs.adapter import (
    UNREACHABLE_LIMIT,
    EnvStep,
    accepted_parameters,
    flatten,
    require_known_parameters,
    split_reward,
    stack_padded,
)

AgentId = str | int
ByAgent = Mapping[AgentId, PyTree[Array]] | Sequence[PyTree[Array]]
"""Values of all agents: by name or, where agents are numbers, in order."""


@runtime_checkable
class ParallelEnv(Protocol):
    """An environment of JaxMARL."""

    @property
    def agents(self) -> Sequence[AgentId]: ...

    def action_space(self, agent: AgentId, /) -> object: ...

    def reset(self, key: Key[Array, ""], /) -> tuple[ByAgent, PyTree[Array]]: ...

    def step_env(
        self, key: Key[Array, ""], state: PyTree[Array], actions: object, /
    ) -> tuple[ByAgent, PyTree[Array], ByAgent, Mapping[str, Array], object]: ...


class EnvRules(NamedTuple):
    """Facts of an environment that JaxMARL does not state."""

    time_limit: Callable[[object], int]
    """Number of steps after which the environment ends an episode."""
    ends_at_time_limit: bool = False
    """Whether that limit stays: it cannot be lifted, or agents observe it."""
    team_reward: bool = False
    """Whether all agents receive the same reward, which the field counts once."""
    shared_reward: bool = False
    """Whether all agents receive the same reward, which the field counts N times."""


def max_steps(env: object) -> int:
    """Limit of an environment that compares its counter after raising it."""
    return _numbers(env, "max_steps")[0]


def max_steps_and_one(env: object) -> int:
    """Limit of an environment that compares its counter before raising it."""
    return max_steps(env) + 1


def inner_times_outer_steps(env: object) -> int:
    """Limit of an environment that repeats a game several times."""
    inner, outer = _numbers(env, "num_inner_steps", "num_outer_steps")
    return inner * outer


def longest_hanabi_game(env: object) -> int:
    """Upper bound: every card is discarded, and every information token is used."""
    agents, hand, deck, tokens = _numbers(
        env, "num_agents", "hand_size", "deck_size", "max_info_tokens"
    )
    return tokens + 2 * (deck - agents * hand) + agents


def _numbers(env: object, *names: str) -> list[int]:
    return [int(getattr(env, name)) for name in names]


PARTICLES = EnvRules(max_steps_and_one, ends_at_time_limit=True)
SMAX = EnvRules(max_steps_and_one, team_reward=True)
# Its agents observe whether few steps are left.
OVERCOOKED = EnvRules(max_steps, ends_at_time_limit=True, team_reward=True)
REPEATED_GAME = EnvRules(inner_times_outer_steps, ends_at_time_limit=True)
ENV_RULES: dict[str, EnvRules] = {
    "MPE_simple_v3": PARTICLES,
    "MPE_simple_spread_v3": PARTICLES,
    "MPE_simple_speaker_listener_v4": PARTICLES._replace(shared_reward=True),
    "MPE_simple_reference_v3": PARTICLES,
    "SMAX": SMAX,
    "HeuristicEnemySMAX": SMAX,
    "switch_riddle": EnvRules(max_steps, team_reward=True),
    "hanabi": EnvRules(longest_hanabi_game, team_reward=True),
    "overcooked": OVERCOOKED,
    "overcooked_v2": OVERCOOKED,
    "coin_game": REPEATED_GAME,
    "storm_2p": REPEATED_GAME,
    "storm_np": REPEATED_GAME,
    "jaxnav": EnvRules(max_steps),
}
"""Environments that are adapted, with their rules."""
REFUSED_NAMES = {
    **dict.fromkeys(
        [
            f"MPE_simple_{scenario}_v3"
            for scenario in ("adversary", "crypto", "push", "tag", "world_comm")
        ],
        "its agents are on two sides",
    ),
    **dict.fromkeys(
        [
            *[f"MPE_simple_facmac_{size}v1" for size in ("", "3a_", "6a_", "9a_")],
            *("ant_4x2", "halfcheetah_6x1", "hopper_3x1", "humanoid_9|8"),
            "walker2d_2x3",
        ],
        "its actions are continuous",
    ),
    "LearnedPolicyEnemySMAX": "it needs a trained policy of the enemy",
    "storm": "its observations are not by agent",
}
"""Reasons why the other environments of JaxMARL are not adapted."""
TEAM_OF = {"SMAX": "HeuristicEnemySMAX"}
"""Environment with one team of agents, by the name of the one with two."""
PRESET_PARAMETERS = {
    ("SMAX", "scenario"): (
        "jaxmarl.environments.smax.smax_env",
        "MAP_NAME_TO_SCENARIO",
    ),
    ("overcooked", "layout"): ("jaxmarl.environments", "overcooked_layouts"),
}
"""Dictionary of named values, by environment and parameter."""


class JaxMARLEnv:
    """An environment of JaxMARL with arrays of all agents, without automatic reset."""

    def __init__(self, env: object, rules: EnvRules):
        self._env = cast(ParallelEnv, env)
        self._agents = tuple(self._env.agents)
        self.action_counts = tuple(
            num_actions(agent, self._env.action_space(agent)) for agent in self._agents
        )
        self.time_limit = rules.time_limit(env)
        self.ends_at_time_limit = rules.ends_at_time_limit
        self.shared_reward = rules.shared_reward
        self._team_reward = rules.team_reward
        if not rules.ends_at_time_limit:
            lift_time_limit(env)
        self._all_actions = [jnp.ones(count, bool) for count in self.action_counts]
        _, state = jax.eval_shape(self._env.reset, jax.random.key(0))
        self._mask_method = self._find_method(
            state, ("get_avail_actions", "get_legal_moves"), self._are_masks
        )
        self._global_state_method = self._find_method(
            state, ("get_world_state",), _is_vector
        )

    def reset(self, key: Key[Array, ""]) -> tuple[PyTree[Array], Float[Array, "N O"]]:
        """Initial state and observations of an episode."""
        obs, state = self._env.reset(key)
        return state, self._stack(obs)

    def action_mask(self, state: PyTree[Array]) -> Bool[Array, "N A"]:
        """Mask of the available actions; all of them if the environment has no mask."""
        if not self._mask_method:
            return stack_padded(self._all_actions)
        return self._stack(getattr(self._env, self._mask_method)(state)) > 0

    def alive(self, state: PyTree[Array]) -> Bool[Array, " N"]:
        """Which agents still act: in SMAX, the units that live."""
        units: Array | None = getattr(
            getattr(state, "state", state), "unit_alive", None
        )
        if units is None:
            return jnp.ones(len(self._agents), bool)
        return units[: len(self._agents)]

    def global_state(self, state: PyTree[Array]) -> Float[Array, " S"]:
        """The state as one vector; empty if the environment has none."""
        if not self._global_state_method:
            return jnp.zeros(0)
        return flatten(getattr(self._env, self._global_state_method)(state))

    def step(
        self, key: Key[Array, ""], state: PyTree[Array], action: Int[Array, " N"]
    ) -> tuple[PyTree[Array], EnvStep]:
        """Applies the joint action."""
        actions = dict(zip(self._agents, action, strict=True))
        by_name = isinstance(self._agents[0], str)
        obs, next_state, rewards, done, _ = self._env.step_env(
            key, state, actions if by_name else tuple(actions.values())
        )
        reward = self._stack(rewards)[:, 0]
        if self._team_reward:
            reward = split_reward(reward[0], self.alive(state))
        return next_state, EnvStep(self._stack(obs), reward, done["__all__"])

    def _stack(self, values: ByAgent) -> Float[Array, "N X"]:
        """Values of all agents, flat and padded with zeros."""
        if isinstance(values, Mapping):
            values = [values[agent] for agent in self._agents]
        return stack_padded(map(flatten, values))

    def _find_method(
        self,
        state: object,
        names: Sequence[str],
        accepts: Callable[..., bool],
    ) -> str:
        """First method of the environment whose result is accepted; empty if none."""
        for name in names:
            try:
                result = jax.eval_shape(getattr(self._env, name), state)
            except (AttributeError, NotImplementedError):
                continue
            if accepts(result):
                return name
        return ""

    def _are_masks(self, masks: Mapping[AgentId, jax.ShapeDtypeStruct]) -> bool:
        shapes = [masks[agent].shape for agent in self._agents]
        return shapes == [mask.shape for mask in self._all_actions]


def _is_vector(shape: jax.ShapeDtypeStruct) -> bool:
    return len(shape.shape) == 1


def num_actions(agent: AgentId, space: object) -> int:
    """Number of actions of an agent.

    Raises:
        InvalidInputError: they are not discrete.
    """
    if not hasattr(space, "n"):
        raise InvalidInputError(
            f"actions of {agent} are {type(space).__name__}; expected Discrete"
        )
    return _numbers(space, "n")[0]


def lift_time_limit(env: object) -> None:
    """Sets the limit of steps so high that it is never reached."""
    # An environment with a scripted enemy contains the one that has the limit.
    vars(getattr(env, "_env", env))["max_steps"] = UNREACHABLE_LIMIT


def make_jaxmarl_env(name: str, parameters: Mapping[str, object]) -> JaxMARLEnv:
    """Opens `jaxmarl.make(name, **parameters)`; SMAX has a scripted enemy.

    Raises:
        InvalidInputError: there is no such environment or parameter, or the environment
            is not adapted.
    """
    if name in REFUSED_NAMES:
        raise InvalidInputError(
            f"{REFUSED_NAMES[name]}; expected one of {', '.join(ENV_RULES)}"
        )
    if name not in ENV_RULES:
        raise unknown_name_error("environment of JaxMARL", name, ENV_RULES)
    with quiet():
        library = import_user_module("jaxmarl")
    env_name = TEAM_OF.get(name, name)
    with quiet():
        default: object = library.make(env_name)
        inner: object = getattr(default, "_env", default)
        require_known_parameters(parameters, accepted_parameters(default, inner))
        values = {key: _named_value(name, key, x) for key, x in parameters.items()}
        env = library.make(env_name, **values)
    rules = ENV_RULES[name]
    if parameters.get("shared_rewards") is True:
        rules = rules._replace(team_reward=True)
    return JaxMARLEnv(env, rules)


def _named_value(env_name: str, parameter: str, value: object) -> object:
    """Value of a parameter that JaxMARL looks up by name, e.g. of `scenario=3m`."""
    key = {"HeuristicEnemySMAX": "SMAX"}.get(env_name, env_name), parameter
    if key not in PRESET_PARAMETERS or value is None:
        return value
    module, table = PRESET_PARAMETERS[key]
    options = cast(Mapping[str, object], getattr(import_user_module(module), table))
    if value not in options:
        raise unknown_name_error(parameter, str(value), options)
    return options[str(value)]
