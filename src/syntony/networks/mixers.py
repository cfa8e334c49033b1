"""Mixers of value decomposition: the agents' Q-values to the team's Q_tot.

Every mixer is monotonic in each Q-value, so that the agents' own greedy actions
maximize Q_tot.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.networks.layers import MLP, Linear


class VDNMixer(eqx.Module):
    """Sum Q_tot = Σ_i Q_i, without parameters.

    Source: Sunehag et al., "Value-Decomposition Networks for Cooperative Multi-Agent
        Learning", AAMAS 2018.
    """

    def __call__(
        self, q_values: Float[Array, "*batch N"], state: Float[Array, "*batch S"]
    ) -> Float[Array, "*batch"]:
        """Q_tot of the agents' values; the state is ignored."""
        del state
        return jnp.sum(q_values, axis=-1)


class QMIXMixer(eqx.Module):
    """Mixing network Q_tot = |w₂(s)| · elu(|W₁(s)| Q + b₁(s)) + V(s), dQ_tot/dQ_i ≥ 0.

    Hypernetworks compute its weights from the state: of two layers for W₁, w₂ and V, of
    one for b₁.

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
        """Initializes the hypernetworks.

        Args:
            num_agents: number of Q-values.
            state_dim: number of features of the state.
            mixing_dim: hidden units of the mixer.
            hypernet_dim: hidden units of the hypernetworks for W₁ and w₂.
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
        """Q_tot of the agents' values in a state."""
        bias = self.hyper_b1(state)
        w1 = jnp.abs(self.hyper_w1(state)).reshape(*q_values.shape, bias.shape[-1])
        hidden = jax.nn.elu(jnp.vecmat(q_values, w1) + bias)
        w2 = jnp.abs(self.hyper_w2(state))
        return jnp.sum(hidden * w2, axis=-1) + self.hyper_v(state)[..., 0]


Mixer = VDNMixer | QMIXMixer
