"""Actors: networks from an agent's features to logits of its actions, or Q-values."""

from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.networks.layers import GRU, MLP, Linear
from syntony.networks.user_network import (
    NetworkSpec,
    UserNetwork,
    broadcast_hidden,
    make_user_network,
    user_structure,
)
from syntony.pytrees import HiddenT, PyTree

ACTORS = ("gru", "mlp")
"""Names of the built-in actors."""


@runtime_checkable
class Actor(Protocol[HiddenT]):
    """Network of one agent, or of all agents with one-hot ids."""

    def __call__(
        self,
        features: Float[Array, "*batch D"],
        agent_id: Float[Array, "*#batch N"],
        h: HiddenT,
    ) -> tuple[Float[Array, "*batch A"], HiddenT]:
        """Outputs of one time step, and the next hidden state."""
        ...

    def unroll(
        self, features: Float[Array, "T *batch D"], agent_id: Float[Array, "*#batch N"]
    ) -> Float[Array, "T *batch A"]:
        """Outputs of whole episodes, from the initial hidden state."""
        ...


class GRUActor(eqx.Module):
    """Recurrent actor: features and agent id, GRU, one output per action."""

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
        """Outputs of one time step, and the next hidden state."""
        h = self.gru(jax.nn.relu(self.embed(features, agent_id)), h)
        return self.out(h), h

    def unroll(
        self, features: Float[Array, "T *batch D"], agent_id: Float[Array, "*#batch N"]
    ) -> Float[Array, "T *batch A"]:
        """Outputs of whole episodes, from a hidden state of zeros."""
        x = jax.nn.relu(self.embed(features, agent_id))
        initial = jnp.zeros((*x.shape[1:-1], self.gru.linear_hh.weight.shape[0]))
        return self.out(self.gru.unroll(x, initial))


class MLPActor(eqx.Module):
    """Actor without a hidden state: an MLP with two hidden layers."""

    mlp: MLP

    def __init__(
        self, in_size: int, hidden: int, num_actions: int, *, key: Key[Array, ""]
    ):
        self.mlp = MLP(in_size, hidden, hidden, num_actions, key=key)

    def __call__(
        self,
        features: Float[Array, "*batch D"],
        agent_id: Float[Array, "*#batch N"],
        h: tuple[()],
    ) -> tuple[Float[Array, "*batch A"], tuple[()]]:
        """Outputs of one time step, and no hidden state."""
        return self.mlp(features, agent_id), h

    def unroll(
        self, features: Float[Array, "T *batch D"], agent_id: Float[Array, "*#batch N"]
    ) -> Float[Array, "T *batch A"]:
        """Outputs of whole episodes."""
        return self.mlp(features, agent_id)


class UserActor(eqx.Module):
    """Actor of a user's own; the one-hot agent id is appended to the features."""

    network: UserNetwork

    def __call__(
        self,
        features: Float[Array, "*batch D"],
        agent_id: Float[Array, "*#batch N"],
        h: PyTree[Array],
    ) -> tuple[Float[Array, "*batch A"], PyTree[Array]]:
        """Outputs of one time step, and the next hidden state."""
        return self.network(append_agent_id(features, agent_id), h)

    def unroll(
        self, features: Float[Array, "T *batch D"], agent_id: Float[Array, "*#batch N"]
    ) -> Float[Array, "T *batch A"]:
        """Outputs of whole episodes, step by step from the initial hidden state."""
        x = append_agent_id(features, agent_id)
        if not self.network.structure.is_recurrent:
            return self.network(x)[0]

        def step(h: PyTree[Array], x: Array) -> tuple[PyTree[Array], Array]:
            out, h = self.network(x, h)
            return h, out

        return jax.lax.scan(step, self.network.initial_hidden(x.shape[1:-1]), x)[1]


def append_agent_id(
    features: Float[Array, "*batch D"], agent_id: Float[Array, "*#batch N"]
) -> Float[Array, "*batch DN"]:
    """Features followed by the one-hot agent id."""
    shape = (*features.shape[:-1], agent_id.shape[-1])
    return jnp.concatenate([features, jnp.broadcast_to(agent_id, shape)], axis=-1)


def make_actor(spec: NetworkSpec, key: Key[Array, ""]) -> Actor:
    """Actor with new weights; the key is consumed."""
    if spec.is_user:
        return UserActor(make_user_network("actor", spec, key, recurrent=True))
    actor_class = MLPActor if spec.name == "mlp" else GRUActor
    return actor_class(spec.in_size, spec.hidden, spec.out_size, key=key)


def initial_actor_hidden(spec: NetworkSpec, batch: tuple[int, ...]) -> PyTree[Array]:
    """Hidden states of actors at the start of a batch of episodes."""
    if spec.is_user:
        structure = user_structure("actor", spec, recurrent=True)
        return broadcast_hidden(structure.initial_hidden, batch)
    return () if spec.name == "mlp" else jnp.zeros((*batch, spec.hidden))
