"""Layers: linear, multilayer perceptron (MLP), gated recurrent unit (GRU), layer norm.

In place of `equinox.nn`: inputs may be given in parts, leaves are arrays only, and
initial weights follow PyTorch's defaults, as in the published results.
"""

from itertools import accumulate, pairwise
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

LayerT = TypeVar("LayerT", bound=eqx.Module)
"""A layer whose leaves are matrices and biases."""


class Linear(eqx.Module):
    """Affine map x W + b, with initial entries from U(−1/√in, 1/√in)."""

    weight: Float[Array, "In Out"]
    bias: Float[Array, " Out"]

    def __init__(self, in_size: int, out_size: int, *, key: Key[Array, ""]):
        """Initializes the weights.

        Args:
            in_size: number of inputs.
            out_size: number of outputs.
            key: consumed.
        """
        weight_key, bias_key = jax.random.split(key)
        bound = in_size**-0.5
        self.weight = _uniform_init(weight_key, (in_size, out_size), bound)
        self.bias = _uniform_init(bias_key, (out_size,), bound)

    def __call__(
        self, *inputs: Float[Array, "*#batch _"]
    ) -> Float[Array, "*batch Out"]:
        """Output for x, given whole or in parts whose concatenation is x.

        Each part is multiplied by its own rows of W, and the products are broadcast
        against each other: a part that many inputs share is multiplied once.

        Args:
            *inputs: x, or its parts along the last axis.
        """
        *splits, _ = accumulate(part.shape[-1] for part in inputs)
        rows = jnp.split(self.weight, splits)
        return sum(map(jnp.matmul, inputs, rows), self.bias)


class LayerNorm(eqx.Module):
    """Normalization over the features: (x − mean) / √(variance + 10⁻⁵) · scale + bias.

    Source: Ba, Kiros & Hinton, "Layer Normalization" (2016).
    """

    scale: Float[Array, " Size"]
    bias: Float[Array, " Size"]

    def __init__(self, size: int):
        self.scale, self.bias = jnp.ones(size), jnp.zeros(size)

    def __call__(self, x: Float[Array, "*batch Size"]) -> Float[Array, "*batch Size"]:
        """Normalized features."""
        x = x - jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.mean(x**2, axis=-1, keepdims=True)
        return x * jax.lax.rsqrt(variance + 1e-5) * self.scale + self.bias


def orthogonal_init(
    layer: LayerT, gain: float | Float[Array, ""], key: Key[Array, ""]
) -> LayerT:
    """The layer with random (semi-)orthogonal matrices times `gain`, and zero biases.

    Source: Saxe, McClelland & Ganguli, "Exact solutions to the nonlinear dynamics of
        learning in deep linear neural networks", ICLR 2014.
    """
    init = jax.nn.initializers.orthogonal(gain)
    leaves, treedef = jax.tree.flatten(layer)
    keys = jax.random.split(key, len(leaves))
    new = [
        init(key, leaf.shape) if leaf.ndim == 2 else jnp.zeros_like(leaf)
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(treedef, new)


class MLP(eqx.Module):
    """Multilayer perceptron: linear layers with ReLU between them, none at the end."""

    layers: tuple[Linear, ...]

    def __init__(self, *sizes: int, key: Key[Array, ""]):
        """Initializes the layers.

        Args:
            *sizes: number of inputs, of units of each hidden layer, and of outputs.
            key: consumed.
        """
        keys = jax.random.split(key, len(sizes) - 1)
        self.layers = tuple(
            Linear(*pair, key=layer_key)
            for pair, layer_key in zip(pairwise(sizes), keys, strict=True)
        )

    def __call__(
        self, *inputs: Float[Array, "*#batch _"]
    ) -> Float[Array, "*batch Out"]:
        """Output for x, given whole or in parts, as for `Linear`."""
        first, *rest = self.layers
        x = first(*inputs)
        for layer in rest:
            x = layer(jax.nn.relu(x))
        return x


class GRU(eqx.Module):
    """Gated recurrent unit (Cho et al., 2014), in PyTorch's form.

    r = σ(W_r x + U_r h),  u = σ(W_u x + U_u h)
    n = tanh(W_n x + r ⊙ U_n h),  h' = (1 − u) ⊙ n + u ⊙ h    (biases included)
    """

    linear_ih: Linear
    """Input to the gates r, u and n."""
    linear_hh: Linear
    """Hidden state to the gates r, u and n."""

    def __init__(self, in_size: int, hidden_size: int, *, key: Key[Array, ""]):
        """Initializes the weights.

        Args:
            in_size: number of inputs.
            hidden_size: size of the hidden state.
            key: consumed.
        """
        input_key, hidden_key = jax.random.split(key)
        bound = hidden_size**-0.5

        def gates(key: Key[Array, ""], size_in: int) -> Linear:
            layer = Linear(size_in, 3 * hidden_size, key=key)
            # PyTorch's bound is 1/√hidden_size for both layers.
            return jax.tree.map(lambda p: p * (bound * size_in**0.5), layer)

        self.linear_ih = gates(input_key, in_size)
        self.linear_hh = gates(hidden_key, hidden_size)

    def __call__(
        self, x: Float[Array, "*batch In"], h: Float[Array, "*batch H"]
    ) -> Float[Array, "*batch H"]:
        """Next hidden state."""
        return _gru_cell(self.linear_ih(x), self.linear_hh(h), h)[0]

    def unroll(
        self, x: Float[Array, "T *batch In"], h: Float[Array, "*batch H"]
    ) -> Float[Array, "T *batch H"]:
        """Hidden states h_1 … h_T; all inputs are multiplied before the scan."""
        return _gru_unroll(
            self.linear_hh.weight, self.linear_hh.bias, self.linear_ih(x), h
        )


def _gru_cell(
    x_gates: Float[Array, "*batch G"],
    h_gates: Float[Array, "*batch G"],
    h: Float[Array, "*batch H"],
) -> tuple[Float[Array, "*batch H"], tuple[Array, Array, Array]]:
    x_r, x_u, x_n = jnp.split(x_gates, 3, axis=-1)
    h_r, h_u, h_n = jnp.split(h_gates, 3, axis=-1)
    r, u = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_u + h_u)
    n = jnp.tanh(x_n + r * h_n)
    return (1.0 - u) * n + u * h, (r, u, n)


@jax.custom_vjp
def _gru_unroll(
    weight: Float[Array, "H G"],
    bias: Float[Array, " G"],
    x_gates: Float[Array, "T *batch G"],
    h: Float[Array, "*batch H"],
) -> Float[Array, "T *batch H"]:
    return _gru_unroll_fwd(weight, bias, x_gates, h)[0]


def _gru_unroll_fwd(weight: Array, bias: Array, x_gates: Array, h: Array):
    def cell(h: Array, x_gates: Array):
        h_gates = h @ weight + bias
        h_next, (r, u, n) = _gru_cell(x_gates, h_gates, h)
        h_n = h_gates[..., -h.shape[-1] :]
        return h_next, (h_next, r, u, n, h_n)

    _, (hs, *gates) = jax.lax.scan(cell, h, x_gates)
    previous = jnp.concatenate([h[None], hs[:-1]])
    return hs, (weight, previous, *gates)


def _gru_unroll_bwd(residuals: tuple[Array, ...], d_hs: Array):
    """Backpropagation through time, with one matrix product for the weight's gradient.

    Automatic differentiation would add a rank-`batch` product to the weight's gradient
    at every step; here it is one product of T·batch rows after the scan.
    """
    weight, previous, r, u, n, h_n = residuals
    weight_t = weight.T

    def cell(dh: Array, step: tuple[Array, ...]):
        d_out, h, r, u, n, h_n = step
        dh = dh + d_out
        d_n = dh * (1.0 - u) * (1.0 - n * n)
        d_u = dh * (h - n) * u * (1.0 - u)
        d_r = d_n * h_n * r * (1.0 - r)
        d_h_gates = jnp.concatenate([d_r, d_u, d_n * r], axis=-1)
        return dh * u + d_h_gates @ weight_t, (d_h_gates, d_n)

    steps = (d_hs, previous, r, u, n, h_n)
    dh, (d_h_gates, d_n) = jax.lax.scan(
        cell, jnp.zeros_like(previous[0]), steps, reverse=True
    )
    size = weight.shape[0]
    d_x_gates = jnp.concatenate([d_h_gates[..., : 2 * size], d_n], axis=-1)
    rows = d_h_gates.reshape(-1, 3 * size)
    d_weight = previous.reshape(-1, size).T @ rows
    return d_weight, jnp.sum(rows, axis=0), d_x_gates, dh


_gru_unroll.defvjp(_gru_unroll_fwd, _gru_unroll_bwd)


def _uniform_init(
    key: Key[Array, ""], shape: tuple[int, ...], bound: float
) -> Float[Array, "..."]:
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)
