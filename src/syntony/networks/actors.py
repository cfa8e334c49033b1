"""Actors: networks from an agent's features to logits of its actions, or Q-values."""

from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.networks.layer_norm_gru import LAYER_NORM_GRUS, LayerNormGRU
from syntony.networks.layers import GRU, MLP, Linear
from syntony.networks.user_network import (
    NetworkSpec,
    UserNetwork,
    broadcast_hidden,
    make_user_network,
    user_structure,
)
from syntony.pytrees import HiddenT, PyTree

ACTORS = ("gru", "mlp", *LAYER_NORM_GRUS)
"""Names of the built-in actors."""
ACTOR_OUTPUT_GAIN = 0.01
"""Gain of a layer-norm actor's last layer: its first policy is close to uniform."""


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
        self,
        features: Float[Array, "T *batch D"],
        agent_id: Float[Array, "*#batch N"],
        h: HiddenT | None = None,
    ) -> Float[Array, "T *batch A"]:
        """Outputs of consecutive steps.

        Args:
            features: inputs of each step.
            agent_id: one-hot agent ids.
            h: hidden state before the first step; None: that of an episode's start.
        """
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
        self,
        features: Float[Array, "T *batch D"],
        agent_id: Float[Array, "*#batch N"],
        h: Float[Array, "*batch H"] | None = None,
    ) -> Float[Array, "T *batch A"]:
        """Outputs of consecutive steps; at an episode's start h is zero."""
        x = jax.nn.relu(self.embed(features, agent_id))
        if h is None:
            h = jnp.zeros((*x.shape[1:-1], self.gru.linear_hh.weight.shape[0]))
        return self.out(self.gru.unroll(x, h))


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
        self,
        features: Float[Array, "T *batch D"],
        agent_id: Float[Array, "*#batch N"],
        h: tuple[()] | None = None,
    ) -> Float[Array, "T *batch A"]:
        """Outputs of consecutive steps."""
        del h
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
        self,
        features: Float[Array, "T *batch D"],
        agent_id: Float[Array, "*#batch N"],
        h: PyTree[Array] | None = None,
    ) -> Float[Array, "T *batch A"]:
        """Outputs of consecutive steps, one by one."""
        x = append_agent_id(features, agent_id)
        if not self.network.structure.is_recurrent:
            return self.network(x)[0]

        def step(h: PyTree[Array], x: Array) -> tuple[PyTree[Array], Array]:
            out, h = self.network(x, h)
            return h, out

        start = self.network.initial_hidden(x.shape[1:-1]) if h is None else h
        return jax.lax.scan(step, start, x)[1]


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
    if spec.name in LAYER_NORM_GRUS:
        return LayerNormGRU(spec, output_gain=ACTOR_OUTPUT_GAIN, key=key)
    actor_class = MLPActor if spec.name == "mlp" else GRUActor
    return actor_class(spec.in_size, spec.hidden, spec.out_size, key=key)


def initial_actor_hidden(spec: NetworkSpec, batch: tuple[int, ...]) -> PyTree[Array]:
    """Hidden states of actors at the start of a batch of episodes."""
    if spec.is_user:
        structure = user_structure("actor", spec, recurrent=True)
        return broadcast_hidden(structure.initial_hidden, batch)
    return () if spec.name == "mlp" else jnp.zeros((*batch, spec.hidden))
