"""Several channels in series."""

import functools
from collections.abc import Sequence

import jax
from jaxtyping import Array, Float, Key

from syntony.channels.channel import Channel
from syntony.config import pytree_dataclass
from syntony.errors import InvalidInputError


@pytree_dataclass
class Chain:
    """Channels in series, y = f_K(… f_2(f_1(x))).

    A chain within a chain is replaced by its parts.
    """

    # A sequence, as a tuple would be static, and the parts' numbers are to be traced.
    parts: Sequence[Channel]
    """f_1 … f_K."""

    def __post_init__(self):
        inner = [p.parts if isinstance(p, Chain) else (p,) for p in self.parts]
        object.__setattr__(self, "parts", tuple(part for ps in inner for part in ps))
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
        return "+".join(part.id for part in self.parts)

    @property
    def snr_db(self) -> float | None:
        """The SNR of the last part with noise, in dB; None if there is none."""
        given = [part.snr_db for part in self.parts if part.snr_db is not None]
        return given[-1] if given else None

    @property
    def differentiable(self) -> bool:
        return all(part.differentiable for part in self.parts)

    @property
    def is_black_box(self) -> bool:
        return any(part.is_black_box for part in self.parts)

    @property
    def has_unknown_gain(self) -> bool:
        return any(part.has_unknown_gain for part in self.parts)

    def with_snr(self, snr_db: Float[Array, ""] | float) -> "Chain":
        """The same chain with all noises at this SNR in dB."""
        return Chain(parts=tuple(part.with_snr(snr_db) for part in self.parts))

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        keys = jax.random.split(key, len(self.parts))
        pairs = zip(self.parts, keys, strict=True)
        return functools.reduce(lambda x, pair: pair[0](pair[1], x), pairs, x)
