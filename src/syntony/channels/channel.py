"""The protocols of channels, and protocols of what is known of a channel.

`Channel` and `ChannelWithMemory` are what training needs; `transmit` sends over both.
What is known of a channel beyond that is a protocol of its own, asked for with
`isinstance`: evaluations compare a link with it.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Array, Float, Key

from syntony.config import between
from syntony.pytrees import HiddenT, PyTree

ChannelState = PyTree[Array]
"""What a channel with memory remembers; () for all others."""


@runtime_checkable
class ChannelProperties(Protocol):
    """Properties of all channels: a config, without state.

    A batch is B blocks of C channel uses, complex symbols as pairs of reals, with mean
    energy 1 per use.
    """

    @property
    def id(self) -> str:
        """The id from which `channels.registry.parse_channel` makes this config."""
        ...

    @property
    def snr_db(self) -> Float[Array, ""] | float | None:
        """E_s / N_0 per channel use in dB, at unit signal power.

        None for a channel that has no noise, ∞ for one whose noise is turned off.
        """
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


@runtime_checkable
class Channel(ChannelProperties, Protocol):
    """A channel law p(y | x) that can be sampled.

    Blocks are independent: none interferes with another. A channel whose received
    blocks have another length than the transmitted ones is a `HasOutputUses`.
    """

    def with_snr(self, snr_db: Float[Array, ""] | float) -> "Channel":
        """The same channel at another SNR in dB.

        Unchanged if it adds no noise: `snr_db` is None or ∞.
        """
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
class ChannelWithMemory(ChannelProperties, Protocol[HiddenT]):
    """A channel in which a block depends on earlier ones: interference, drift, fading.

    Blocks of a batch are transmitted in their order, one after the other, and batches
    in the order in which they are sent. The state is part of the state of a run.
    """

    def with_snr(
        self, snr_db: Float[Array, ""] | float
    ) -> "ChannelWithMemory[HiddenT]":
        """The same channel at another SNR in dB; its state stays valid."""
        ...

    def init(self, key: Key[Array, ""]) -> HiddenT:
        """State before the first block; the key is consumed."""
        ...

    def __call__(
        self, key: Key[Array, ""], state: HiddenT, x: Float[Array, "B C 2"]
    ) -> tuple[HiddenT, Float[Array, "B D 2"]]:
        """State after the batch, and a sample of y given x.

        Args:
            key: consumed.
            state: what earlier blocks left.
            x: transmitted symbols, with mean energy 1 per use.
        """
        ...


AnyChannel = Channel | ChannelWithMemory
"""A channel with or without memory."""


@runtime_checkable
class HasOutputUses(ChannelProperties, Protocol):
    """A channel whose received blocks have another length than the transmitted ones.

    Examples are several receive antennas, oversampling, and a kept cyclic prefix.
    """

    def output_uses(self, uses: int) -> int:
        """Complex symbols D of a received block, given the uses C of a sent one."""
        ...


def init_channel(channel: AnyChannel, key: Key[Array, ""]) -> ChannelState:
    """State of a channel before the first block; () for one without memory."""
    return channel.init(key) if isinstance(channel, ChannelWithMemory) else ()


def transmit(
    channel: AnyChannel,
    key: Key[Array, ""],
    state: ChannelState,
    x: Float[Array, "B C 2"],
) -> tuple[ChannelState, Float[Array, "B D 2"]]:
    """State of a channel after a batch, and the received blocks.

    Args:
        channel: with or without memory.
        key: consumed.
        state: from `init_channel`, or the state after the batch before.
        x: transmitted symbols, with mean energy 1 per use.
    """
    if isinstance(channel, ChannelWithMemory):
        return channel(key, state, x)
    return state, channel(key, x)


def output_uses(channel: AnyChannel, uses: int) -> int:
    """Complex symbols D of a received block, given the uses C of a sent one."""
    return channel.output_uses(uses) if isinstance(channel, HasOutputUses) else uses


@runtime_checkable
class InSeries(ChannelProperties, Protocol):
    """Channels in series, y = f_K(… f_2(f_1(x)))."""

    @property
    def parts(self) -> Sequence[AnyChannel]:
        """f_1 … f_K."""
        ...


@runtime_checkable
class IsDeterministic(ChannelProperties, Protocol):
    """A channel that says whether y follows from x: an amplifier, a fixed filter."""

    @property
    def is_deterministic(self) -> bool:
        """Whether equal x have equal y, whatever the key is."""
        ...


@runtime_checkable
class HasExcessNoise(ChannelProperties, Protocol):
    """A channel whose SNR counts only a part of its noise, e.g. without impulses."""

    @property
    def excess_noise(self) -> Float[Array, ""] | float:
        """Mean noise power over that of the SNR."""
        ...


@runtime_checkable
class HasMLMetric(ChannelProperties, Protocol):
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
class HasBLERBounds(ChannelProperties, Protocol):
    """A channel over which bounds of the block error rate (BLER) are known."""

    def bler_bounds(self, messages: int, uses: int) -> dict[str, float]:
        """Bounds and approximations by name, the tightest lower bound first.

        Args:
            messages: number of messages M of a code.
            uses: complex channel uses C of a codeword.
        """
        ...


SNR_LIMITS = between(-100.0, 300.0, or_infinite=True)
"""Limits of an SNR in dB; float32 holds noise power down to 1e-30. ∞: no noise."""
