"""Networks of a team: actor, critic, encoder, decoder, filter.

A module is one network. Networks of their own for all agents are one module whose
leaves have a leading agent axis, so that each layer is one batched product over agents.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from syntony.networks.layers import GRU, MLP, Linear


class Actor(eqx.Module):
    """Recurrent policy: features and agent id, GRU, one logit per action."""

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
        features: Float[Array, "*batch D"],
        agent_id: Float[Array, "*#batch N"],
        h: Float[Array, "*batch H"],
    ) -> tuple[Float[Array, "*batch A"], Float[Array, "*batch H"]]:
        """Logits of one time step, and the next hidden state."""
        h = self.gru(jax.nn.relu(self.embed(features, agent_id)), h)
        return self.out(h), h

    def unroll(
        self, features: Float[Array, "T *batch D"], agent_id: Float[Array, "*#batch N"]
    ) -> Float[Array, "T *batch A"]:
        """Logits of whole episodes, from a hidden state of zeros."""
        x = jax.nn.relu(self.embed(features, agent_id))
        initial = jnp.zeros((*x.shape[1:-1], self.gru.linear_hh.weight.shape[0]))
        return self.out(self.gru.unroll(x, initial))


class Critic(eqx.Module):
    """State and agent id to a state value V(s)."""

    mlp: MLP

    def __init__(self, in_size: int, hidden: int, *, key: Key[Array, ""]):
        self.mlp = MLP(in_size, hidden, hidden, 1, key=key)

    def __call__(
        self, state: Float[Array, "*#batch S"], agent_id: Float[Array, "*#batch N"]
    ) -> Float[Array, "*batch"]:
        """Value of each state, for each agent."""
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
        """Mean μ and log-variance ln σ² of z."""
        mean, log_var = jnp.split(self.heads(jax.nn.relu(self.trunk(obs))), 2, axis=-1)
        return mean, log_var


class Decoder(eqx.Module):
    """Belief to all teammates' normalized observations: ô_-i = p_φ(z)."""

    mlp: MLP

    def __init__(self, latent_dim: int, others_dim: int, *, key: Key[Array, ""]):
        self.mlp = MLP(latent_dim, latent_dim, latent_dim, others_dim, key=key)

    def __call__(self, z: Float[Array, "*batch Z"]) -> Float[Array, "*batch F"]:
        """Predicted features ô_-i of all teammates."""
        return self.mlp(z)


class Filter(eqx.Module):
    """Own observation to weights w ∈ (0, 1), one per feature of the teammates."""

    mlp: MLP

    def __init__(self, *sizes: int, key: Key[Array, ""]):
        """Initializes the weights.

        Args:
            *sizes: size of the observation, of each hidden layer, and number of
                teammates' features.
            key: consumed.
        """
        self.mlp = MLP(*sizes, key=key)

    def __call__(self, obs: Float[Array, "*batch O"]) -> Float[Array, "*batch F"]:
        """Weights of the teammates' features."""
        return jax.nn.sigmoid(self.mlp(obs))


def init_per_agent(
    init_fn: Callable[[Key[Array, ""]], PyTree], num_agents: int, key: Key[Array, ""]
) -> PyTree:
    """Networks of all agents, stacked along a leading agent axis.

    Args:
        init_fn: makes one network from a key.
        num_agents: N.
        key: consumed.
    """
    return jax.vmap(init_fn)(jax.random.split(key, num_agents))


def apply_per_agent(
    networks: PyTree,
    *inputs: Float[Array, "*#batch N _"],
    apply_fn: Callable = lambda network, *x: network(*x),
) -> PyTree:
    """Applies stacked networks, each to the slice of its own agent.

    Args:
        networks: networks, stacked along a leading agent axis.
        *inputs: arrays with the agent axis second to last.
        apply_fn: called with one network and its agent's slices of the inputs.
    """
    axes = (0, *[-2] * len(inputs))
    return jax.vmap(apply_fn, in_axes=axes, out_axes=-2)(networks, *inputs)


def agent_ids(num_agents: int) -> Float[Array, "N N"]:
    """One-hot agent ids, an input of networks that agents share."""
    return jnp.eye(num_agents)


def other_agents_obs(obs: Float[Array, "*batch N O"]) -> Float[Array, "*batch N F"]:
    """Teammates' observations o_-i of each agent i, in index order: F = (N − 1) O."""
    num_agents = obs.shape[-2]
    others = [[j for j in range(num_agents) if j != i] for i in range(num_agents)]
    gathered = obs[..., jnp.asarray(others), :]
    return gathered.reshape(*obs.shape[:-1], (num_agents - 1) * obs.shape[-1])
