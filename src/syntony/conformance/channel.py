"""Rules of channels: in JAX, and black boxes, which are functions of NumPy arrays."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from syntony.channels.channel import Channel, InSeries
from syntony.channels.registry import parse_channel
from syntony.conformance.suite import (
    Program,
    Report,
    Rule,
    Subject,
    check_rules,
    jit,
    require,
    trace_difference,
)
from syntony.conformance.task import require_same_config
from syntony.jax_settings import standard_jax_settings

USES = 4
"""Channel uses C of a block."""
BATCH_SIZES = (1, 7, 500)
"""Numbers of blocks: a single one, an odd one, many."""
NUM_CALLS = 300
"""Calls with random symbols, beside those with large batches."""
OTHER_SNR_DB = 3.0
CLEAN_SNR_DB = 250.0
"""SNR without noise, in float32."""
STANDARD_ERRORS = 6.0
"""Standard errors of a noise power within which it is as declared."""
STEP = 0.01
"""Half the step of a finite difference, in units of a symbol's amplitude."""


class ChannelSubject(Subject):
    """A channel, and random symbols to transmit."""

    def __init__(self, channel: Channel):
        super().__init__()
        self.channel = channel

    @cached_property
    def jitted_call(self) -> Program[Array]:
        """A call of a channel with any SNR, compiled."""
        return jit(_call)

    @cached_property
    def x(self) -> Float[Array, "B C 2"]:
        """Blocks of the largest batch, Gaussian, of mean energy 1 per use."""
        return self.symbols(BATCH_SIZES[-1], seed=0)

    def symbols(self, blocks: int, seed: int) -> Float[Array, "B C 2"]:
        """Gaussian symbols of mean energy 1 per use."""
        x = np.random.default_rng(seed).normal(size=(blocks, USES, 2)) / 2**0.5
        return jnp.asarray(x, jnp.float32)

    def receive(
        self, channel: Channel, x: Float[Array, "B C 2"], key: int
    ) -> np.ndarray:
        """Received symbols on the host, with a key made from this number."""
        self.num_calls += 1
        call = _call if channel.is_black_box else self.jitted_call
        return np.asarray(call(channel, jax.random.key(key), x))


@standard_jax_settings()
def check_channel(channel: Channel) -> Report:
    """Checks the rules of channels; see `JAX_RULES` and `BLACK_BOX_RULES`."""
    is_black_box = getattr(channel, "is_black_box", False)
    rules = BLACK_BOX_RULES if is_black_box else JAX_RULES
    return check_rules("channel", str(channel.id), ChannelSubject(channel), rules)


# The channel may be one of traced numbers, or another kind of pytree within JAX.
def _call(
    channel: Callable[[Array, Array], Array], key: Key[Array, ""], x: Array
) -> Array:
    return channel(key, x)


def _declarations(subject: ChannelSubject) -> None:
    channel = subject.channel
    channel.check()
    for name in ("differentiable", "is_black_box", "has_unknown_gain"):
        value = getattr(channel, name)
        require(isinstance(value, bool), f"{name} is {value!r}; expected True or False")
    snr_db = channel.snr_db
    require(
        snr_db is None or jnp.ndim(snr_db) == 0,
        f"snr_db is {snr_db!r}; expected a number in dB, or None without noise",
    )


def _shapes(subject: ChannelSubject) -> None:
    for blocks in BATCH_SIZES:
        x = jax.ShapeDtypeStruct((blocks, USES, 2), jnp.float32)
        y = jax.eval_shape(subject.channel, jax.random.key(0), x)
        subject.num_calls += 1
        actual = f"{y.dtype.name}{list(y.shape)}"
        expected = f"float32{list(x.shape)}"
        require(actual == expected, f"y is {actual}; expected {expected}, as x")


def _finite(subject: ChannelSubject) -> None:
    calls = [subject.symbols(BATCH_SIZES[0], seed) for seed in range(NUM_CALLS)]
    for seed, x in enumerate([*calls, subject.x]):
        y = subject.receive(subject.channel, x, seed)
        require(
            np.isfinite(y).all(),
            f"{np.sum(~np.isfinite(y))} of {y.size} numbers of y are not finite; "
            "expected numbers",
        )


def _purity(subject: ChannelSubject) -> None:
    subject.num_calls += 2
    args = subject.channel, jax.random.key(0), subject.x
    difference = trace_difference(_call, subject.jitted_call, *args)
    require(
        not difference,
        f"two calls with the same key differ in {difference}; expected all randomness "
        "to come from `key`",
    )


def _noise_differs(subject: ChannelSubject) -> None:
    first, second = (subject.receive(subject.channel, subject.x, k) for k in (0, 1))
    require(
        (first != second).any(),
        f"snr_db is {subject.channel.snr_db}, but two calls gave the same y; expected "
        "new noise in every call",
    )


def _independent_blocks(subject: ChannelSubject) -> None:
    x = subject.x
    changed = x.at[0].multiply(-3.0)
    y, other = (subject.receive(subject.channel, v, 0)[1:] for v in (x, changed))
    require(
        np.allclose(y, other, rtol=1e-5, atol=1e-5),
        "another first block changes the others; expected that no block interferes "
        "with another, e.g. no mean over the batch",
    )


def _with_snr(subject: ChannelSubject) -> None:
    channel = subject.channel
    other = channel.with_snr(OTHER_SNR_DB)
    if channel.snr_db is not None:
        require(
            other.snr_db == OTHER_SNR_DB,
            f"with_snr({OTHER_SNR_DB}) has snr_db {other.snr_db}; expected "
            f"{OTHER_SNR_DB}",
        )
        return
    y, expected = (subject.receive(c, subject.x, 0) for c in (other, channel))
    require(
        np.array_equal(y, expected),
        "snr_db is None, but with_snr changes y; expected the same channel",
    )


def _noise_power(subject: ChannelSubject) -> None:
    channel, x = subject.channel, subject.x
    snr_db = float(channel.snr_db or 0.0)
    clean = subject.receive(channel.with_snr(CLEAN_SNR_DB), x, 0)
    noise = subject.receive(channel, x, 0) - clean
    energy = np.sum(noise**2, axis=-1)
    measured, declared = float(np.mean(energy)), 10.0 ** (-snr_db / 10.0)
    # The standard deviation of |n|² is N_0; √2 N_0 for real noise.
    error = STANDARD_ERRORS * declared * (2.0 / energy.size) ** 0.5
    require(
        abs(measured - declared) <= error,
        f"noise power is {measured:.3g} per use at snr_db {snr_db:g}; expected "
        f"{declared:.3g} ± {error:.1g}, with N_0 = 10^(-snr_db / 10) of a complex use",
    )


def _has_single_noise(subject: ChannelSubject) -> bool:
    channel = subject.channel
    # In a chain, the parts after a noise change it.
    return channel.snr_db is not None and not isinstance(channel, InSeries)


def _gradient(subject: ChannelSubject) -> None:
    channel, x = subject.channel, subject.x
    weights = subject.symbols(len(x), seed=1)
    direction = subject.symbols(len(x), seed=2)

    def total(scale: Array) -> Array:
        y = channel(jax.random.key(0), x + scale * direction)
        return jnp.sum(weights * y)

    def derivatives() -> Array:
        plus, minus = jax.vmap(total)(jnp.array([STEP, -STEP], jnp.float32))
        difference = (plus - minus) / (2 * STEP)
        return jnp.stack([jax.grad(total)(jnp.float32(0.0)), difference])

    subject.num_calls += 3
    gradient, difference = map(float, jit(derivatives)())
    require(np.isfinite(gradient), f"jax.grad is {gradient}; expected a number")
    # The scale is that of a sum of independent terms.
    tolerance = 0.1 * abs(difference) + 0.02 * np.sqrt(x.size)
    require(
        abs(gradient - difference) <= tolerance,
        f"differentiable is True, but jax.grad gives {gradient:.3g} where a finite "
        f"difference gives {difference:.3g}; expected the same, or differentiable = "
        "False",
    )


def _id_round_trip(subject: ChannelSubject) -> None:
    channel = subject.channel
    parsed = parse_channel(channel.id)
    if dataclasses.is_dataclass(channel):
        require_same_config(channel, parsed, channel.id)
    else:
        require(parsed is channel, f"the id {channel.id!r} is of another channel")


def _black_box_output(subject: ChannelSubject) -> None:
    subject.receive(subject.channel, subject.symbols(BATCH_SIZES[1], 0), 0)


def _black_box_batches(subject: ChannelSubject) -> None:
    sizes: Sequence[int] = (
        *BATCH_SIZES,
        *np.random.default_rng(0).integers(1, 40, NUM_CALLS),
    )
    for seed, blocks in enumerate(map(int, sizes)):
        subject.receive(subject.channel, subject.symbols(blocks, seed), seed)


JAX_RULES: tuple[Rule[ChannelSubject], ...] = (
    Rule("declarations", _declarations, is_essential=True),
    Rule("shapes and types", _shapes, is_essential=True),
    Rule("y is finite", _finite),
    Rule("same key, same result", _purity),
    Rule(
        "noise differs in every call",
        _noise_differs,
        applies=lambda subject: subject.channel.snr_db is not None,
    ),
    Rule("blocks are independent", _independent_blocks),
    Rule("another SNR", _with_snr),
    Rule("noise power", _noise_power, applies=_has_single_noise),
    Rule("gradient", _gradient, applies=lambda subject: subject.channel.differentiable),
    Rule("id round trip", _id_round_trip),
)
"""Rules of a channel in JAX."""

BLACK_BOX_RULES: tuple[Rule[ChannelSubject], ...] = (
    Rule("declarations", _declarations, is_essential=True),
    Rule("y is complex, finite and as long as x", _black_box_output, is_essential=True),
    Rule("any batch size", _black_box_batches),
    Rule(
        "noise differs in every call",
        _noise_differs,
        applies=lambda subject: subject.channel.snr_db is not None,
    ),
    Rule("another SNR", _with_snr, applies=lambda s: s.channel.snr_db is not None),
    Rule("id round trip", _id_round_trip),
)
"""Rules of a black box: a function may modify its input, which is a copy."""
