"""What lies between signals: the protocol that every channel follows."""

from typing import Protocol, runtime_checkable

from jaxtyping import Array, Float, Key

from syntony.identifiers import Limits


@runtime_checkable
class Channel(Protocol):
    """P(y | x), to be drawn from; a record of settings, no state inside.

    A batch is B blocks of C complex uses as pairs of reals, of mean energy 1 a use.
    Every block has a channel of its own: nothing of it leaks into another.
    """

    @property
    def id(self) -> str:
        """The id that `channels.ids.exact` turns back into this record."""
        ...

    @property
    def snr_db(self) -> float | None:
        """E_s / N_0 a use in dB, for a signal of unit power; None without noise."""
        ...

    @property
    def differentiable(self) -> bool:
        """Whether `jax.grad` through it tells how y moves with x."""
        ...

    @property
    def is_black_box(self) -> bool:
        """Whether it is no JAX code: then it is called outside of `jit` only."""
        ...

    @property
    def has_unknown_gain(self) -> bool:
        """Whether it multiplies each block by a complex gain that nobody knows."""
        ...

    def check(self) -> None:
        """Raises `BadInput` if there is no such channel; done when it is made."""
        ...

    def with_snr(self, snr_db: Float[Array, ""] | float) -> "Channel":
        """Returns this channel with another noise; itself if it has none."""
        ...

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        """Returns a draw of y for each x. The key is consumed."""
        ...


SNR_LIMITS: Limits = {"snr_db": lambda _: (-100.0, 300.0)}
"""What a signal-to-noise ratio may be, in dB; float32 holds noise that small."""
