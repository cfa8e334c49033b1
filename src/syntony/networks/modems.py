"""Networks of a link: a transmitter, and receivers with and without fading."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.equations.signal import complex_divide, complex_noise
from syntony.networks.layers import MLP, Linear


class Transmitter(eqx.Module):
    """Message to codeword: an embedding, ELU, and a linear map to C complex symbols."""

    embed: Linear
    out: Linear

    def __init__(self, messages: int, hidden: int, uses: int, *, key: Key[Array, ""]):
        embed_key, out_key = jax.random.split(key)
        self.embed = Linear(messages, hidden, key=embed_key)
        self.out = Linear(hidden, 2 * uses, key=out_key)

    def __call__(self) -> Float[Array, "M C 2"]:
        """Returns the codewords of all messages, before any normalisation.

        A one-hot vector times a matrix is a row of it: what all messages need is the
        matrix itself.
        """
        codewords = self.out(jax.nn.elu(self.embed.weight + self.embed.bias))
        return codewords.reshape(len(codewords), -1, 2)


class Receiver(eqx.Module):
    """Block to one logit a message: a hidden layer with rectifiers."""

    mlp: MLP

    def __init__(self, uses: int, hidden: int, messages: int, *, key: Key[Array, ""]):
        self.mlp = MLP(2 * uses, hidden, messages, key=key)

    def __call__(self, y: Float[Array, "B C 2"]) -> Float[Array, "B M"]:
        return self.mlp(y.reshape(len(y), -1))


class GaussianReceiver(eqx.Module):
    """Block to one logit a message by Bayes' rule: −‖y − c_m‖² / v.

    It models what it hears of message m as CN(c_m, v I), around a centre that it learns
    (`signal.gaussian_surprise`), not the borders between messages: every block says
    where its centre is, and only blocks that are all but mistaken say where a border
    is. Over white noise it becomes the exact receiver.
    """

    centroids: Float[Array, "M C 2"]
    log_var: Float[Array, ""]

    def __init__(self, uses: int, messages: int, *, key: Key[Array, ""]):
        self.centroids = complex_noise(key, (messages, uses), 1.0)
        self.log_var = jnp.zeros(())

    def __call__(self, y: Float[Array, "B C 2"]) -> Float[Array, "B M"]:
        y, centre = (
            y.reshape(len(y), -1),
            self.centroids.reshape(len(self.centroids), -1),
        )
        # But for ‖y‖², which all messages share.
        near = 2.0 * y @ centre.T - jnp.sum(centre * centre, axis=-1)
        return near * jnp.exp(-self.log_var)


class EqualizingReceiver(eqx.Module):
    """A receiver that first estimates a block's fading, and divides by it.

    ĥ = W tanh(V y),  then a `Receiver` of y / ĥ
    """

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
        features_key, gain_key, receiver_key = jax.random.split(key, 3)
        self.estimator_hidden = Linear(2 * uses, estimator_dim, key=features_key)
        self.estimator_out = Linear(estimator_dim, 2, key=gain_key)
        self.receiver = Receiver(uses, hidden, messages, key=receiver_key)

    def __call__(self, y: Float[Array, "B C 2"]) -> Float[Array, "B M"]:
        return self.receiver(complex_divide(y, self.estimate_channel(y)[:, None]))

    def estimate_channel(self, y: Float[Array, "B C 2"]) -> Float[Array, "B 2"]:
        """Returns ĥ, one complex number a block."""
        features = jnp.tanh(self.estimator_hidden(y.reshape(len(y), -1)))
        return self.estimator_out(features)
