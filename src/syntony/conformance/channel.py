"""Rules of channels: in JAX, and black boxes, which are functions of NumPy arrays."""

import dataclasses
import math
from collections.abc import Sequence
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from syntony.channels.channel import (
    AnyChannel,
    ChannelState,
    ChannelWithMemory,
    HasExcessNoise,
    InSeries,
    init_channel,
    output_uses,
    transmit,
)
from syntony.channels.registry import parse_channel
from syntony.channels.snr import finite_snr_db
from syntony.conformance.suite import (
    Program,
    Report,
    Rule,
    Subject,
    check_rules,
    first_difference,
    jit,
    leaf_names,
    plain_array,
    require,
    require_strong_types,
    trace_difference,
)
from syntony.conformance.task import require_same_config
from syntony.errors import InvalidInputError
from syntony.jax_settings import standard_jax_settings
from syntony.pytrees import PyTree

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

    def __init__(self, channel: AnyChannel):
        super().__init__()
        self.channel = channel

    @property
    def has_noise(self) -> bool:
        """Whether the channel adds noise."""
        return finite_snr_db(self.channel) is not None

    @property
    def has_memory(self) -> bool:
        """Whether the channel has a state."""
        return isinstance(self.channel, ChannelWithMemory)

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
        self, channel: AnyChannel, x: Float[Array, "B C 2"], key: int
    ) -> np.ndarray:
        """Received symbols of a first batch, on the host; the key is of this number."""
        self.num_calls += 1
        call = _call if channel.is_black_box else self.jitted_call
        return np.asarray(call(channel, jax.random.key(key), x))


@standard_jax_settings()
def check_channel(channel: AnyChannel) -> Report:
    """Checks the rules of channels; see `JAX_RULES` and `BLACK_BOX_RULES`."""
    is_black_box = getattr(channel, "is_black_box", False)
    rules = BLACK_BOX_RULES if is_black_box else JAX_RULES
    return check_rules("channel", str(channel.id), ChannelSubject(channel), rules)


def _call(channel: AnyChannel, key: Key[Array, ""], x: Array) -> Array:
    """Received symbols of the first batch after the start."""
    start = init_channel(channel, jax.random.key(0))
    return transmit(channel, key, start, x)[1]


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
        y = jax.eval_shape(partial(_call, subject.channel), jax.random.key(0), x)
        subject.num_calls += 1
        actual = f"{y.dtype.name}{list(y.shape)}"
        received_uses = output_uses(subject.channel, USES)
        reason = "as x" if received_uses == USES else "as output_uses says"
        expected = f"float32{[blocks, received_uses, 2]}"
        require(actual == expected, f"y is {actual}; expected {expected}, {reason}")


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


def _later_blocks(subject: ChannelSubject) -> None:
    x = subject.x
    changed = x.at[-1].multiply(-3.0)
    y, other = (subject.receive(subject.channel, v, 0)[:-1] for v in (x, changed))
    require(
        np.allclose(y, other, rtol=1e-5, atol=1e-5),
        "another last block changes the others; expected that a block depends on "
        "itself and on earlier ones",
    )


def _state(subject: ChannelSubject) -> None:
    channel = subject.channel
    first, second = (init_channel(channel, jax.random.key(0)) for _ in range(2))
    difference = first_difference(first, second)
    require(
        not difference,
        f"two calls of init with the same key differ in {difference}; expected all "
        "randomness to come from `key`",
    )
    require_strong_types(first, "the state of init")
    for blocks in BATCH_SIZES:
        x = jax.ShapeDtypeStruct((blocks, USES, 2), jnp.float32)
        after, _ = jax.eval_shape(
            partial(transmit, channel), jax.random.key(0), first, x
        )
        subject.num_calls += 1
        before, now = _types(first), _types(after)
        require(before == now, f"the state is {now} after a batch; expected {before}")


def _types(state: PyTree) -> str:
    """Structure, shapes and types of a state."""
    # Of arrays, or of their abstract values.
    shapes = jax.tree.map(lambda x: f"{x.dtype.name}{list(x.shape)}", state)
    return str(shapes).replace("'", "")


def _many_batches(subject: ChannelSubject) -> None:
    channel, x = subject.channel, subject.symbols(BATCH_SIZES[1], seed=0)

    def step(state: ChannelState, key: Key[Array, ""]) -> tuple[ChannelState, Array]:
        state, y = transmit(channel, key, state, x)
        return state, jnp.all(jnp.isfinite(y))

    def scan(keys: Key[Array, " N"]) -> tuple[ChannelState, Array]:
        return jax.lax.scan(step, init_channel(channel, jax.random.key(0)), keys)

    subject.num_calls += NUM_CALLS
    state, finite = jit(scan)(jax.random.split(jax.random.key(0), NUM_CALLS))
    require(
        jnp.all(finite),
        f"y is not finite in batch {int(jnp.argmin(finite)) + 1}; expected numbers",
    )
    invalid = [
        name
        for name, leaf in zip(leaf_names(state), jax.tree.leaves(state), strict=True)
        if not np.isfinite(plain_array(leaf)).all()
    ]
    require(
        not invalid,
        f"{', '.join(invalid)} of the state is not finite after {NUM_CALLS} batches",
    )


def _with_snr(subject: ChannelSubject) -> None:
    channel = subject.channel
    other = channel.with_snr(OTHER_SNR_DB)
    if subject.has_noise:
        # The total of a chain is rounded.
        snr_db = finite_snr_db(other)
        require(
            snr_db is not None and np.isclose(snr_db, OTHER_SNR_DB, rtol=1e-6),
            f"with_snr({OTHER_SNR_DB}) has snr_db {other.snr_db}; expected "
            f"{OTHER_SNR_DB}",
        )
        return
    y, expected = (subject.receive(c, subject.x, 0) for c in (other, channel))
    require(
        np.array_equal(y, expected),
        f"snr_db is {channel.snr_db}, but with_snr changes y; expected the same "
        "channel",
    )


def _infinite_snr(subject: ChannelSubject) -> None:
    try:
        silent = subject.channel.with_snr(math.inf)
    except InvalidInputError:
        return  # It says so itself.
    y = subject.receive(silent, subject.x, 0)
    require(
        np.isfinite(y).all(),
        f"{np.sum(~np.isfinite(y))} of {y.size} numbers of y are not finite at an "
        "infinite SNR; expected y without noise",
    )
    clean = subject.receive(subject.channel.with_snr(CLEAN_SNR_DB), subject.x, 0)
    require(
        np.allclose(y, clean, rtol=1e-5, atol=1e-5),
        f"y at an infinite SNR is not that at {CLEAN_SNR_DB:g} dB; expected y without "
        "noise",
    )


def _noise_power(subject: ChannelSubject) -> None:
    channel, x = subject.channel, subject.x
    snr_db = finite_snr_db(channel) or 0.0
    clean = subject.receive(channel.with_snr(CLEAN_SNR_DB), x, 0)
    noise = subject.receive(channel, x, 0) - clean
    energy = np.sum(noise**2, axis=-1)
    excess = float(channel.excess_noise) if isinstance(channel, HasExcessNoise) else 1.0
    measured, declared = float(np.mean(energy)), excess * 10.0 ** (-snr_db / 10.0)
    # The standard deviation of |n|² is N_0, √2 N_0 for real noise, more for impulses.
    deviation = max(2.0**0.5 * declared, float(np.std(energy)))
    error = STANDARD_ERRORS * deviation / energy.size**0.5
    require(
        abs(measured - declared) <= error,
        f"noise power is {measured:.3g} per use at snr_db {snr_db:g}; expected "
        f"{declared:.3g} ± {error:.1g}, with N_0 = 10^(-snr_db / 10) of a complex use",
    )


def _has_single_noise(subject: ChannelSubject) -> bool:
    channel = subject.channel
    # In a chain, the parts after a noise change it.
    return subject.has_noise and not isinstance(channel, InSeries)


def _gradient(subject: ChannelSubject) -> None:
    channel, x = subject.channel, subject.x
    weights = subject.symbols(len(x), seed=1)
    direction = subject.symbols(len(x), seed=2)

    def total(scale: Array) -> Array:
        y = _call(channel, jax.random.key(0), x + scale * direction)
        return jnp.sum(weights * y[:, :USES])

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
    Rule(
        "state",
        _state,
        applies=lambda subject: subject.has_memory,
        is_essential=True,
    ),
    Rule("y is finite", _finite),
    Rule("same key, same result", _purity),
    Rule(
        "noise differs in every call",
        _noise_differs,
        applies=lambda subject: subject.has_noise,
    ),
    Rule(
        "blocks are independent",
        _independent_blocks,
        applies=lambda subject: not subject.has_memory,
    ),
    Rule(
        "blocks depend on earlier ones alone",
        _later_blocks,
        applies=lambda subject: subject.has_memory,
    ),
    Rule("many batches", _many_batches, applies=lambda subject: subject.has_memory),
    Rule("another SNR", _with_snr),
    Rule("infinite SNR", _infinite_snr, applies=lambda subject: subject.has_noise),
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
        applies=lambda subject: subject.has_noise,
    ),
    Rule("another SNR", _with_snr, applies=lambda subject: subject.has_noise),
    Rule("id round trip", _id_round_trip),
)
"""Rules of a black box: a function may modify its input, which is a copy."""
