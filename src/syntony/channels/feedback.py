"""The feedback link: how losses return from the receiver to the transmitter."""

import numbers
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony import identifiers
from syntony.config import FieldValues, between, field, pytree_dataclass, validate
from syntony.errors import InvalidInputError, unknown_name_error

DEFAULT_BITS = 8
"""Bits of each loss if there are bit flips and the number of bits is not set."""


@pytree_dataclass
class Feedback:
    """The feedback link: noise, a quantizer, bit flips, then erasures of the losses.

    The default is perfect feedback, as in Aoudia & Hoydis (2018).
    """

    noise_std: float = field(0.0, limits=between(0.0, 1000.0))
    """Standard deviation of additive noise, in standard deviations of the batch's
    losses."""
    bits: int = field(0, static=True, limits=between(0, 16))
    """Bits of each quantized loss; 0 is unquantized (8 bits if there are bit flips)."""
    clip_quantile: float = field(1.0, limits=between(0.01, 1.0))
    """Quantile of the batch at which losses are clipped before quantization; 1 clips
    nothing. Below 1, when block errors are rare, it removes the only losses with
    information (the published 0.95 costs a factor of 30 in BLER at 10 dB)."""
    bit_flip_prob: float = field(0.0, limits=between(0.0, 1.0))
    """Probability that a bit is received flipped. To trace it, set `bits`."""
    erasure_prob: float = field(0.0, limits=between(0.0, 1.0))
    """Probability that a loss is not received."""
    delay_iterations: int = field(0, static=True, limits=between(0, 1000))
    """Delay of the losses, in training iterations; applied by the link's training, not
    when the feedback is called."""

    def __post_init__(self):
        if (
            self.bits == 0
            and isinstance(self.bit_flip_prob, numbers.Real)
            and self.bit_flip_prob > 0
        ):
            object.__setattr__(self, "bits", DEFAULT_BITS)
        self.check()

    def check(self) -> None:
        """Validates the parameters; also called on construction.

        Raises:
            InvalidInputError: a parameter is outside of its limits.
        """
        validate(self)

    @property
    def id(self) -> str:
        """The id from which `feedback` makes this config."""
        terms = [_format_term(self, name, t) for name, t in FEEDBACK_TERMS.items()]
        return "+".join(filter(None, terms)) or "perfect"

    @jax.jit
    def __call__(
        self, key: Key[Array, ""], loss: Float[Array, " B"]
    ) -> tuple[Float[Array, " B"], Bool[Array, " B"]]:
        """Received losses, zero where erased, and a mask of those received.

        Args:
            key: consumed.
            loss: loss of each block.
        """
        noise_key, flip_key, erasure_key = jax.random.split(key, 3)
        received = add_noise(noise_key, loss, self.noise_std)
        if self.bits:
            lowest, span = loss_range(received, self.clip_quantile)
            code = quantize(normalize(received, lowest, span), self.bits)
            code = flip_bits(flip_key, code, self.bits, self.bit_flip_prob)
            received = lowest + span * dequantize(code, self.bits)
        arrived = ~jax.random.bernoulli(erasure_key, self.erasure_prob, loss.shape)
        return jnp.where(arrived, received, 0.0), arrived


def add_noise(
    key: Key[Array, ""], loss: Float[Array, " B"], std: Float[Array, ""] | float
) -> Float[Array, " B"]:
    """Noisy losses l + s σ_l n, n ~ N(0, 1), with σ_l the batch's standard deviation.

    A policy gradient keeps its mean; its variance increases.

    Args:
        key: consumed.
        loss: l of each block.
        std: s ≥ 0.

    Source: Goutay, Aoudia & Hoydis (2018), arXiv 1810.05419: losses over a noisy link.
    """
    return loss + std * jnp.std(loss) * jax.random.normal(key, loss.shape)


def loss_range(
    loss: Float[Array, " B"], clip_quantile: Float[Array, ""] | float
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Lowest loss min l and range q_c − min l, where q_c is the batch's quantile c.

    They are transmitted once per batch; not at all if the transmitter subtracts the
    mean and its optimizer is invariant to the scale of the losses.

    Args:
        loss: l of each block.
        clip_quantile: c in (0, 1].

    Source: Song et al. (2019), arXiv 1904.09252, §III: clipped at 95 %, and shifted.
    """
    lowest = jnp.min(loss)
    return lowest, jnp.quantile(loss, clip_quantile) - lowest


def normalize(
    loss: Float[Array, " B"], lowest: Float[Array, ""], span: Float[Array, ""]
) -> Float[Array, " B"]:
    """Normalized losses u = min((l − min l) / (q_c − min l), 1), in [0, 1].

    Source: Song et al. (2019), §III.
    """
    # If all losses are equal, the range is zero, and u is 0.
    unit = (loss - lowest) / jnp.where(span > 0.0, span, 1.0)
    return jnp.minimum(unit, 1.0)


def quantize(unit: Float[Array, " B"], bits: int) -> Int[Array, " B"]:
    """Quantization index min(⌊2^b u⌋, 2^b − 1) of u in [0, 1].

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
    """Quantization indices after a binary symmetric channel.

    The expectation of one bit moves towards ½ by the factor 1 − 2 p.

    Args:
        key: consumed.
        code: quantization indices.
        bits: b, the number of bits of an index.
        probability: p of a flip of each bit, independent of all others.

    Source: Song et al. (2019), §IV: training with random bit flips.
    """
    flipped = jax.random.bernoulli(key, probability, (*code.shape, bits))
    return code ^ jnp.sum(flipped << jnp.arange(bits), axis=-1)


def dequantize(code: Int[Array, " B"], bits: int) -> Float[Array, " B"]:
    """Center (k + ½) / 2^b of quantization cell k.

    Source: Song et al. (2019), §III.
    """
    return (code + 0.5) / 2**bits


def feedback(id: str) -> Feedback:
    """Feedback with this id, e.g. `quantized?bits=1+delayed`.

    Terms are joined by `+` in any order; `Feedback` fixes the order of its stages.

    Raises:
        InvalidInputError: a term or parameter is unknown or given twice, or a value is
            outside of its limits.
    """
    fields: FieldValues = {}
    # A number may have a plus in its exponent.
    for part in re.split(r"\+(?![0-9])", id):
        name = part.partition("?")[0]
        if name not in FEEDBACK_TERMS:
            raise unknown_name_error("feedback", name, FEEDBACK_TERMS)
        term = FEEDBACK_TERMS[name]
        _, given = identifiers.parse_id(part, term.config_class, f"parameter of {name}")
        parameters: object = term.config_class(**given)
        values = vars(parameters)
        added = {attr: values[p] for p, attr in term.fields.items()}
        if added.keys() & fields.keys():
            raise InvalidInputError(f"{name} is given twice in {id!r}; expected once")
        fields |= added
    return Feedback(**fields)


def _format_term(feedback: Feedback, name: str, term: "FeedbackTerm") -> str:
    """A term's part of the id; empty if the term has no effect."""
    values = {p: getattr(feedback, attr) for p, attr in term.fields.items()}
    first = next(iter(values.values()), 0.0)
    idle = identifiers.format_value(first, 0.0) == "0.0"
    return "" if idle else identifiers.format_id(name, term.config_class(**values))


@pytree_dataclass
class PerfectTerm:
    """Parameters of `perfect`: none."""


@pytree_dataclass
class NoiseTerm:
    """Parameters of `noisy`: additive noise."""

    std: float = 1.0
    """Standard deviation, in standard deviations of the batch's losses."""


@pytree_dataclass
class QuantizationTerm:
    """Parameters of `quantized`: a uniform quantizer."""

    bits: int = field(4, static=True)
    """Bits of each loss."""
    clip_quantile: float = 1.0
    """Quantile of the batch at which losses are clipped."""


@pytree_dataclass
class BitFlipTerm:
    """Parameters of `flipped`: a binary symmetric channel after the quantizer."""

    probability: float = 0.1
    """Probability of a flip of each bit."""


@pytree_dataclass
class ErasureTerm:
    """Parameters of `erased`: losses that are not received."""

    probability: float = 0.1
    """Probability of an erasure."""


@pytree_dataclass
class DelayTerm:
    """Parameters of `delayed`: losses that are received later."""

    iterations: int = field(1, static=True)
    """Delay, in training iterations."""


class FeedbackTerm(NamedTuple):
    """A term of a feedback's id, and the fields of `Feedback` that it sets."""

    config_class: type
    """Parameters of the term."""
    fields: dict[str, str]
    """Field of `Feedback` by parameter; if the first is 0, the term has no effect."""


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
"""Terms of a feedback's id by name."""
