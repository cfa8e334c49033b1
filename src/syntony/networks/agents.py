"""Networks of a team: actor, critic, encoder, decoder, filter.

A module here is one network. A team's own networks are one module whose leaves have
a leading agent axis, so that each layer is a single batched product over agents.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from syntony.networks.layers import GRU, MLP, Linear


class Actor(eqx.Module):
    """Recurrent policy: features and agent id, GRU, one logit an action."""

    embed: Linear
    gru: GRU
    out: Linear

    def __init__(
        self, in_size: int, hidden: int, num_actions: int, *, key: Key[Array, ""]
    ):
        embed_key, gru_key, out_key = jax.random.split(key, 3)
        self.embed = Linear(in_size, hidden, key=embed_key)
        self.gru = GRU(hidden, hidden, key=gru_key)
        self.out = Linear(hidden, num_actions, key=out_key)

    def __call__(
        self,
        features: Float[Array, "*batch F"],
        agent_id: Float[Array, "*#batch I"],
        h: Float[Array, "*batch H"],
    ) -> tuple[Float[Array, "*batch A"], Float[Array, "*batch H"]]:
        """Returns the logits of one time step, and the next hidden state."""
        h = self.gru(jax.nn.relu(self.embed(features, agent_id)), h)
        return self.out(h), h

    def unroll(
        self, features: Float[Array, "T *batch F"], agent_id: Float[Array, "*#batch I"]
    ) -> Float[Array, "T *batch A"]:
        """Returns the logits of whole episodes."""
        x = jax.nn.relu(self.embed(features, agent_id))
        start = jnp.zeros((*x.shape[1:-1], self.gru.linear_hh.weight.shape[0]))
        return self.out(self.gru.unroll(x, start))


class Critic(eqx.Module):
    """State and agent id to one value."""

    mlp: MLP

    def __init__(self, in_size: int, hidden: int, *, key: Key[Array, ""]):
        self.mlp = MLP(in_size, hidden, hidden, 1, key=key)

    def __call__(
        self, state: Float[Array, "*#batch S"], agent_id: Float[Array, "*#batch I"]
    ) -> Float[Array, "*batch"]:
        return self.mlp(state, agent_id)[..., 0]


class Encoder(eqx.Module):
    """Own observation to a Gaussian belief: q_ω(z | o_i) = N(μ, σ²)."""

    trunk: MLP
    heads: Linear
    """Mean and log-variance, side by side."""

    def __init__(self, obs_dim: int, latent_dim: int, *, key: Key[Array, ""]):
        trunk_key, heads_key = jax.random.split(key)
        self.trunk = MLP(obs_dim, latent_dim, latent_dim, key=trunk_key)
        self.heads = Linear(latent_dim, 2 * latent_dim, key=heads_key)

    def __call__(
        self, obs: Float[Array, "*batch O"]
    ) -> tuple[Float[Array, "*batch Z"], Float[Array, "*batch Z"]]:
        """Returns the mean μ and the log-variance ln σ² of z."""
        mean, log_var = jnp.split(self.heads(jax.nn.relu(self.trunk(obs))), 2, axis=-1)
        return mean, log_var


class Decoder(eqx.Module):
    """Belief to all teammates' observations: ô_-i = p_φ(z), in normalised units."""

    mlp: MLP

    def __init__(self, latent_dim: int, others_dim: int, *, key: Key[Array, ""]):
        self.mlp = MLP(latent_dim, latent_dim, latent_dim, others_dim, key=key)

    def __call__(self, z: Float[Array, "*batch Z"]) -> Float[Array, "*batch F"]:
        return self.mlp(z)


class Filter(eqx.Module):
    """Own observation to a weight in (0, 1) for each feature of the teammates'."""

    mlp: MLP

    def __init__(self, *sizes: int, key: Key[Array, ""]):
        """Makes a filter of these widths, from what it sees to what it weighs."""
        self.mlp = MLP(*sizes, key=key)

    def __call__(self, obs: Float[Array, "*batch O"]) -> Float[Array, "*batch F"]:
        return jax.nn.sigmoid(self.mlp(obs))


def init_per_agent(
    init_fn: Callable[[Key[Array, ""]], PyTree], num_agents: int, key: Key[Array, ""]
) -> PyTree:
    """Returns one network for each agent, stacked along a leading agent axis."""
    return jax.vmap(init_fn)(jax.random.split(key, num_agents))


def apply_per_agent(
    networks: PyTree,
    *inputs: Float[Array, "*#batch N _"],
    apply_fn: Callable = lambda network, *x: network(*x),
) -> PyTree:
    """Applies a team's stacked networks, each to its own agent's slice."""
    axes = (0, *[-2] * len(inputs))
    return jax.vmap(apply_fn, in_axes=axes, out_axes=-2)(networks, *inputs)


def agent_ids(num_agents: int) -> Float[Array, "N N"]:
    """Returns the one-hot ids by which a shared network tells agents apart."""
    return jnp.eye(num_agents)


def other_agents_obs(obs: Float[Array, "*batch N O"]) -> Float[Array, "*batch N F"]:
    """Returns o_-i for each agent i: the others' observations, in index order."""
    agents = obs.shape[-2]
    left_out = [[j for j in range(agents) if j != i] for i in range(agents)]
    others = obs[..., jnp.asarray(left_out), :]
    return others.reshape(*obs.shape[:-1], (agents - 1) * obs.shape[-1])
