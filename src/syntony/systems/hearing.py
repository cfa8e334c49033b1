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
from syntony.networks.modems import FadingReceiver, GaussianReceiver, Receiver

AnyReceiver = Receiver | GaussianReceiver | FadingReceiver
Sums = TypeVar("Sums")
Slope = tuple[Float[Array, ""], AnyReceiver]

ROWS = 1000
"""Rows of a part, at most: half of this to twice are as fast, 10,000 a fifth slower."""


@jax.jit
def surprise(
    receiver: AnyReceiver,
    y: Float[Array, "B C 2"],
    message: Int[Array, " B"],
    temperature: Float[Array, ""] | float = 1.0,
) -> Float[Array, " B"]:
    """Returns −ln f_R(y)_m, the receiver's loss of each block, tempered."""

    def loss(y: Float[Array, "B C 2"], message: Int[Array, " B"]) -> Array:
        return signal.cross_entropy(receiver(y) / temperature, message)

    return _for_each_part(loss, y, message)


@jax.jit
def receiver_descent(
    receiver: AnyReceiver, y: Float[Array, "B C 2"], message: Int[Array, " B"]
) -> tuple[Float[Array, ""], AnyReceiver]:
    """Returns the mean of −ln p(m | y), and the gradient of what the receiver descends.

    That is the same; but of a Gaussian receiver −ln p(y | m).
    """
    count = parts(len(message))

    def means(
        receiver: AnyReceiver, y: Array, message: Array
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        loss = jnp.mean(signal.cross_entropy(receiver(y), message))
        if not isinstance(receiver, GaussianReceiver):
            return loss, loss
        centre, variance = receiver.centre[message], jnp.exp(receiver.log_variance)
        return jnp.mean(signal.gaussian_surprise(y, centre, variance)), loss

    def more(sums: Slope, part: tuple[Array, Array]) -> tuple[Slope, None]:
        grad, loss = jax.grad(means, has_aux=True)(receiver, *part)
        return add(sums, (loss, grad)), None

    nothing = jnp.zeros(()), jax.tree.map(jnp.zeros_like, receiver)
    sums, _ = jax.lax.scan(more, nothing, _split(count, (y, message)))
    return divide(sums, count)


@jax.jit
def mistaken(
    receiver: AnyReceiver, y: Float[Array, "B C 2"], message: Int[Array, " B"]
) -> Bool[Array, " B"]:
    """Returns which blocks are decided wrongly."""

    def wrong(y: Float[Array, "B C 2"], message: Int[Array, " B"]) -> Array:
        return jnp.argmax(receiver(y), axis=-1) != message

    return _for_each_part(wrong, y, message)


def parts(rows: int) -> int:
    """Returns into how many equal parts rows are split: as few as `ROWS` allows.

    One, where they can only be split into parts that are much smaller.
    """
    least = -(-rows // ROWS)
    found = (n for n in range(least, 4 * least) if rows % n == 0)
    return next(found, 1)


def add(a: Sums, b: Sums) -> Sums:
    """Returns the sums of all leaves."""
    return jax.tree.map(jnp.add, a, b)


def divide(sums: Sums, count: Int[Array, ""] | int) -> Sums:
    """Returns the means of all leaves."""
    return jax.tree.map(lambda total: total / count, sums)


def _for_each_part(
    f: Callable[..., Array], *rows: Shaped[Array, "B ..."]
) -> Shaped[Array, " B"]:
    split = _split(parts(len(rows[0])), rows)
    return jax.lax.map(lambda part: f(*part), split).reshape(-1)


def _split(count: int, rows: PyTree[Array]) -> PyTree[Array]:
    return jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), rows)
