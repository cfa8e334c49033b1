"""Networks of a link: the transmitter, and receivers with and without equalization."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.equations.detection import correlation
from syntony.equations.signal import (
    complex_divide,
    complex_noise,
    gaussian_mixture_log_density,
    normalize_blocks,
)
from syntony.networks.layers import MLP, Linear, orthogonal_init
from syntony.networks.user_network import NetworkSpec, UserNetwork, make_user_network

TRANSMITTERS = ("mlp",)
"""Names of the built-in transmitters."""
MIN_CONFIDENCE = 1e-30
"""Factor of the logits of a block in a fade, at least: at 0 no decision is left."""


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
        codewords = self.out(self._features())
        return codewords.reshape(len(codewords), -1, 2)

    def with_codewords(
        self, codewords: Float[Array, "M C 2"], key: Key[Array, ""]
    ) -> "Transmitter":
        """The transmitter with these codewords, by another output layer.

        They are the nearest in the sense of least squares: exact where there are at
        least as many hidden units as messages. The embeddings become orthogonal: with
        as many messages as hidden units, random ones are nearly dependent, output
        weights would be in the thousands, and each step would destroy the code.

        Args:
            codewords: of all messages.
            key: consumed.
        """
        gain = jnp.sqrt(jnp.mean(jnp.sum(self.embed.weight**2, axis=1)))
        embed = orthogonal_init(self.embed, gain, key)
        features = jax.nn.elu(embed.weight)
        bias = jnp.mean(codewords, axis=0).reshape(-1)
        target = codewords.reshape(len(codewords), -1) - bias
        weight, *_ = jnp.linalg.lstsq(features, target)
        leaves = embed.weight, embed.bias, weight, bias
        return jax.tree.unflatten(jax.tree.structure(self), leaves)

    def _features(self) -> Float[Array, "M H"]:
        return jax.nn.elu(self.embed.weight + self.embed.bias)


class UserTransmitter(eqx.Module):
    """Transmitter of a user's own: a one-hot message to C complex symbols."""

    network: UserNetwork
    messages: int = eqx.field(static=True)

    def __call__(self) -> Float[Array, "M C 2"]:
        """Codewords of all messages, before normalization."""
        codewords, _ = self.network(jnp.eye(self.messages))
        return codewords.reshape(self.messages, -1, 2)


class ConstantTransmitter(eqx.Module):
    """Transmitter with a given codebook, which training does not change."""

    codebook: Float[Array, "M C 2"]

    def __call__(self) -> Float[Array, "M C 2"]:
        """Codewords of all messages."""
        return self.codebook


AnyTransmitter = Transmitter | UserTransmitter | ConstantTransmitter


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


class MixtureReceiver(eqx.Module):
    """Received block to one logit per message: symbols with impulsive noise.

        ln p(y | m) = Σ_d ln Σ_k π_k CN(y_d; c_md, v_k)

    The noise of each symbol has one of K powers, with learned centroids c_md, powers
    v_k and probabilities π_k. Over white noise, and over noise with impulses, it
    converges to the optimal receiver.
    """

    centroids: Float[Array, "M D 2"]
    """c_md."""
    log_var: Float[Array, " K"]
    """ln v_k."""
    component_logits: Float[Array, " K"]
    """ln π_k, before normalization."""

    def __init__(self, uses: int, messages: int, *, key: Key[Array, ""]):
        """Initializes random centroids, and two powers.

        Args:
            uses: D symbols per received block.
            messages: M.
            key: consumed.
        """
        self.centroids = complex_noise(key, (messages, uses), 1.0)
        self.log_var = jnp.log(jnp.array([0.05, 1.0]))
        self.component_logits = jnp.zeros_like(self.log_var)

    def __call__(self, y: Float[Array, "B D 2"]) -> Float[Array, "B M"]:
        """Log-likelihoods of all messages, for each block."""
        return self.log_likelihood(y[:, None], self.centroids)

    def log_likelihood(
        self, y: Float[Array, "*#batch D 2"], centroids: Float[Array, "*#batch D 2"]
    ) -> Float[Array, "*batch"]:
        """Log-likelihood ln p(y | m) of the messages with these centroids."""
        return gaussian_mixture_log_density(
            y, centroids, self.log_var, self.component_logits
        )


class QuadraticReceiver(eqx.Module):
    """Received block to one logit per message: Σ_k |w_mkᴴ y|² + r Re v_mᴴ y + r² b_m.

    r is the root mean square of the block, so that all logits grow with r²: the
    decision does not depend on the gain of a block, however deep it fades. They are the
    logits of the optimal receiver for codewords of equal energy where the received
    block of a message is complex Gaussian with a covariance of its own, K dimensions
    above white noise: Rayleigh fading (K = 1), K taps that fade. An unknown phase has
    the same decisions.
    """

    forms: Float[Array, "M K D 2"]
    """w_mk."""
    linear: Linear
    """v_m and b_m."""

    def __init__(self, uses: int, messages: int, rank: int, *, key: Key[Array, ""]):
        """Initializes random forms.

        Args:
            uses: D symbols per received block.
            messages: M.
            rank: K.
            key: consumed.
        """
        forms_key, linear_key = jax.random.split(key)
        self.forms = complex_noise(forms_key, (messages, rank, uses), 1.0 / uses)
        self.linear = Linear(2 * uses, messages, key=linear_key)

    def __call__(self, y: Float[Array, "B D 2"]) -> Float[Array, "B M"]:
        """Logits of all messages, for each block."""
        messages, rank, uses, _ = self.forms.shape
        # At r = 1, of which no square can underflow.
        unit, level = normalize_blocks(y)
        match = correlation(unit, self.forms.reshape(messages * rank, uses, 2))
        energy = jnp.sum(match**2, axis=-1).reshape(-1, messages, rank)
        logits = jnp.sum(energy, axis=-1) + self.linear(unit.reshape(len(y), -1))
        return jnp.maximum(level**2, MIN_CONFIDENCE)[:, None] * logits


class EqualizingReceiver(eqx.Module):
    """Receiver with a channel estimator ĥ = W tanh(V y), and a `Receiver` of y / ĥ.

    With `scale_invariant`, y is the received block divided by its root mean square r:
    the decision does not depend on the gain of a block, however deep it fades. The
    confidence does: logits are multiplied by r² / (r² + s²), with a learned s.

    Source: Aoudia & Hoydis (2018), the receiver for Rayleigh fading.
    """

    estimator_hidden: Linear
    estimator_out: Linear
    receiver: Receiver
    log_noise: Float[Array, ""] | None
    """ln s; None without `scale_invariant`."""

    def __init__(
        self,
        uses: int,
        hidden: int,
        messages: int,
        *,
        estimator_dim: int,
        scale_invariant: bool,
        key: Key[Array, ""],
    ):
        """Initializes the weights.

        Args:
            uses: D symbols per received block.
            hidden: units of the receiver's hidden layer.
            messages: M.
            estimator_dim: hidden units of the channel estimator.
            scale_invariant: whether blocks are divided by their root mean square.
            key: consumed.
        """
        hidden_key, out_key, receiver_key = jax.random.split(key, 3)
        self.estimator_hidden = Linear(2 * uses, estimator_dim, key=hidden_key)
        self.estimator_out = Linear(estimator_dim, 2, key=out_key)
        self.receiver = Receiver(uses, hidden, messages, key=receiver_key)
        self.log_noise = jnp.log(jnp.full((), 0.1)) if scale_invariant else None

    def __call__(self, y: Float[Array, "B D 2"]) -> Float[Array, "B M"]:
        """Logits of all messages, for each block."""
        if self.log_noise is None:
            return self._equalize(y)
        unit, level = normalize_blocks(y)
        # A level of zero has no logarithm.
        log_level = jnp.log(jnp.maximum(level, 1e-30))[:, None]
        confidence = jax.nn.sigmoid(2.0 * (log_level - self.log_noise))
        return jnp.maximum(confidence, MIN_CONFIDENCE) * self._equalize(unit)

    def estimate_channel(self, y: Float[Array, "B D 2"]) -> Float[Array, "B 2"]:
        """Channel estimate ĥ, one complex number per block."""
        features = jnp.tanh(self.estimator_hidden(y.reshape(len(y), -1)))
        return self.estimator_out(features)

    def _equalize(self, y: Float[Array, "B D 2"]) -> Float[Array, "B M"]:
        return self.receiver(complex_divide(y, self.estimate_channel(y)[:, None]))


class UserReceiver(eqx.Module):
    """Receiver of a user's own: C pairs of reals to one logit per message."""

    network: UserNetwork

    def __call__(self, y: Float[Array, "B C 2"]) -> Float[Array, "B M"]:
        """Logits of all messages, for each block."""
        return self.network(y.reshape(len(y), -1))[0]


def receiver_spec(name: str, messages: int, uses: int, hidden: int) -> NetworkSpec:
    """Name and sizes of a receiver: C pairs of reals to M logits."""
    return NetworkSpec(name, 2 * uses, messages, hidden)
