"""What a receiver makes of the blocks it hears: losses, their gradient, decisions.

Rows go through it a part at a time: what a large batch would write to memory and read
again then stays in a cache.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree, Shaped

from syntony.equations import signal
from syntony.networks.modems import EqualizingReceiver, GaussianReceiver, Receiver

AnyReceiver = Receiver | GaussianReceiver | EqualizingReceiver
Tree = TypeVar("Tree")
LossAndGrad = tuple[Float[Array, ""], AnyReceiver]

MAX_CHUNK_ROWS = 1000
"""Rows of a part, at most: half of this to twice are as fast, 10,000 a fifth slower."""


@jax.jit
def block_nll(
    receiver: AnyReceiver,
    y: Float[Array, "B C 2"],
    message: Int[Array, " B"],
    temperature: Float[Array, ""] | float = 1.0,
) -> Float[Array, " B"]:
    """Returns −ln f_R(y)_m, the receiver's loss of each block, tempered."""

    def loss(y: Float[Array, "B C 2"], message: Int[Array, " B"]) -> Array:
        return signal.cross_entropy(receiver(y) / temperature, message)

    return _map_chunks(loss, y, message)


@jax.jit
def receiver_loss_and_grad(
    receiver: AnyReceiver, y: Float[Array, "B C 2"], message: Int[Array, " B"]
) -> tuple[Float[Array, ""], AnyReceiver]:
    """Returns the mean of −ln p(m | y), and the gradient of what the receiver descends.

    That is the same; but of a Gaussian receiver −ln p(y | m).
    """
    count = num_chunks(len(message))

    def means(
        receiver: AnyReceiver, y: Array, message: Array
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        loss = jnp.mean(signal.cross_entropy(receiver(y), message))
        if not isinstance(receiver, GaussianReceiver):
            return loss, loss
        centre, variance = receiver.centroids[message], jnp.exp(receiver.log_var)
        return jnp.mean(signal.gaussian_nll(y, centre, variance)), loss

    def more(sums: LossAndGrad, part: tuple[Array, Array]) -> tuple[LossAndGrad, None]:
        grad, loss = jax.grad(means, has_aux=True)(receiver, *part)
        return tree_add(sums, (loss, grad)), None

    nothing = jnp.zeros(()), jax.tree.map(jnp.zeros_like, receiver)
    sums, _ = jax.lax.scan(more, nothing, _split_chunks(count, (y, message)))
    return tree_div(sums, count)


@jax.jit
def block_errors(
    receiver: AnyReceiver, y: Float[Array, "B C 2"], message: Int[Array, " B"]
) -> Bool[Array, " B"]:
    """Returns which blocks are decided wrongly."""

    def wrong(y: Float[Array, "B C 2"], message: Int[Array, " B"]) -> Array:
        return jnp.argmax(receiver(y), axis=-1) != message

    return _map_chunks(wrong, y, message)


def num_chunks(rows: int) -> int:
    """Returns into how many equal parts rows are split: as few as `ROWS` allows.

    One, where they can only be split into parts that are much smaller.
    """
    least = -(-rows // MAX_CHUNK_ROWS)
    found = (n for n in range(least, 4 * least) if rows % n == 0)
    return next(found, 1)


def tree_add(a: Tree, b: Tree) -> Tree:
    """Returns the sums of all leaves."""
    return jax.tree.map(jnp.add, a, b)


def tree_div(sums: Tree, count: Int[Array, ""] | int) -> Tree:
    """Returns the means of all leaves."""
    return jax.tree.map(lambda total: total / count, sums)


def _map_chunks(
    f: Callable[..., Array], *rows: Shaped[Array, "B ..."]
) -> Shaped[Array, " B"]:
    split = _split_chunks(num_chunks(len(rows[0])), rows)
    return jax.lax.map(lambda part: f(*part), split).reshape(-1)


def _split_chunks(count: int, rows: PyTree[Array]) -> PyTree[Array]:
    return jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), rows)
