"""Several channels in series, with or without memory."""

from collections.abc import Sequence
from typing import TypeVar, cast

import jax
from jaxtyping import Array, Float, Key

from syntony.channels.awgn import AWGN
from syntony.channels.channel import (
    AnyChannel,
    ChannelState,
    ChannelWithMemory,
    init_channel,
    output_uses,
    transmit,
)
from syntony.channels.identified import NoisyChannel
from syntony.channels.snr import SNR, total_snr_db, with_total_snr_db
from syntony.config import pytree_dataclass, replace_fields
from syntony.errors import InvalidInputError

SeriesT = TypeVar("SeriesT", bound="_Series")


def chain(parts: Sequence[AnyChannel]) -> "Chain | ChainWithMemory":
    """Channels in series: a chain has memory if one of its parts has.

    Args:
        parts: f_1 … f_K, two or more. A chain among them is replaced by its parts.
    """
    has_memory = any(isinstance(part, ChannelWithMemory) for part in parts)
    return ChainWithMemory(parts=parts) if has_memory else Chain(parts=parts)


def with_default_snrs(
    parts: Sequence[AnyChannel], ids: Sequence[str]
) -> list[AnyChannel]:
    """Parts of a chain whose ids set no SNR, at the SNR that they have in a chain.

    Where several parts add noise, that is 10 dB for each, whatever the default of a
    part alone.

    Args:
        parts: the channels of the ids.
        ids: as they were typed.
    """
    if _num_noisy(parts) < 2:
        return list(parts)
    common = AWGN().snr_db
    return [
        part.with_snr(common)
        if isinstance(part, NoisyChannel) and "snr_db=" not in id
        else part
        for part, id in zip(parts, ids, strict=True)
    ]


def _num_noisy(parts: Sequence[AnyChannel]) -> int:
    return sum(part.snr_db is not None for part in parts)


def _id_beside_noise(part: AnyChannel) -> str:
    """The id of a part, with the SNR unless it is that of `with_default_snrs`."""
    if isinstance(part, NoisyChannel) and not isinstance(part, AWGN):
        return part.id_with_snr
    return part.id


class _Series:
    """Properties of channels in series."""

    parts: Sequence[AnyChannel]

    def __post_init__(self):
        object.__setattr__(self, "parts", _flatten(self.parts))
        self.check()

    def check(self) -> None:
        if len(self.parts) < 2:
            raise InvalidInputError(
                f"a chain has {len(self.parts)} parts; expected two or more channels"
            )
        for part in self.parts:
            part.check()

    @property
    def id(self) -> str:
        several = _num_noisy(self.parts) > 1
        ids = [_id_beside_noise(p) if several else p.id for p in self.parts]
        return "+".join(ids)

    @property
    def snr_db(self) -> SNR | None:
        """SNR of all noises together, in dB; None if no part has noise.

        1 / SNR = Σ_k 1 / SNR_k: the noise of each part is relative to unit power.
        """
        snrs_db = [part.snr_db for part in self.parts if part.snr_db is not None]
        return total_snr_db(snrs_db) if snrs_db else None

    @property
    def differentiable(self) -> bool:
        return all(part.differentiable for part in self.parts)

    @property
    def is_black_box(self) -> bool:
        return any(part.is_black_box for part in self.parts)

    @property
    def has_unknown_gain(self) -> bool:
        return any(part.has_unknown_gain for part in self.parts)

    def output_uses(self, uses: int) -> int:
        for part in self.parts:
            uses = output_uses(part, uses)
        return uses

    def with_snr(self: SeriesT, snr_db: SNR) -> SeriesT:
        """The same chain with all noises shifted by the same dB, to this total SNR."""
        snrs_db = [part.snr_db for part in self.parts if part.snr_db is not None]
        shifted = iter(with_total_snr_db(snrs_db, snr_db))
        parts = [
            part if part.snr_db is None else part.with_snr(next(shifted))
            for part in self.parts
        ]
        return replace_fields(self, parts=parts)


@pytree_dataclass
class Chain(_Series):
    """Channels in series without memory, y = f_K(… f_2(f_1(x))); see `chain`."""

    # A sequence, as a tuple would be static, and the parts' numbers are to be traced.
    parts: Sequence[AnyChannel]
    """f_1 … f_K."""

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B D 2"]:
        keys = jax.random.split(key, len(self.parts))
        for part, part_key in zip(self.parts, keys, strict=True):
            _, x = transmit(part, part_key, (), x)
        return x


@pytree_dataclass
class ChainWithMemory(_Series):
    """Channels in series, of which one or more have memory; see `chain`."""

    parts: Sequence[AnyChannel]
    """f_1 … f_K."""

    def init(self, key: Key[Array, ""]) -> ChannelState:
        """State of each part before the first block; the key is consumed."""
        keys = jax.random.split(key, len(self.parts))
        pairs = zip(self.parts, keys, strict=True)
        return tuple(init_channel(part, part_key) for part, part_key in pairs)

    def __call__(
        self, key: Key[Array, ""], state: ChannelState, x: Float[Array, "B C 2"]
    ) -> tuple[ChannelState, Float[Array, "B D 2"]]:
        keys = jax.random.split(key, len(self.parts))
        old_states = cast(tuple[ChannelState, ...], state)
        states: list[ChannelState] = []
        for part, part_key, old in zip(self.parts, keys, old_states, strict=True):
            new, x = transmit(part, part_key, old, x)
            states.append(new)
        return tuple(states), x


def _flatten(parts: Sequence[AnyChannel]) -> tuple[AnyChannel, ...]:
    inner = [part.parts if isinstance(part, _Series) else (part,) for part in parts]
    return tuple(part for parts in inner for part in parts)
