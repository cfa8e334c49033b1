"""The protocol of channels, and protocols of what is known of a channel.

`Channel` is what training needs. What is known of a channel beyond that is a protocol
of its own, asked for with `isinstance`: evaluations compare a link with it.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Array, Float, Key

from syntony.config import between


@runtime_checkable
class Channel(Protocol):
    """A channel law p(y | x) that can be sampled: a config, without state.

    A batch is B blocks of C channel uses, complex symbols as pairs of reals, with mean
    energy 1 per use. Blocks are independent: none interferes with another.
    """

    @property
    def id(self) -> str:
        """The id from which `channels.registry.parse_channel` makes this config."""
        ...

    @property
    def snr_db(self) -> float | None:
        """E_s / N_0 per channel use in dB, at unit signal power; None without noise."""
        ...

    @property
    def differentiable(self) -> bool:
        """Whether `jax.grad` through the channel is the derivative of y."""
        ...

    @property
    def is_black_box(self) -> bool:
        """Whether it is not JAX code, and can only be called outside of `jit`."""
        ...

    @property
    def has_unknown_gain(self) -> bool:
        """Whether each block has a random complex gain unknown to both sides."""
        ...

    def check(self) -> None:
        """Validates the parameters; also called on construction.

        Raises:
            InvalidInputError: a parameter is outside of its limits.
        """
        ...

    def with_snr(self, snr_db: Float[Array, ""] | float) -> "Channel":
        """The same channel at another SNR in dB; unchanged if it adds no noise."""
        ...

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        """A sample of y given x.

        Args:
            key: consumed.
            x: transmitted symbols, with mean energy 1 per use.
        """
        ...


@runtime_checkable
class InSeries(Channel, Protocol):
    """Channels in series, y = f_K(… f_2(f_1(x)))."""

    @property
    def parts(self) -> Sequence[Channel]:
        """f_1 … f_K."""
        ...


@runtime_checkable
class HasMLMetric(Channel, Protocol):
    """A channel whose maximum-likelihood (ML) detector is known."""

    def ml_metric(
        self, y: Float[Array, "B C 2"], codebook: Float[Array, "M C 2"]
    ) -> Float[Array, "B M"]:
        """Metric of all messages; that of the ML decision is the largest.

        Args:
            y: received symbols.
            codebook: codeword of each message.
        """
        ...


@runtime_checkable
class HasBLERBounds(Channel, Protocol):
    """A channel over which bounds of the block error rate (BLER) are known."""

    def bler_bounds(self, messages: int, uses: int) -> dict[str, float]:
        """Bounds and approximations by name, the tightest lower bound first.

        Args:
            messages: number of messages M of a code.
            uses: complex channel uses C of a codeword.
        """
        ...


SNR_LIMITS = between(-100.0, 300.0)
"""Limits of an SNR in dB; float32 holds noise power down to 1e-30."""
