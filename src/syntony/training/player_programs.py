"""Compiled programs of a player: a step of a team, and its beliefs.

A program takes flat arrays: those of the team that acting needs, without a replay
buffer or an optimizer state. The rest of system and state is a hashable constant, by
which the seeds of a run share their programs.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.stages import Compiled
from jax.tree_util import PyTreeDef
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, UInt32

from syntony.systems.marl.base import HIDDEN_STREAM
from syntony.systems.system import (
    ActsInEpisodes,
    HasBeliefs,
    StateT,
    observes_last_action,
    start_hidden,
)
from syntony.tasks.last_action import append_last_action
from syntony.tasks.rollout import sample_actions
from syntony.training.devices import compiler_options, worker_devices

Weights = tuple[Array, ...]
"""Arrays of a team that acting needs."""
NO_ACTION = -1
"""Last action before the first step of an episode; its one-hot vector is zero."""
MAX_PROGRAMS = 64
"""Programs that are kept, for further players of the same systems."""


class FrozenTeam(NamedTuple):
    """A system and its state without their arrays."""

    treedef: PyTreeDef
    """Structure of the pair of system and state."""
    leaves: tuple[Hashable, ...]
    """Constants, and the shapes and types of arrays."""
    used: tuple[int, ...]
    """Indices of the weights."""
    weight_shapes: tuple[jax.ShapeDtypeStruct, ...]
    """Shapes and types of the weights, as they are passed to programs."""

    def restore(
        self, weights: Sequence[Array]
    ) -> tuple[ActsInEpisodes[PyTree], PyTree]:
        """System and state; of arrays that are not used, the state has the shapes."""
        leaves: list[object] = list(self.leaves)
        for index, array in zip(self.used, weights, strict=True):
            leaves[index] = _wrap_key(array, self.leaves[index])
        return jax.tree.unflatten(self.treedef, leaves)


class PlayerCarry(NamedTuple):
    """Memory of the agents of E environments between two steps."""

    hidden: PyTree[Array]
    """Hidden state of the policy, [E, ...] each leaf."""
    last_action: Int[Array, "E N"]
    """`NO_ACTION` at the start of an episode."""


class PlayerStep(NamedTuple):
    """Result of one step."""

    action: Int[Array, "E N"]
    observed: Float[Array, "E N P"]
    """Observations, with the last actions where the system appends them."""
    carry: PlayerCarry


def freeze_team(
    system: ActsInEpisodes[StateT], state: StateT
) -> tuple[FrozenTeam, Weights]:
    """Separates the arrays that acting needs, placed on the device that acts.

    Args:
        system: settings of the team.
        state: its state, with arrays.
    """
    leaves, treedef = jax.tree.flatten((system, state))
    arrays = {
        i: _to_32_bits(leaf)
        for i, leaf in enumerate(leaves)
        if isinstance(leaf, jax.Array | np.ndarray)
    }
    used = _used_arrays(leaves, treedef, arrays)
    likes = [_shape(arrays[i]) if i in arrays else x for i, x in enumerate(leaves)]
    device = worker_devices(1)[0]
    weights = tuple(jax.device_put(_unwrap_key(arrays[i]), device) for i in used)
    shapes = tuple(map(_shape, weights))
    return FrozenTeam(treedef, tuple(likes), used, shapes), weights


def _used_arrays(
    leaves: list[object], treedef: PyTreeDef, arrays: dict[int, Array]
) -> tuple[int, ...]:
    """Indices of the arrays on which actions or beliefs depend."""

    def outputs(arrays: dict[int, Array]) -> PyTree[Array]:
        merged = [arrays.get(i, leaf) for i, leaf in enumerate(leaves)]
        system, state = jax.tree.unflatten(treedef, merged)
        obs = jnp.zeros((1, system.task.num_agents, observed_dim(system)), jnp.float32)
        results = system.policy(state)(obs, system.initial_hidden(1))
        if isinstance(system, HasBeliefs):
            results = *results, belief_arrays(system, state, obs)
        return results

    jaxpr = jax.make_jaxpr(outputs)(arrays).jaxpr
    read = {id(x) for eqn in jaxpr.eqns for x in eqn.invars}
    read |= {id(x) for x in jaxpr.outvars}
    pairs = zip(arrays, jaxpr.invars, strict=True)
    return tuple(index for index, variable in pairs if id(variable) in read)


def _to_32_bits(array: Array | np.ndarray) -> Array:
    narrow = {"float64": np.float32, "int64": np.int32, "uint64": np.uint32}
    dtype = narrow.get(str(array.dtype))
    return jnp.asarray(array if dtype is None else np.asarray(array, dtype))


def _shape(array: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


# A call with typed keys takes a slow path of JAX: their numbers are passed instead.
def _unwrap_key(array: Array) -> Array:
    is_key = jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(array) if is_key else array


def _wrap_key(array: Array, like: object) -> Array:
    assert isinstance(like, jax.ShapeDtypeStruct)
    if not jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        return array
    impl = jax.random.key_impl(jnp.zeros((), like.dtype))
    return jax.random.wrap_key_data(array, impl=impl)


def observed_dim(system: ActsInEpisodes) -> int:
    """Length of an agent's observation as the policy sees it."""
    task = system.task
    return task.obs_dim + task.num_actions * observes_last_action(system)


@lru_cache(MAX_PROGRAMS)
def compile_step(team: FrozenTeam, num_envs: int, greedy: bool) -> Compiled:
    """Program of one step in E environments.

    Args:
        team: the team.
        num_envs: E.
        greedy: whether the most likely actions are taken.

    Returns:
        Program from weights, carry, which environments start an episode, observations,
        action masks, random key (as numbers) and number of the step to a `PlayerStep`.
    """

    def carry_and_task(weights: Weights) -> tuple[PlayerCarry, Array, Array]:
        system, _ = team.restore(weights)
        agents = num_envs, system.task.num_agents
        obs = jnp.zeros((*agents, system.task.obs_dim), jnp.float32)
        mask = jnp.zeros((*agents, system.task.num_actions), bool)
        return initial_carry(system, num_envs, jax.random.key(0)), obs, mask

    carry, obs, mask = jax.eval_shape(carry_and_task, team.weight_shapes)
    starts = jax.ShapeDtypeStruct((num_envs,), bool)
    key = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0)))
    step = jax.ShapeDtypeStruct((), jnp.uint32)
    program = partial(_step, team, greedy)
    return _compile(program, team.weight_shapes, carry, starts, obs, mask, key, step)


@lru_cache(MAX_PROGRAMS)
def compile_beliefs(team: FrozenTeam, obs_shape: tuple[int, ...]) -> Compiled:
    """Program from weights and observations to the arrays of `belief_arrays`."""

    def beliefs(weights: Weights, observed: Float[Array, "E N P"]) -> tuple[Array, ...]:
        system, state = team.restore(weights)
        assert isinstance(system, HasBeliefs)
        return belief_arrays(system, state, observed)

    observed = jax.ShapeDtypeStruct(obs_shape, jnp.float32)
    return _compile(beliefs, team.weight_shapes, observed)


def _compile(program: Callable[..., object], *shapes: PyTree) -> Compiled:
    return jax.jit(program).lower(*shapes).compile(compiler_options())


def initial_carry(
    system: ActsInEpisodes, num_envs: int, key: Key[Array, ""]
) -> PlayerCarry:
    """Memory of the agents of E environments at the start of an episode."""

    def start(key: Key[Array, ""]) -> PyTree[Array]:
        return start_hidden(system, key, episodes=1)

    # One hidden state for each environment: it may have parts without an axis of them.
    hidden = jax.vmap(start)(jax.random.split(key, num_envs))
    agents = num_envs, system.task.num_agents
    return PlayerCarry(hidden, jnp.full(agents, NO_ACTION, jnp.int32))


def belief_arrays(
    system: HasBeliefs, state: PyTree, observed: Float[Array, "E N P"]
) -> tuple[Array, Array, Array, Array]:
    """Means, log-variances, decoded observations and filter weights of all agents."""
    decoded = system.decode_beliefs(state, observed)
    beliefs = system.encode_beliefs(state, observed)
    return *beliefs, decoded.prediction, decoded.filter_weights


def _step(
    team: FrozenTeam,
    greedy: bool,
    weights: Weights,
    carry: PlayerCarry,
    starts: Bool[Array, " E"],
    obs: Float[Array, "E N O"],
    action_mask: Bool[Array, "E N A"],
    key_data: UInt32[Array, " words"],
    step: UInt32[Array, ""],
) -> PlayerStep:
    system, state = team.restore(weights)
    key = jax.random.fold_in(jax.random.wrap_key_data(key_data), step)
    carry = _restart(system, carry, starts, jax.random.fold_in(key, HIDDEN_STREAM))
    if observes_last_action(system):
        last = jax.nn.one_hot(carry.last_action, action_mask.shape[-1], dtype=obs.dtype)
        obs = append_last_action(obs, last)
    policy = system.policy(state)

    def act_alone(obs: Array, hidden: PyTree[Array]) -> tuple[Array, PyTree[Array]]:
        logits, hidden = policy(obs[None], hidden)
        return logits[0], hidden

    # One policy for each environment: a hidden state may have parts without an
    # environment axis, e.g. a time step, and environments restart one by one.
    logits, hidden = jax.vmap(act_alone)(obs, carry.hidden)
    noise = jnp.zeros_like(logits)
    if not greedy:
        noise = jax.random.gumbel(key, logits.shape, logits.dtype)
    action, _ = sample_actions(logits, action_mask, noise)
    action = action.astype(jnp.int32)
    return PlayerStep(action, obs, PlayerCarry(hidden, action))


def _restart(
    system: ActsInEpisodes,
    carry: PlayerCarry,
    starts: Bool[Array, " E"],
    key: Key[Array, ""],
) -> PlayerCarry:
    """Carry with the initial one where an episode starts."""

    def choose(initial: Array, going_on: Array) -> Array:
        mask = starts.reshape(-1, *[1] * (going_on.ndim - 1))
        return jnp.where(mask, initial, going_on)

    return jax.tree.map(choose, initial_carry(system, len(starts), key), carry)
