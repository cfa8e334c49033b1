"""Mixers: what each agent's action is worth, to what all of them are worth together.

Every mixer grows with each of its values: when each agent takes its own best action,
the team takes its best.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.networks.layers import Linear, Mlp


class Additive(eqx.Module):
    """Q_tot = Σ_i Q_i: value decomposition; it has nothing to learn.

    Source: Sunehag et al., "Value-Decomposition Networks for Cooperative Multi-Agent
        Learning", AAMAS 2018.
    """

    def __call__(
        self, values: Float[Array, "*batch N"], state: Float[Array, "*batch S"]
    ) -> Float[Array, "*batch"]:
        del state
        return jnp.sum(values, axis=-1)


class Monotonic(eqx.Module):
    """Q_tot = |w₂(s)| · elu(|W₁(s)| Q + b₁(s)) + V(s), with dQ_tot / dQ_i ≥ 0.

    The weights are what hypernetworks make of the state: of two layers for W₁, w₂ and
    V, of one for b₁.

    Source: Rashid et al., "QMIX: Monotonic Value Function Factorisation for Deep
        Multi-Agent Reinforcement Learning", ICML 2018.
    """

    first: Mlp
    first_bias: Linear
    second: Mlp
    value: Mlp

    def __init__(
        self,
        agents: int,
        state_size: int,
        width: int,
        hyper_width: int,
        *,
        key: Key[Array, ""],
    ):
        """Draws new hypernetworks.

        Args:
            width: hidden units of the mixer.
            hyper_width: hidden units of the hypernetworks.
            key: consumed.
        """
        keys = jax.random.split(key, 4)
        self.first = Mlp(state_size, hyper_width, agents * width, key=keys[0])
        self.first_bias = Linear(state_size, width, key=keys[1])
        self.second = Mlp(state_size, hyper_width, width, key=keys[2])
        self.value = Mlp(state_size, width, 1, key=keys[3])

    def __call__(
        self, values: Float[Array, "*batch N"], state: Float[Array, "*batch S"]
    ) -> Float[Array, "*batch"]:
        """Returns Q_tot of the agents' values in a state."""
        bias = self.first_bias(state)
        first = jnp.abs(self.first(state)).reshape(*values.shape, bias.shape[-1])
        hidden = jax.nn.elu(jnp.einsum("...n,...nw->...w", values, first) + bias)
        second = jnp.abs(self.second(state))
        return jnp.sum(hidden * second, axis=-1) + self.value(state)[..., 0]


Mixer = Additive | Monotonic
