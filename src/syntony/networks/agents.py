"""Networks of a team beside the actors: critic, encoder, decoder, filter.

A module is one network. Networks of their own for all agents are one module whose
leaves have a leading agent axis, so that each layer is one batched product over agents.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.networks.layer_norm_gru import LAYER_NORM_GRUS, LayerNormGRU
from syntony.networks.layers import MLP, Linear
from syntony.networks.user_network import NetworkSpec, UserNetwork, make_user_network
from syntony.pytrees import HiddenT

NetworkT = TypeVar("NetworkT")
OutputT = TypeVar("OutputT")

ENCODERS = ("mlp",)
"""Names of the built-in encoders."""


@runtime_checkable
class AnyCritic(Protocol[HiddenT]):
    """Critic of one agent, or of all agents with one-hot ids."""

    def step(
        self,
        state: Float[Array, "*#batch S"],
        agent_id: Float[Array, "*#batch N"],
        h: HiddenT,
    ) -> tuple[Float[Array, "*batch"], HiddenT]:
        """Values of one time step, and the next hidden state."""
        ...

    def unroll(
        self,
        state: Float[Array, "T *#batch S"],
        agent_id: Float[Array, "*#batch N"],
        h: HiddenT | None = None,
    ) -> Float[Array, "T *batch"]:
        """Values of consecutive steps.

        Args:
            state: input of each step.
            agent_id: one-hot agent ids.
            h: hidden state before the first step; None: that of an episode's start.
        """
        ...

    def initial_hidden(self, batch: tuple[int, ...]) -> HiddenT:
        """Hidden state at the start of a batch of episodes."""
        ...


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

    def step(
        self,
        state: Float[Array, "*#batch S"],
        agent_id: Float[Array, "*#batch N"],
        h: tuple[()],
    ) -> tuple[Float[Array, "*batch"], tuple[()]]:
        """Values of one time step, and no hidden state."""
        return self(state, agent_id), h

    def unroll(
        self,
        state: Float[Array, "T *#batch S"],
        agent_id: Float[Array, "*#batch N"],
        h: tuple[()] | None = None,
    ) -> Float[Array, "T *batch"]:
        """Values of consecutive steps."""
        del h
        return self(state, agent_id)

    def initial_hidden(self, batch: tuple[int, ...]) -> tuple[()]:
        """No hidden state."""
        del batch
        return ()


class RecurrentCritic(eqx.Module):
    """States so far and agent id to a state value, by a GRU with layer norm."""

    network: LayerNormGRU

    def step(
        self,
        state: Float[Array, "*#batch S"],
        agent_id: Float[Array, "*#batch N"],
        h: Float[Array, "*batch H"],
    ) -> tuple[Float[Array, "*batch"], Float[Array, "*batch H"]]:
        """Values of one time step, and the next hidden state."""
        value, h = self.network(state, agent_id, h)
        return value[..., 0], h

    def unroll(
        self,
        state: Float[Array, "T *#batch S"],
        agent_id: Float[Array, "*#batch N"],
        h: Float[Array, "*batch H"] | None = None,
    ) -> Float[Array, "T *batch"]:
        """Values of consecutive steps; at an episode's start h is zero."""
        return self.network.unroll(state, agent_id, h)[..., 0]

    def initial_hidden(self, batch: tuple[int, ...]) -> Float[Array, "..."]:
        """Hidden state at the start of a batch of episodes."""
        return jnp.zeros((*batch, self.network.hidden_size))


def make_critic(spec: NetworkSpec, key: Key[Array, ""]) -> AnyCritic:
    """Critic with new weights; the key is consumed."""
    if spec.name in LAYER_NORM_GRUS:
        return RecurrentCritic(LayerNormGRU(spec, output_gain=1.0, key=key))
    return Critic(spec.in_size, spec.hidden, key=key)


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


class UserEncoder(eqx.Module):
    """Encoder of a user's own, whose outputs are mean and log-variance."""

    network: UserNetwork

    def __call__(
        self, obs: Float[Array, "*batch O"]
    ) -> tuple[Float[Array, "*batch Z"], Float[Array, "*batch Z"]]:
        """Mean μ and log-variance ln σ² of z."""
        mean, log_var = jnp.split(self.network(obs)[0], 2, axis=-1)
        return mean, log_var


class ReceivingEncoder(eqx.Module):
    """Own observation and received signal to a belief: q_ω(z | o_i, y_i).

    The signal passes through two layers of its own, then joins the observation.
    """

    receiver: MLP
    encoder: Encoder | UserEncoder

    def __call__(
        self, obs: Float[Array, "*batch O"], received: Float[Array, "*batch R"]
    ) -> tuple[Float[Array, "*batch Z"], Float[Array, "*batch Z"]]:
        """Mean μ and log-variance ln σ² of z."""
        features = jax.nn.relu(self.receiver(received))
        return self.encoder(jnp.concatenate([obs, features], axis=-1))


AnyEncoder = Encoder | UserEncoder | ReceivingEncoder


def encoder_spec(name: str, obs_dim: int, latent_dim: int) -> NetworkSpec:
    """Name and sizes of an encoder: mean and log-variance of a belief of size Z."""
    return NetworkSpec(name, obs_dim, 2 * latent_dim, latent_dim)


def make_encoder(spec: NetworkSpec, key: Key[Array, ""]) -> Encoder | UserEncoder:
    """Encoder with new weights; the key is consumed."""
    if spec.is_user:
        return UserEncoder(make_user_network("encoder", spec, key))
    return Encoder(spec.in_size, spec.hidden, key=key)


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
    init_fn: Callable[[Key[Array, ""]], NetworkT], num_agents: int, key: Key[Array, ""]
) -> NetworkT:
    """Networks of all agents, stacked along a leading agent axis.

    Args:
        init_fn: makes one network from a key.
        num_agents: N.
        key: consumed.
    """
    return jax.vmap(init_fn)(jax.random.split(key, num_agents))


def apply_per_agent(
    networks: Callable[..., OutputT], *inputs: Float[Array, "*#batch N _"]
) -> OutputT:
    """Applies stacked networks, each to the slice of its own agent.

    Args:
        networks: networks, stacked along a leading agent axis.
        *inputs: arrays with the agent axis second to last.
    """

    def apply(network: Callable[..., OutputT], *x: Array) -> OutputT:
        return network(*x)

    axes = (0, *[-2] * len(inputs))
    return jax.vmap(apply, in_axes=axes, out_axes=-2)(networks, *inputs)


def agent_ids(num_agents: int) -> Float[Array, "N N"]:
    """One-hot agent ids, an input of networks that agents share."""
    return jnp.eye(num_agents)


def other_agents_obs(obs: Float[Array, "*batch N O"]) -> Float[Array, "*batch N F"]:
    """Teammates' observations o_-i of each agent i, in index order: F = (N − 1) O."""
    num_agents = obs.shape[-2]
    others = [[j for j in range(num_agents) if j != i] for i in range(num_agents)]
    gathered = obs[..., jnp.asarray(others), :]
    return gathered.reshape(*obs.shape[:-1], (num_agents - 1) * obs.shape[-1])
