"""Episodes of a trained team, from above and from inside its members."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from syntony.equations.moments import EPSILON
from syntony.networks.agents import each, teammates
from syntony.systems.beliefs import encode, filter_weights, normalised
from syntony.systems.smpe import Smpe, SmpeState
from syntony.systems.team import Team, closing
from syntony.tasks.rollout import Trajectory


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
    mean, _ = encode(system.beliefs, beliefs, obs)
    shift = teammates(beliefs.each.mean)
    scale = teammates(jnp.sqrt(beliefs.each.var) + EPSILON)
    own = normalised(system.beliefs, beliefs.pooled, obs)
    return Belief(
        others=teammates(obs),
        belief=each(beliefs.decoder, mean) * scale + shift,
        weights=filter_weights(system.beliefs, beliefs.filter, own),
    )


def typical_episode(
    system: Team, state: Any, key: Key[Array, ""], episodes: int = 31
) -> Episode:
    """Returns the episode of median length among so many."""
    return typical(lived(system, state, key, episodes))


def lived(system: Team, state: Any, key: Key[Array, ""], episodes: int) -> Trajectory:
    """Returns episodes of a team, as NumPy arrays."""
    if system.on_host:
        with closing(system):
            return jax.device_get(system.live(state, key, episodes))
    live = jax.jit(lambda state, key: system.live(state, key, episodes))
    return jax.device_get(live(state, key))


def typical(lived: Trajectory) -> Episode:
    """Returns the episode of median length."""
    lengths = np.asarray(lived.mask).sum(axis=0)
    typical = np.argsort(lengths, kind="stable")[len(lengths) // 2]
    end = lengths[typical]
    earned = np.cumsum(lived.reward[:end, typical].sum(axis=-1))
    return Episode(
        states=jax.tree.map(lambda x: x[: end + 1, typical], lived.state),
        obs=np.asarray(lived.obs)[: end + 1, typical],
        returns=np.concatenate([np.zeros(1), earned]),
    )
