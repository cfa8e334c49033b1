"""Networks of a link: the transmitter, and receivers with and without equalization."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.equations.signal import complex_divide, complex_noise
from syntony.networks.layers import MLP, Linear
from syntony.networks.user_network import NetworkSpec, UserNetwork, make_user_network

TRANSMITTERS = ("mlp",)
"""Names of the built-in transmitters."""


class Transmitter(eqx.Module):
    """Message to codeword: an embedding, ELU, and a linear map to C complex symbols."""

    embed: Linear
    out: Linear

    def __init__(self, messages: int, hidden: int, uses: int, *, key: Key[Array, ""]):
        """Initializes the weights.

        Args:
            messages: M.
            hidden: size of the embedding.
            uses: C channel uses per codeword.
            key: consumed.
        """
        embed_key, out_key = jax.random.split(key)
        self.embed = Linear(messages, hidden, key=embed_key)
        self.out = Linear(hidden, 2 * uses, key=out_key)

    def __call__(self) -> Float[Array, "M C 2"]:
        """Codewords of all messages, before normalization.

        The embedding of all one-hot messages is the weight matrix itself.
        """
        codewords = self.out(jax.nn.elu(self.embed.weight + self.embed.bias))
        return codewords.reshape(len(codewords), -1, 2)


class UserTransmitter(eqx.Module):
    """Transmitter of a user's own: a one-hot message to C complex symbols."""

    network: UserNetwork
    messages: int = eqx.field(static=True)

    def __call__(self) -> Float[Array, "M C 2"]:
        """Codewords of all messages, before normalization."""
        codewords, _ = self.network(jnp.eye(self.messages))
        return codewords.reshape(self.messages, -1, 2)


AnyTransmitter = Transmitter | UserTransmitter


def transmitter_spec(name: str, messages: int, uses: int, hidden: int) -> NetworkSpec:
    """Name and sizes of a transmitter: one-hot message to C pairs of reals."""
    return NetworkSpec(name, messages, 2 * uses, hidden)


def make_transmitter(
    spec: NetworkSpec, messages: int, uses: int, key: Key[Array, ""]
) -> AnyTransmitter:
    """Transmitter with new weights; the key is consumed."""
    if spec.is_user:
        return UserTransmitter(make_user_network("transmitter", spec, key), messages)
    return Transmitter(messages, spec.hidden, uses, key=key)


class Receiver(eqx.Module):
    """Received block to one logit per message: an MLP with one hidden layer."""

    mlp: MLP

    def __init__(self, uses: int, hidden: int, messages: int, *, key: Key[Array, ""]):
        """Initializes the weights.

        Args:
            uses: C symbols per received block.
            hidden: units of the hidden layer.
            messages: M.
            key: consumed.
        """
        self.mlp = MLP(2 * uses, hidden, messages, key=key)

    def __call__(self, y: Float[Array, "B C 2"]) -> Float[Array, "B M"]:
        """Logits of all messages, for each block."""
        return self.mlp(y.reshape(len(y), -1))


class GaussianReceiver(eqx.Module):
    """Received block to one logit per message by Bayes' rule: −‖y − c_m‖² / v.

    It models the received block of message m as CN(c_m, v I), with learned centroids
    c_m and variance v (`signal.gaussian_nll`). A generative model learns from every
    block; a discriminative one mostly from blocks near the decision boundaries. Over
    white noise it converges to the optimal receiver.
    """

    centroids: Float[Array, "M C 2"]
    """c_m."""
    log_var: Float[Array, ""]
    """ln v."""

    def __init__(self, uses: int, messages: int, *, key: Key[Array, ""]):
        """Initializes random centroids and v = 1.

        Args:
            uses: C symbols per received block.
            messages: M.
            key: consumed.
        """
        self.centroids = complex_noise(key, (messages, uses), 1.0)
        self.log_var = jnp.zeros(())

    def __call__(self, y: Float[Array, "B C 2"]) -> Float[Array, "B M"]:
        """Logits of all messages, for each block."""
        blocks = y.reshape(len(y), -1)
        centroids = self.centroids.reshape(len(self.centroids), -1)
        # Without ‖y‖², which all messages share.
        metric = 2.0 * blocks @ centroids.T - jnp.sum(centroids * centroids, axis=-1)
        return metric * jnp.exp(-self.log_var)


class EqualizingReceiver(eqx.Module):
    """Receiver with a channel estimator ĥ = W tanh(V y), and a `Receiver` of y / ĥ."""

    estimator_hidden: Linear
    estimator_out: Linear
    receiver: Receiver

    def __init__(
        self,
        uses: int,
        hidden: int,
        messages: int,
        *,
        estimator_dim: int,
        key: Key[Array, ""],
    ):
        """Initializes the weights.

        Args:
            uses: C symbols per received block.
            hidden: units of the receiver's hidden layer.
            messages: M.
            estimator_dim: hidden units of the channel estimator.
            key: consumed.
        """
        hidden_key, out_key, receiver_key = jax.random.split(key, 3)
        self.estimator_hidden = Linear(2 * uses, estimator_dim, key=hidden_key)
        self.estimator_out = Linear(estimator_dim, 2, key=out_key)
        self.receiver = Receiver(uses, hidden, messages, key=receiver_key)

    def __call__(self, y: Float[Array, "B C 2"]) -> Float[Array, "B M"]:
        """Logits of all messages, for each block."""
        return self.receiver(complex_divide(y, self.estimate_channel(y)[:, None]))

    def estimate_channel(self, y: Float[Array, "B C 2"]) -> Float[Array, "B 2"]:
        """Channel estimate ĥ, one complex number per block."""
        features = jnp.tanh(self.estimator_hidden(y.reshape(len(y), -1)))
        return self.estimator_out(features)


class UserReceiver(eqx.Module):
    """Receiver of a user's own: C pairs of reals to one logit per message."""

    network: UserNetwork

    def __call__(self, y: Float[Array, "B C 2"]) -> Float[Array, "B M"]:
        """Logits of all messages, for each block."""
        return self.network(y.reshape(len(y), -1))[0]


def receiver_spec(name: str, messages: int, uses: int, hidden: int) -> NetworkSpec:
    """Name and sizes of a receiver: C pairs of reals to M logits."""
    return NetworkSpec(name, 2 * uses, messages, hidden)
