"""Recurrent network with layer norm, as actors and critics of Yu et al. (2022) are."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.networks.layers import GRU, LayerNorm, Linear, orthogonal_init
from syntony.networks.user_network import NetworkSpec

Activation = Callable[[Array], Array]

ACTIVATIONS: dict[str, tuple[Activation, float]] = {
    "layernorm_gru": (jax.nn.relu, 2**0.5),
    "layernorm_tanh_gru": (jnp.tanh, 5 / 3),
}
"""Name of a network to its activation, and the gain of the weights before that."""

LAYER_NORM_GRUS = tuple(ACTIVATIONS)
"""Names of the networks of this module."""


class LayerNormGRU(eqx.Module):
    """Two layers and a GRU, each with layer norm, and a linear layer.

    x → norm → 2 × (linear → activation → norm) → GRU → norm → linear

    The agent id is an input of the first linear layer, past the norm. Initial weights
    are orthogonal, biases zero.

    Source: Yu et al., "The Surprising Effectiveness of PPO in Cooperative Multi-Agent
        Games", NeurIPS 2022, in the form of their released code.
    """

    input_norm: LayerNorm
    layers: tuple[Linear, ...]
    norms: tuple[LayerNorm, ...]
    gru: GRU
    output_norm: LayerNorm
    out: Linear
    name: str = eqx.field(static=True)

    def __init__(self, spec: NetworkSpec, *, output_gain: float, key: Key[Array, ""]):
        """Initializes the weights.

        Args:
            spec: name and sizes; the inputs are the features and the agent id.
            output_gain: gain of the last layer.
            key: consumed.
        """
        keys = jax.random.split(key, 5)
        in_size, out_size, hidden = spec.in_size, spec.out_size, spec.hidden
        _, gain = ACTIVATIONS[spec.name]
        self.name = spec.name
        self.input_norm = LayerNorm(in_size - spec.id_size)
        self.layers = (
            orthogonal_linear(in_size, hidden, gain, keys[0]),
            orthogonal_linear(hidden, hidden, gain, keys[1]),
        )
        self.norms = (LayerNorm(hidden), LayerNorm(hidden))
        self.gru = orthogonal_init(GRU(hidden, hidden, key=keys[2]), 1.0, keys[3])
        self.output_norm = LayerNorm(hidden)
        self.out = orthogonal_linear(hidden, out_size, output_gain, keys[4])

    @property
    def hidden_size(self) -> int:
        """H, also of networks that are stacked along an agent axis."""
        return self.gru.linear_hh.weight.shape[-2]

    def __call__(
        self,
        features: Float[Array, "*#batch D"],
        agent_id: Float[Array, "*#batch N"],
        h: Float[Array, "*batch H"],
    ) -> tuple[Float[Array, "*batch A"], Float[Array, "*batch H"]]:
        """Outputs of one time step, and the next hidden state."""
        h = self.gru(self._embed(features, agent_id), h)
        return self.out(self.output_norm(h)), h

    def unroll(
        self,
        features: Float[Array, "T *#batch D"],
        agent_id: Float[Array, "*#batch N"],
        h: Float[Array, "*batch H"] | None = None,
    ) -> Float[Array, "T *batch A"]:
        """Outputs of consecutive steps; at an episode's start h is zero."""
        x = self._embed(features, agent_id)
        if h is None:
            h = jnp.zeros_like(x[0])
        return self.out(self.output_norm(self.gru.unroll(x, h)))

    def _embed(self, features: Array, agent_id: Array) -> Array:
        """Inputs of the GRU."""
        activation, _ = ACTIVATIONS[self.name]
        first, second = self.layers
        x = activation(first(self.input_norm(features), agent_id))
        return self.norms[1](activation(second(self.norms[0](x))))


def orthogonal_linear(
    in_size: int, out_size: int, gain: float, key: Key[Array, ""]
) -> Linear:
    """Linear layer with an orthogonal matrix and no bias; the key is consumed."""
    layer_key, init_key = jax.random.split(key)
    layer = Linear(in_size, out_size, key=layer_key)
    return orthogonal_init(layer, gain, init_key)
