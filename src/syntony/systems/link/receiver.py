"""Receivers: construction, losses and their gradients, decisions.

Batches are processed in chunks of rows: the activations of a chunk stay in the cache,
those of a large batch would be written to memory and read again.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from syntony.equations import signal
from syntony.networks.modems import (
    EqualizingReceiver,
    GaussianReceiver,
    MixtureReceiver,
    QuadraticReceiver,
    Receiver,
    UserReceiver,
    receiver_spec,
)
from syntony.networks.user_network import make_user_network
from syntony.plugins import PREFIX

AnyReceiver = (
    Receiver
    | GaussianReceiver
    | MixtureReceiver
    | QuadraticReceiver
    | EqualizingReceiver
    | UserReceiver
)
RECEIVERS = (
    "mlp",
    "gaussian",
    "mixture",
    "quadratic",
    "equalizing",
)
"""Names of the built-in receivers."""
RowsT = TypeVar("RowsT", bound=tuple[Array, ...])
LossAndGrad = tuple[Float[Array, ""], AnyReceiver]

MAX_RANK = 3
"""Dimensions K of a quadratic receiver's quadratic forms, at most."""
MAX_CHUNK_ROWS = 1000
"""Rows of a chunk, at most: 500 to 2,000 are equally fast, 10,000 are 20 % slower."""


def make_receiver(
    name: str,
    uses: int,
    hidden: int,
    messages: int,
    *,
    estimator_dim: int,
    scale_invariant: bool,
    key: Key[Array, ""],
) -> AnyReceiver:
    """Receiver with new weights.

    Args:
        name: one of `RECEIVERS`, or `python:MODULE:FUNCTION`.
        uses: D symbols per received block.
        hidden: units of the hidden layer, for all but the Gaussian receiver.
        messages: M.
        estimator_dim: hidden units of the equalizing receiver's channel estimator.
        scale_invariant: whether that receiver divides blocks by their root mean square.
        key: consumed.
    """
    if name.startswith(PREFIX):
        spec = receiver_spec(name, messages, uses, hidden)
        return UserReceiver(make_user_network("receiver", spec, key))
    if name == "equalizing":
        return EqualizingReceiver(
            uses,
            hidden,
            messages,
            estimator_dim=estimator_dim,
            scale_invariant=scale_invariant,
            key=key,
        )
    if name == "mixture":
        return MixtureReceiver(uses, messages, key=key)
    if name == "quadratic":
        return QuadraticReceiver(uses, messages, min(uses, MAX_RANK), key=key)
    if name == "gaussian":
        return GaussianReceiver(uses, messages, key=key)
    return Receiver(uses, hidden, messages, key=key)


@jax.jit
def receiver_loss_and_grad(
    receiver: AnyReceiver, y: Float[Array, "B C 2"], message: Int[Array, " B"]
) -> LossAndGrad:
    """Mean cross-entropy −ln p(m | y) in nats, and the gradient of the training loss.

    The training loss is the cross-entropy as well, unless `TRAINING_LOSSES` has another
    one for the receiver's type.
    """
    count = num_chunks(len(message))
    training_loss = TRAINING_LOSSES.get(type(receiver), cross_entropy_loss)

    def add_chunk(
        sums: LossAndGrad, chunk: tuple[Array, Array]
    ) -> tuple[LossAndGrad, None]:
        grad, loss = jax.grad(training_loss, has_aux=True)(receiver, *chunk)
        return optax.tree.add(sums, (loss, grad)), None

    zeros = jnp.zeros(()), jax.tree.map(jnp.zeros_like, receiver)
    sums, _ = jax.lax.scan(add_chunk, zeros, _split_chunks(count, (y, message)))
    return jax.tree.map(lambda total: total / count, sums)


def cross_entropy_loss(
    receiver: AnyReceiver, y: Float[Array, "B C 2"], message: Int[Array, " B"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Training loss and cross-entropy of a discriminative receiver: −ln p(m | y)."""
    loss = jnp.mean(signal.cross_entropy(receiver(y), message))
    return loss, loss


def gaussian_nll_loss(
    receiver: GaussianReceiver, y: Float[Array, "B C 2"], message: Int[Array, " B"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Training loss −ln p(y | m) of a generative receiver, and its cross-entropy."""
    mean, variance = receiver.centroids[message], jnp.exp(receiver.log_var)
    training_loss = jnp.mean(signal.gaussian_nll(y, mean, variance))
    return training_loss, jnp.mean(signal.cross_entropy(receiver(y), message))


def mixture_nll_loss(
    receiver: MixtureReceiver, y: Float[Array, "B D 2"], message: Int[Array, " B"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Training loss of a mixture receiver, −ln p(y | m), and its cross-entropy."""
    training_loss = -jnp.mean(receiver.log_likelihood(y, receiver.centroids[message]))
    return training_loss, jnp.mean(signal.cross_entropy(receiver(y), message))


TrainingLoss = Callable[..., tuple[Float[Array, ""], Float[Array, ""]]]

TRAINING_LOSSES: dict[type, TrainingLoss] = {
    GaussianReceiver: gaussian_nll_loss,
    MixtureReceiver: mixture_nll_loss,
}
"""Training losses by type of receiver, where they are not the cross-entropy."""


@jax.jit
def block_nll(
    receiver: AnyReceiver,
    y: Float[Array, "B C 2"],
    message: Int[Array, " B"],
    temperature: Float[Array, ""] | float = 1.0,
) -> Float[Array, " B"]:
    """Negative log-likelihood −ln f_R(y)_m of each block, in nats.

    Args:
        receiver: f_R, gives the logits.
        y: received blocks.
        message: m of each block.
        temperature: τ > 0, by which the logits are divided.
    """

    def nll(y: Float[Array, "B C 2"], message: Int[Array, " B"]) -> Array:
        return signal.cross_entropy(receiver(y) / temperature, message)

    return _map_chunks(nll, y, message)


@jax.jit
def block_errors(
    receiver: AnyReceiver, y: Float[Array, "B C 2"], message: Int[Array, " B"]
) -> Bool[Array, " B"]:
    """Blocks whose most likely message is not the transmitted one."""

    def is_error(y: Float[Array, "B C 2"], message: Int[Array, " B"]) -> Array:
        return jnp.argmax(receiver(y), axis=-1) != message

    return _map_chunks(is_error, y, message)


def num_chunks(rows: int) -> int:
    """Number of equal chunks, the smallest that `MAX_CHUNK_ROWS` allows.

    One, where the rows could only be split into much smaller chunks.
    """
    least = -(-rows // MAX_CHUNK_ROWS)
    divisors = (n for n in range(least, 4 * least) if rows % n == 0)
    return next(divisors, 1)


def _map_chunks(
    f: Callable[..., Array], *rows: Shaped[Array, "B ..."]
) -> Shaped[Array, " B"]:
    chunks = _split_chunks(num_chunks(len(rows[0])), rows)
    return jax.lax.map(lambda chunk: f(*chunk), chunks).reshape(-1)


def _split_chunks(count: int, rows: RowsT) -> RowsT:
    return jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), rows)
