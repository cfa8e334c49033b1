"""How losses come back from receiver to transmitter."""

import numbers
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony import identifiers
from syntony.config import pytree_dataclass
from syntony.errors import InvalidInputError, unknown_name_error
from syntony.identifiers import Limits

DEFAULT_BITS = 8
"""Bits of a loss whose bits can be flipped, if nobody says how many."""


@pytree_dataclass
class Feedback:
    """The path back: noise, then a quantiser, then flips of its bits, then erasures.

    The default is the perfect one, that of Aoudia & Hoydis (2018).
    """

    noise_std: float = 0.0
    """Standard deviation of what is added, in those of the batch's losses."""
    bits: int = 0
    """Bits of each loss; 0 sends it as it is (8 bits if there are flips)."""
    clip_quantile: float = 1.0
    """Quantile of the batch at which losses are clipped before they are quantised.
    Below 1, where errors are rare, what is cut off is all that there was to learn from
    (the published 0.95 costs a factor of 30 at 10 dB)."""
    bit_flip_prob: float = 0.0
    """Probability that a bit arrives flipped. To trace it, set `bits`."""
    erasure_prob: float = 0.0
    """Probability that a loss does not arrive."""
    delay_iterations: int = 0
    """Iterations that losses are late. It is the learner that waits for them."""

    def __post_init__(self):
        if (
            self.bits == 0
            and isinstance(self.bit_flip_prob, numbers.Real)
            and self.bit_flip_prob > 0
        ):
            object.__setattr__(self, "bits", DEFAULT_BITS)
        self.check()

    def check(self) -> None:
        """Raises `BadInput` if there is no such feedback; done when it is made."""
        identifiers.check_limits(self, _LIMITS)

    @property
    def id(self) -> str:
        """The id that `feedback` turns back into this record."""
        said = [_format_term(self, name, term) for name, term in FEEDBACK_TERMS.items()]
        return "+".join(filter(None, said)) or "perfect"

    def __call__(
        self, key: Key[Array, ""], loss: Float[Array, " B"]
    ) -> tuple[Float[Array, " B"], Bool[Array, " B"]]:
        """Returns the losses as they arrive, and which arrive; the others are zero.

        The key is consumed.
        """
        noise_key, flip_key, erasure_key = jax.random.split(key, 3)
        heard = add_noise(noise_key, loss, self.noise_std)
        if self.bits:
            lowest, span = loss_range(heard, self.clip_quantile)
            code = quantize(normalize(heard, lowest, span), self.bits)
            code = flip_bits(flip_key, code, self.bits, self.bit_flip_prob)
            heard = lowest + span * dequantize(code, self.bits)
        arrived = ~jax.random.bernoulli(erasure_key, self.erasure_prob, loss.shape)
        return jnp.where(arrived, heard, 0.0), arrived


def add_noise(
    key: Key[Array, ""], loss: Float[Array, " B"], std: Float[Array, ""] | float
) -> Float[Array, " B"]:
    """Returns l + s σ_l n, n ~ N(0, 1), with σ_l the standard deviation of the batch.

    It leaves the mean of a policy gradient as it is, and adds to its variance.

    Args:
        std: s ≥ 0.

    Source: Goutay, Aoudia & Hoydis (2018), arXiv 1810.05419: losses over a noisy link.
    """
    return loss + std * jnp.std(loss) * jax.random.normal(key, loss.shape)


def loss_range(
    loss: Float[Array, " B"], clip_quantile: Float[Array, ""] | float
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Returns min l and q_c − min l, where q_c is the batch's quantile c.

    They travel once a batch, and to a learner that subtracts the mean and does not mind
    the scale, not at all.

    Args:
        clip: c in (0, 1].

    Source: Song et al. (2019), arXiv 1904.09252, §III: clipped at 95 %, and shifted.
    """
    lowest = jnp.min(loss)
    return lowest, jnp.quantile(loss, clip_quantile) - lowest


def normalize(
    loss: Float[Array, " B"], lowest: Float[Array, ""], span: Float[Array, ""]
) -> Float[Array, " B"]:
    """Returns u = min((l − min l) / (q_c − min l), 1), in [0, 1].

    Source: Song et al. (2019), §III.
    """
    # Losses that are all alike have no span; then they all are the lowest.
    unit = (loss - lowest) / jnp.where(span > 0.0, span, 1.0)
    return jnp.minimum(unit, 1.0)


def quantize(unit: Float[Array, " B"], bits: int) -> Int[Array, " B"]:
    """Returns min(⌊2^b u⌋, 2^b − 1), the cell of u in [0, 1].

    Source: Song et al. (2019), §III: uniform, mid-rise.
    """
    cell = jnp.floor(unit * 2**bits).astype(jnp.int32)
    return jnp.minimum(cell, 2**bits - 1)


def flip_bits(
    key: Key[Array, ""],
    code: Int[Array, " B"],
    bits: int,
    probability: Float[Array, ""] | float,
) -> Int[Array, " B"]:
    """Returns the code with each of its bits flipped by chance: a symmetric channel.

    Of one bit, the mean is drawn to ½ by the factor 1 − 2 p.

    Args:
        bits: b; the bits are those of the cell's number, most significant or not.
        probability: p of each bit, independent of all others.

    Source: Song et al. (2019), §IV: training with random bit flips.
    """
    flipped = jax.random.bernoulli(key, probability, (*code.shape, bits))
    return code ^ jnp.sum(flipped << jnp.arange(bits), axis=-1)


def dequantize(code: Int[Array, " B"], bits: int) -> Float[Array, " B"]:
    """Returns (k + ½) / 2^b, the middle of cell k.

    Source: Song et al. (2019), §III.
    """
    return (code + 0.5) / 2**bits


def feedback(id: str) -> Feedback:
    """Returns the feedback that `id` names, such as `quantised?bits=1+late`.

    Terms are joined by `+` in any order; what they name is done in that of `Feedback`.

    Raises:
        BadInput: a term or parameter is unknown or given twice, or a value is no good.
    """
    fields: dict[str, Any] = {}
    # A number may have a plus in its exponent.
    for part in re.split(r"\+(?![0-9])", id):
        name = part.partition("?")[0]
        if name not in FEEDBACK_TERMS:
            raise unknown_name_error("feedback", name, FEEDBACK_TERMS)
        term = FEEDBACK_TERMS[name]
        _, given = identifiers.parse_id(part, term.config_class, f"parameter of {name}")
        values = vars(term.config_class(**given))
        added = {field: values[said] for said, field in term.fields.items()}
        if added.keys() & fields.keys():
            raise InvalidInputError(f"{name} is given twice in {id!r}; expected once")
        fields |= added
    return Feedback(**fields)


def _format_term(feedback: Feedback, name: str, term: "FeedbackTerm") -> str:
    """Returns a term's part of the id; nothing if it does nothing."""
    values = {said: getattr(feedback, field) for said, field in term.fields.items()}
    first = next(iter(values.values()), 0.0)
    idle = identifiers.format_value(first, 0.0) == "0.0"
    return "" if idle else identifiers.format_id(name, term.config_class(**values))


@pytree_dataclass
class PerfectTerm:
    """Losses as they are."""


@pytree_dataclass
class NoiseTerm:
    """Noise; the default is as spread as the losses themselves."""

    std: float = 1.0


@pytree_dataclass
class QuantizationTerm:
    """A quantiser."""

    bits: int = 4
    clip_quantile: float = 1.0


@pytree_dataclass
class BitFlipTerm:
    """Flips of the quantiser's bits."""

    probability: float = 0.1


@pytree_dataclass
class ErasureTerm:
    """Losses that do not arrive."""

    probability: float = 0.1


@pytree_dataclass
class DelayTerm:
    """Losses that arrive later."""

    iterations: int = 1


class FeedbackTerm(NamedTuple):
    """A part of a feedback's id, and what it sets."""

    config_class: type
    """Its parameters as they are typed."""
    fields: dict[str, str]
    """The field of `Feedback` for each; where the first is zero, the term is idle."""


FEEDBACK_TERMS = {
    "perfect": FeedbackTerm(PerfectTerm, {}),
    "noisy": FeedbackTerm(NoiseTerm, {"std": "noise_std"}),
    "quantized": FeedbackTerm(
        QuantizationTerm, {"bits": "bits", "clip_quantile": "clip_quantile"}
    ),
    "flipped": FeedbackTerm(BitFlipTerm, {"probability": "bit_flip_prob"}),
    "erased": FeedbackTerm(ErasureTerm, {"probability": "erasure_prob"}),
    "delayed": FeedbackTerm(DelayTerm, {"iterations": "delay_iterations"}),
}
"""What a feedback may suffer, by name."""

_LIMITS: Limits = {
    "noise_std": lambda _: (0.0, 1000.0),
    "bits": lambda _: (0, 16),
    "clip_quantile": lambda _: (0.01, 1.0),
    "bit_flip_prob": lambda _: (0.0, 1.0),
    "erasure_prob": lambda _: (0.0, 1.0),
    "delay_iterations": lambda _: (0, 1000),
}
