"""Episodes of a trained team, from above and from inside its members."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from syntony.equations.densities import categorical_sample, masked_logits
from syntony.equations.moments import EPSILON, standardise
from syntony.networks.agents import each, teammates
from syntony.systems.actor_critic import blank_memory, recurrent_policy
from syntony.systems.beliefs import filter_weights
from syntony.systems.smpe import Smpe, SmpeState


class Episode(NamedTuple):
    """One episode: what was before each step and, last, what was after the end."""

    states: PyTree[np.ndarray]
    obs: Float[np.ndarray, "T+1 N O"]
    returns: Float[np.ndarray, " T+1"]
    """What the team had earned by then."""

    @property
    def steps(self) -> int:
        """Steps that the episode took."""
        return len(self.returns) - 1


class Belief(NamedTuple):
    """What each agent believes of its teammates, what is true, and what counts."""

    others: Float[Array, "*batch N F"]
    """o_-i, what agent i's teammates see, raw."""
    belief: Float[Array, "*batch N F"]
    """ô_-i, decoded from the mean of agent i's belief, in the same units."""
    weights: Float[Array, "*batch N F"]
    """w_i, in (0, 1)."""


def believe(system: Smpe, state: SmpeState, obs: Float[Array, "*batch N O"]) -> Belief:
    """Returns each agent's belief, given what all agents see."""
    beliefs = state.beliefs
    mean, _ = beliefs.encode(obs)
    shift = teammates(beliefs.each.mean)
    scale = teammates(jnp.sqrt(beliefs.each.var) + EPSILON)
    own = standardise(beliefs.pooled, obs)
    return Belief(
        others=teammates(obs),
        belief=each(beliefs.decoder, mean) * scale + shift,
        weights=filter_weights(system.beliefs, beliefs.filter, own),
    )


def typical_episode(
    system: Smpe, state: SmpeState, key: Key[Array, ""], episodes: int = 31
) -> Episode:
    """Returns the episode of median length among so many."""
    live = jax.jit(lambda state, key: _live(system, state, key, episodes))
    states, obs, rewards, alive = jax.device_get(live(state, key))
    lengths = alive.sum(axis=0)
    typical = np.argsort(lengths, kind="stable")[episodes // 2]
    end = lengths[typical]
    earned = np.cumsum(rewards[:end, typical])
    return Episode(
        states=jax.tree.map(lambda x: x[: end + 1, typical], states),
        obs=obs[: end + 1, typical],
        returns=np.concatenate([np.zeros(1), earned]),
    )


def _live(
    system: Smpe, state: SmpeState, key: Key[Array, ""], episodes: int
) -> tuple[PyTree[Array], ...]:
    """Lives whole episodes; unlike a rollout, keeps the task's states."""
    task, backbone = system.task, system.backbone
    policy = recurrent_policy(backbone, state.actor, partial(system.features, state))
    reset_key, live_key = jax.random.split(key)
    world, obs = jax.vmap(task.reset)(jax.random.split(reset_key, episodes))

    def step(carry: tuple[Any, ...], key: Key[Array, ""]) -> tuple[Any, Any]:
        world, obs, alive, memory = carry
        act_key, task_key = jax.random.split(key)
        logits, memory = policy(obs, memory)
        logits = masked_logits(logits, jax.vmap(task.available)(world))
        action = categorical_sample(jax.random.gumbel(act_key, logits.shape), logits)
        keys = jax.random.split(task_key, episodes)
        next_world, answer = jax.vmap(task.step)(keys, world, action)
        lived = (world, obs, jnp.sum(answer.reward, axis=-1), alive)
        alive = alive & ~(answer.terminated | answer.truncated)
        return (next_world, answer.obs, alive, memory), lived

    alive, memory = jnp.ones(episodes, bool), blank_memory(backbone, task, episodes)
    keys = jax.random.split(live_key, task.time_limit)
    last, lived = jax.lax.scan(step, (world, obs, alive, memory), keys)
    worlds, obs, rewards, alive = lived
    worlds, obs = jax.tree.map(
        lambda rest, end: jnp.concatenate([rest, end[None]]), (worlds, obs), last[:2]
    )
    return worlds, obs, rewards, alive
