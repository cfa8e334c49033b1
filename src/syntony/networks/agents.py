"""Networks of a team: actor, critic, encoder, decoder, filter.

A module here is one network. A team's own networks are one module whose leaves have
a leading agent axis, so that each layer is a single batched product over agents.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from syntony.networks.layers import Gru, Linear, Mlp


class Actor(eqx.Module):
    """Recurrent policy: features and agent id, GRU, one logit an action."""

    embed: Linear
    gru: Gru
    out: Linear

    def __init__(self, size_in: int, hidden: int, actions: int, *, key: Key[Array, ""]):
        embed_key, gru_key, out_key = jax.random.split(key, 3)
        self.embed = Linear(size_in, hidden, key=embed_key)
        self.gru = Gru(hidden, hidden, key=gru_key)
        self.out = Linear(hidden, actions, key=out_key)

    def __call__(
        self,
        features: Float[Array, "*batch F"],
        id: Float[Array, "*#batch I"],
        h: Float[Array, "*batch H"],
    ) -> tuple[Float[Array, "*batch A"], Float[Array, "*batch H"]]:
        """Returns the logits of one time step, and the next hidden state."""
        h = self.gru(jax.nn.relu(self.embed(features, id)), h)
        return self.out(h), h

    def unroll(
        self, features: Float[Array, "T *batch F"], id: Float[Array, "*#batch I"]
    ) -> Float[Array, "T *batch A"]:
        """Returns the logits of whole episodes."""
        x = jax.nn.relu(self.embed(features, id))
        start = jnp.zeros((*x.shape[1:-1], self.gru.hidden.weight.shape[0]))
        return self.out(self.gru.unroll(x, start))


class Critic(eqx.Module):
    """State and agent id to one value."""

    mlp: Mlp

    def __init__(self, size_in: int, hidden: int, *, key: Key[Array, ""]):
        self.mlp = Mlp(size_in, hidden, hidden, 1, key=key)

    def __call__(
        self, state: Float[Array, "*#batch S"], id: Float[Array, "*#batch I"]
    ) -> Float[Array, "*batch"]:
        return self.mlp(state, id)[..., 0]


class Encoder(eqx.Module):
    """Own observation to a Gaussian belief: q_ω(z | o_i) = N(μ, σ²)."""

    trunk: Mlp
    heads: Linear
    """Mean and log-variance, side by side."""

    def __init__(self, obs_size: int, latent: int, *, key: Key[Array, ""]):
        trunk_key, heads_key = jax.random.split(key)
        self.trunk = Mlp(obs_size, latent, latent, key=trunk_key)
        self.heads = Linear(latent, 2 * latent, key=heads_key)

    def __call__(
        self, own: Float[Array, "*batch O"]
    ) -> tuple[Float[Array, "*batch Z"], Float[Array, "*batch Z"]]:
        """Returns the mean μ and the log-variance ln σ² of z."""
        mean, log_var = jnp.split(self.heads(jax.nn.relu(self.trunk(own))), 2, axis=-1)
        return mean, log_var


class Decoder(eqx.Module):
    """Belief to all teammates' observations: ô_-i = p_φ(z), in normalised units."""

    mlp: Mlp

    def __init__(self, latent: int, others_size: int, *, key: Key[Array, ""]):
        self.mlp = Mlp(latent, latent, latent, others_size, key=key)

    def __call__(self, z: Float[Array, "*batch Z"]) -> Float[Array, "*batch F"]:
        return self.mlp(z)


class Filter(eqx.Module):
    """Own observation to a weight in (0, 1) for each feature of the teammates'."""

    mlp: Mlp

    def __init__(self, *sizes: int, key: Key[Array, ""]):
        """Makes a filter of these widths, from what it sees to what it weighs."""
        self.mlp = Mlp(*sizes, key=key)

    def __call__(self, own: Float[Array, "*batch O"]) -> Float[Array, "*batch F"]:
        return jax.nn.sigmoid(self.mlp(own))


def team(
    make: Callable[[Key[Array, ""]], PyTree], agents: int, key: Key[Array, ""]
) -> PyTree:
    """Returns one network for each agent, stacked along a leading agent axis."""
    return jax.vmap(make)(jax.random.split(key, agents))


def each(
    networks: PyTree,
    *inputs: Float[Array, "*#batch N _"],
    apply: Callable = lambda network, *x: network(*x),
) -> PyTree:
    """Applies a team's stacked networks, each to its own agent's slice."""
    axes = (0, *[-2] * len(inputs))
    return jax.vmap(apply, in_axes=axes, out_axes=-2)(networks, *inputs)


def agent_ids(agents: int) -> Float[Array, "N N"]:
    """Returns the one-hot ids by which a shared network tells agents apart."""
    return jnp.eye(agents)


def teammates(obs: Float[Array, "*batch N O"]) -> Float[Array, "*batch N F"]:
    """Returns o_-i for each agent i: the others' observations, in index order."""
    agents = obs.shape[-2]
    left_out = [[j for j in range(agents) if j != i] for i in range(agents)]
    others = obs[..., jnp.asarray(left_out), :]
    return others.reshape(*obs.shape[:-1], (agents - 1) * obs.shape[-1])
