"""Mixers: what each agent's action is worth, to what all of them are worth together.

Every mixer grows with each of its values: when each agent takes its own best action,
the team takes its best.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.networks.layers import MLP, Linear


class VDNMixer(eqx.Module):
    """Q_tot = Σ_i Q_i: value decomposition; it has nothing to learn.

    Source: Sunehag et al., "Value-Decomposition Networks for Cooperative Multi-Agent
        Learning", AAMAS 2018.
    """

    def __call__(
        self, q_values: Float[Array, "*batch N"], state: Float[Array, "*batch S"]
    ) -> Float[Array, "*batch"]:
        del state
        return jnp.sum(q_values, axis=-1)


class QMIXMixer(eqx.Module):
    """Q_tot = |w₂(s)| · elu(|W₁(s)| Q + b₁(s)) + V(s), with dQ_tot / dQ_i ≥ 0.

    The weights are what hypernetworks make of the state: of two layers for W₁, w₂ and
    V, of one for b₁.

    Source: Rashid et al., "QMIX: Monotonic Value Function Factorisation for Deep
        Multi-Agent Reinforcement Learning", ICML 2018.
    """

    hyper_w1: MLP
    hyper_b1: Linear
    hyper_w2: MLP
    hyper_v: MLP

    def __init__(
        self,
        num_agents: int,
        state_dim: int,
        mixing_dim: int,
        hypernet_dim: int,
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
        self.hyper_w1 = MLP(
            state_dim, hypernet_dim, num_agents * mixing_dim, key=keys[0]
        )
        self.hyper_b1 = Linear(state_dim, mixing_dim, key=keys[1])
        self.hyper_w2 = MLP(state_dim, hypernet_dim, mixing_dim, key=keys[2])
        self.hyper_v = MLP(state_dim, mixing_dim, 1, key=keys[3])

    def __call__(
        self, q_values: Float[Array, "*batch N"], state: Float[Array, "*batch S"]
    ) -> Float[Array, "*batch"]:
        """Returns Q_tot of the agents' values in a state."""
        bias = self.hyper_b1(state)
        first = jnp.abs(self.hyper_w1(state)).reshape(*q_values.shape, bias.shape[-1])
        hidden = jax.nn.elu(jnp.einsum("...n,...nw->...w", q_values, first) + bias)
        second = jnp.abs(self.hyper_w2(state))
        return jnp.sum(hidden * second, axis=-1) + self.hyper_v(state)[..., 0]


Mixer = VDNMixer | QMIXMixer
