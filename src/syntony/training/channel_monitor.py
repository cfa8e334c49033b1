"""Warnings of what a training shows about a black-box channel, once each."""

import statistics
import warnings
from collections import deque
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from syntony.channels.channel import (
    AnyChannel,
    ChannelState,
    ChannelWithMemory,
    init_channel,
    output_uses,
    transmit,
)
from syntony.systems.system import HasChannel, System

POWER_RATIO = 1e3
"""Ratio of a batch's mean power to the median from which it is told."""
MIN_BATCHES, MAX_BATCHES = 4, 31
"""Batches of which there is a median, and of which it is taken at most."""
MonitoredT = TypeVar("MonitoredT", bound="_Monitored")


def monitored(system: System) -> System:
    """The system, whose channel is monitored if it is a black box."""
    if not isinstance(system, HasChannel) or not system.channel.is_black_box:
        return system
    has_memory = isinstance(system.channel, ChannelWithMemory)
    kind = MonitoredChannelWithMemory if has_memory else MonitoredChannel
    return system.with_channel(kind(system.channel, ChannelMonitor(system.channel.id)))


class ChannelMonitor:
    """Warnings of the received blocks of a channel; for several threads.

    Args:
        id: id of the channel.
    """

    def __init__(self, id: str):
        self._id = id
        self._warned: set[str] = set()
        self._powers: dict[float | None, deque[float]] = {}
        self._lock = Lock()
        self._is_new = True

    def is_first_batch(self) -> bool:
        """Whether there was no batch before; true in one call only."""
        with self._lock:
            is_first, self._is_new = self._is_new, False
        return is_first

    def observe_repetition(self, y: np.ndarray, again: np.ndarray) -> None:
        """Warns if two transmissions of the same blocks were received alike."""
        # Without any variation, `observe` has the more helpful warning.
        if np.array_equal(y, again) and not _is_constant(y):
            self._warn(
                "repetition",
                f"the same {len(y):,} blocks, sent twice, were received alike to the "
                "last bit: it adds no noise, or seeds its random generator in every "
                "call; where that is not meant, use one generator for all calls, or "
                f"add noise: {self._id}+awgn",
            )

    def observe(self, y: np.ndarray, snr_db: float | None) -> None:
        """Warns if the received blocks are constant, or have an unusual power.

        Args:
            y: received blocks, as pairs of reals.
            snr_db: SNR of the channel; the power may depend on it.
        """
        if _is_constant(y):
            real, imaginary = y.reshape(-1, 2)[0]
            self._warn(
                "constant",
                f"all symbols of a batch were received as {real:g}{imaginary:+g}j; "
                "nothing can be learned of a receiver that is off",
            )
        # Squares of float32 numbers may be too large for float32.
        power = 2.0 * float(np.mean(np.square(y, dtype=np.float64)))
        with self._lock:
            powers = self._powers.setdefault(snr_db, deque(maxlen=MAX_BATCHES))
            powers.append(power)
            known = [*powers] if len(powers) >= MIN_BATCHES else []
        if known and "power" not in self._warned:
            self._check_power(known)

    def _check_power(self, powers: list[float]) -> None:
        """Warns of the most unusual of the last batches."""
        median = statistics.median(powers)
        # The first batches have no median: one of them is told a little later.
        for power in (max(powers), min(powers)):
            if power > POWER_RATIO * median or power * POWER_RATIO < median:
                self._warn(
                    "power",
                    f"a batch was received with mean power {power:.3g}, where the "
                    f"median is {median:.3g}; check it for samples that are no signal",
                )

    def _warn(self, kind: str, message: str) -> None:
        with self._lock:
            is_new = kind not in self._warned
            self._warned.add(kind)
        if is_new:
            warnings.warn(f"channel {self._id}: {message}", stacklevel=2)


def _is_constant(y: np.ndarray) -> bool:
    """Whether all of several symbols are equal."""
    symbols = y.reshape(-1, 2)
    return len(symbols) > 1 and bool((symbols == symbols[0]).all())


@dataclass(frozen=True, eq=False)
class _Monitored:
    """A black box whose received blocks are shown to a monitor."""

    channel: AnyChannel
    monitor: ChannelMonitor
    at_snr: "dict[float, _Monitored]" = field(default_factory=dict)
    """The same channel at other SNRs, with the same monitor."""

    is_black_box = True

    @property
    def id(self) -> str:
        return self.channel.id

    @property
    def snr_db(self) -> Float[Array, ""] | float | None:
        return self.channel.snr_db

    @property
    def differentiable(self) -> bool:
        return self.channel.differentiable

    @property
    def has_unknown_gain(self) -> bool:
        return self.channel.has_unknown_gain

    def check(self) -> None:
        self.channel.check()

    def output_uses(self, uses: int) -> int:
        return output_uses(self.channel, uses)

    def with_snr(self: MonitoredT, snr_db: Float[Array, ""] | float) -> MonitoredT:
        value = float(snr_db)
        if value not in self.at_snr:
            other = self.channel.with_snr(value)
            self.at_snr[value] = type(self)(other, self.monitor, self.at_snr)
        found = self.at_snr[value]
        assert isinstance(found, type(self))
        return found

    def transmit(
        self, key: Key[Array, ""], state: ChannelState, x: Float[Array, "B C 2"]
    ) -> tuple[ChannelState, Float[Array, "B D 2"]]:
        """See `channels.channel.transmit`; the first batch is sent twice."""
        new_state, y = transmit(self.channel, key, state, x)
        received = np.asarray(y)
        snr_db = self.snr_db
        self.monitor.observe(received, None if snr_db is None else float(snr_db))
        if self.monitor.is_first_batch():
            other_key = jax.random.fold_in(key, 1)
            _, again = transmit(self.channel, other_key, state, x)
            self.monitor.observe_repetition(received, np.asarray(again))
        return new_state, y


@jax.tree_util.register_static
class MonitoredChannel(_Monitored):
    """A monitored black box without memory."""

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B D 2"]:
        return self.transmit(key, (), x)[1]


@jax.tree_util.register_static
class MonitoredChannelWithMemory(_Monitored):
    """A monitored black box with memory, e.g. within a chain."""

    def init(self, key: Key[Array, ""]) -> ChannelState:
        return init_channel(self.channel, key)

    def __call__(
        self, key: Key[Array, ""], state: ChannelState, x: Float[Array, "B C 2"]
    ) -> tuple[ChannelState, Float[Array, "B D 2"]]:
        return self.transmit(key, state, x)
