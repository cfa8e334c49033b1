"""Environments of other JAX libraries as tasks.

    jaxmarl:SMAX?scenario=3m
    jumanji:LevelBasedForaging-v0?num_agents=3&num_food=3

They are compiled like the built-in tasks: reset and step are pure functions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.pytrees import PyTree
from syntony.tasks.env_id import opening, parse_env_id
from syntony.tasks.family import TaskFamily
from syntony.tasks.jax_envs.adapter import AdaptedEnv
from syntony.tasks.jax_envs.jaxmarl import make_jaxmarl_env
from syntony.tasks.jax_envs.jumanji import make_jumanji_env
from syntony.tasks.task import TimeStep

ENV_FACTORIES: dict[str, Callable[[str, Mapping[str, object]], AdaptedEnv]] = {
    "jaxmarl": make_jaxmarl_env,
    "jumanji": make_jumanji_env,
}
EXAMPLES = {
    "jaxmarl": "jaxmarl:SMAX?scenario=3m",
    "jumanji": "jumanji:LevelBasedForaging-v0",
}


class JaxEnvState(NamedTuple):
    """The environment's state and the time step."""

    env_state: PyTree[Array]
    """Random keys in it are stored as their bits: a trajectory keeps all states."""
    time: Int[Array, ""]


# Static, so that it is compared by its id and sizes, not by the environment.
@jax.tree_util.register_static
@dataclass(frozen=True, kw_only=True)
class JaxEnv:
    """An environment of another JAX library as a task.

    Observations are padded with zeros to the longest of all agents. Agents with fewer
    actions than others have some that are never available.
    """

    id: str
    num_agents: int
    num_actions: int
    obs_dim: int
    time_limit: int
    shared_reward: bool
    global_state_dim: int
    action_counts: tuple[int, ...]
    """Number of actions of each agent; the others of A are never available."""

    @classmethod
    def parse(cls, id: str) -> "JaxEnv":
        """Task with this id.

        Raises:
            InvalidInputError: there is no such environment, or it is not supported.
        """
        env = open_env(id)
        state, obs = first_values(id)
        global_state = jax.eval_shape(env.global_state, state)
        return cls(
            id=id,
            num_agents=len(env.action_counts),
            num_actions=max(env.action_counts),
            obs_dim=obs.shape[1],
            time_limit=env.time_limit,
            shared_reward=env.shared_reward,
            global_state_dim=global_state.shape[0],
            action_counts=env.action_counts,
        )

    def reset(self, key: Key[Array, ""]) -> tuple[JaxEnvState, Float[Array, "N O"]]:
        """Initial state and observations of an episode."""
        state, obs = open_env(self.id).reset(key)
        start = JaxEnvState(self._pack(state), jnp.zeros((), jnp.int32))
        return start, obs.astype(jnp.float32)

    def action_mask(self, state: JaxEnvState) -> Bool[Array, "N A"]:
        """Mask of the available actions."""
        return open_env(self.id).action_mask(self._unpack(state))

    def alive(self, state: JaxEnvState) -> Bool[Array, " N"]:
        """Which agents still act."""
        return open_env(self.id).alive(self._unpack(state))

    def global_state(self, state: JaxEnvState) -> Float[Array, " S"]:
        """The state as one vector; empty if the library has none."""
        return open_env(self.id).global_state(self._unpack(state))

    def step(
        self, key: Key[Array, ""], state: JaxEnvState, action: Int[Array, " N"]
    ) -> tuple[JaxEnvState, TimeStep]:
        """Applies the joint action."""
        env = open_env(self.id)
        env_state, result = env.step(key, self._unpack(state), action)
        time = state.time + 1
        at_limit = time >= self.time_limit
        terminated = jnp.asarray(result.ended, bool)
        if env.ends_at_time_limit:
            terminated &= ~at_limit
        truncated = at_limit & ~terminated
        obs, reward = (x.astype(jnp.float32) for x in (result.obs, result.reward))
        next_state = JaxEnvState(self._pack(env_state), time)
        return next_state, TimeStep(obs, reward, terminated, truncated)

    def _pack(self, env_state: PyTree[Array]) -> PyTree[Array]:
        """A state as arrays of the first state's types, none of them weak."""
        return jax.tree.map(_to_array, env_state, first_values(self.id)[0])

    def _unpack(self, state: JaxEnvState) -> PyTree[Array]:
        """The environment's own state."""
        return jax.tree.map(_from_array, state.env_state, first_values(self.id)[0])


def _is_key(like: jax.ShapeDtypeStruct) -> bool:
    return jnp.issubdtype(like.dtype, jax.dtypes.prng_key)


def _to_array(value: Array, like: jax.ShapeDtypeStruct) -> Array:
    if _is_key(like):
        return jax.random.key_data(value)
    return jnp.asarray(value, like.dtype)


def _from_array(value: Array, like: jax.ShapeDtypeStruct) -> Array:
    if not _is_key(like):
        return value
    return cast(Array, jax.random.wrap_key_data(value))


@cache
def open_env(id: str) -> AdaptedEnv:
    """Environment with this id; opened once.

    Raises:
        InvalidInputError: there is none, or it cannot be opened with these parameters.
    """
    library, name, parameters = parse_env_id(id, EXAMPLES)
    with opening(id):
        return ENV_FACTORIES[library](name, parameters)


@cache
def first_values(id: str) -> tuple[PyTree[jax.ShapeDtypeStruct], jax.ShapeDtypeStruct]:
    """Shapes and types of an environment's first state and observations."""
    return jax.eval_shape(open_env(id).reset, jax.random.key(0))


FAMILIES = (
    TaskFamily(
        prefix="jaxmarl:",
        pattern="jaxmarl:{name}[?{parameter}={value}&...]",
        example=EXAMPLES["jaxmarl"],
        summary="an environment of JaxMARL (SMAX, MPE, Hanabi, Overcooked, ...)",
        parse=JaxEnv.parse,
    ),
    TaskFamily(
        prefix="jumanji:",
        pattern="jumanji:{name}[?{parameter}={value}&...]",
        example=EXAMPLES["jumanji"],
        summary="a multi-agent environment of Jumanji",
        parse=JaxEnv.parse,
    ),
)
