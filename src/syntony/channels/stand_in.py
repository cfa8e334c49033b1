"""A channel in JAX with the shapes of a black box, which only estimates use."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.channel import AnyChannel, output_uses
from syntony.channels.identified import NoiselessChannel
from syntony.config import at_least, field, pytree_dataclass


@pytree_dataclass
class StandIn(NoiselessChannel):
    """Repeats or cuts a block to another length.

    Estimates of memory compile a training with it, as a black box cannot be compiled.
    """

    NAME = "stand-in"

    received_uses: int = field(static=True, limits=at_least(1))
    """Complex symbols of a received block."""
    has_unknown_gain: bool = field(False, static=True)

    def output_uses(self, uses: int) -> int:
        del uses
        return self.received_uses

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B D 2"]:
        del key
        return x[:, jnp.arange(self.received_uses) % x.shape[1]]


def stand_in(channel: AnyChannel, uses: int) -> StandIn:
    """Stand-in of a channel, for blocks of so many uses."""
    return StandIn(
        received_uses=output_uses(channel, uses),
        has_unknown_gain=channel.has_unknown_gain,
    )
