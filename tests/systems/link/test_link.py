"""The link: which update changes what, black-box channels, and that it learns."""

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, Key

from syntony.channels.awgn import AWGN
from syntony.channels.black_box import BlackBoxChannel
from syntony.channels.feedback import Feedback
from syntony.channels.rayleigh import Rayleigh
from syntony.channels.registry import channel
from syntony.config import pytree_dataclass
from syntony.equations.limits import qpsk_bler
from syntony.equations.signal import complex_multiply, pairs_to_complex
from syntony.errors import InvalidInputError
from syntony.networks.modems import (
    EqualizingReceiver,
    GaussianReceiver,
    QuadraticReceiver,
    Receiver,
)
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule
from syntony.training.devices import compiler_options
from syntony.training.loop import resume, train
from syntony.training.run import load

TINY = Link(
    messages=16,
    uses=2,
    hidden=32,
    channel_estimator_hidden=3,
    schedule=TrainingSchedule(
        decay_iterations=800,
        receiver_warmup_iterations=0,
        batch_size=256,
        learning_rate=1e-2,
    ),
)


def initial_state(link, seed=0):
    """A new state, to be used once: its key is consumed."""
    return link.init(jax.random.key(seed))


@partial(jax.jit, compiler_options=compiler_options())
def run_steps(link, state, num_steps):
    return jax.lax.fori_loop(0, num_steps, lambda _, state: link.step(state)[0], state)


def with_schedule(link, **constants):
    schedule = dataclasses.replace(link.schedule, **constants)
    return dataclasses.replace(link, schedule=schedule)


def with_feedback(link, **constants):
    return dataclasses.replace(link, feedback=Feedback(**constants))


def trees_equal(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


def without_key(state):
    """The state without its key, which is not a number."""
    return state._replace(key=None)


def assert_close(got, want, **tolerance):
    pairs = zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, **tolerance)


@pytree_dataclass
class RotatedAWGN:
    """Rotates each symbol by a constant angle, y = e^{0.3i} x + n."""

    snr_db: float = 10.0

    id = "rotated"
    differentiable = True
    is_black_box = False
    has_unknown_gain = False

    def check(self) -> None:
        """Has nothing to check."""

    def with_snr(self, snr_db: Any) -> "RotatedAWGN":
        return dataclasses.replace(self, snr_db=snr_db)

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        rotation = jnp.array([np.cos(0.3), np.sin(0.3)], jnp.float32)
        return AWGN(snr_db=self.snr_db)(key, complex_multiply(x, rotation))


@jax.custom_jvp
def nan_gradient(x):
    return x


@nan_gradient.defjvp
def _(primals, tangents):
    return primals[0], tangents[0] * jnp.nan


@pytree_dataclass
class NaNGradientChannel(RotatedAWGN):
    """The same channel with a gradient of NaN."""

    id = "nan-gradient"
    differentiable = False

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        return nan_gradient(RotatedAWGN(snr_db=self.snr_db)(key, nan_gradient(x)))


BLACK_BOX = BlackBoxChannel(function=lambda x: np.exp(0.3j) * x)
ROTATED = dataclasses.replace(TINY, channel=RotatedAWGN())
NUMPY = dataclasses.replace(TINY, channel=BLACK_BOX)
"""Runs in Python over small compiled functions: quick to compile."""


def test_nan_gradient_channel_has_a_gradient_of_nan():
    x = jnp.ones((1, 1, 2))
    with pytest.raises(FloatingPointError):
        jax.grad(lambda x: jnp.sum(NaNGradientChannel()(jax.random.key(0), x)))(x)


@pytest.mark.parametrize("gradient", ["policy", "spsa"])
def test_the_channel_is_not_differentiated(gradient):
    plain = dataclasses.replace(ROTATED, gradient=gradient)
    want = run_steps(plain, initial_state(plain), 5)
    assert not trees_equal(want.transmitter, initial_state(plain).transmitter)
    nan = dataclasses.replace(plain, channel=NaNGradientChannel())
    got = run_steps(nan, initial_state(nan), 5)
    assert_close(got.transmitter, want.transmitter, rtol=1e-4, atol=1e-5)
    assert_close(got.receiver, want.receiver, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gradient", ["policy", "spsa"])
def test_a_channel_in_numpy_gives_the_same_training(gradient):
    plain = dataclasses.replace(
        ROTATED, channel=RotatedAWGN(snr_db=300.0), gradient=gradient
    )
    numpy = dataclasses.replace(NUMPY, gradient=gradient)
    want, got = run_steps(plain, initial_state(plain), 2), initial_state(numpy)
    for _ in range(2):
        got, _ = numpy.step(got)
    assert not trees_equal(want.transmitter, initial_state(plain).transmitter)
    assert_close(got.transmitter, want.transmitter, rtol=1e-3, atol=1e-4)
    assert_close(got.receiver, want.receiver, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "no_gradient", [NaNGradientChannel(), BLACK_BOX, channel("quantizer?bits=2")]
)
def test_backprop_rejects_channels_without_gradient(no_gradient):
    link = dataclasses.replace(TINY, channel=no_gradient, gradient="backprop")
    with pytest.raises(
        InvalidInputError, match=r"^gradient is 'backprop', but .*; expected"
    ):
        link.check()
    for gradient in ("policy", "spsa"):
        dataclasses.replace(link, gradient=gradient).check()


def changed_fields(after, before):
    pairs = zip(before._fields, after, before, strict=True)
    return {name for name, a, b in pairs if name != "key" and not trees_equal(a, b)}


def test_each_side_updates_itself_alone():
    state = initial_state(NUMPY)
    after, _ = NUMPY.train_receiver(state, jax.random.key(1))
    changed = {"receiver", "receiver_opt_state", "received_stats"}
    assert changed_fields(after, state) == changed
    after, _ = NUMPY.train_transmitter(state, jax.random.key(2))
    assert changed_fields(after, state) == {"transmitter", "transmitter_opt_state"}


def num_updates(opt_state):
    """Steps that Adam has counted."""
    (count,) = {int(x) for x in jax.tree.leaves(opt_state) if x.dtype == jnp.int32}
    return count


def test_steps_per_iteration_and_warmup():
    link = with_schedule(
        NUMPY, receiver_steps=3, transmitter_steps=2, receiver_warmup_iterations=2
    )
    state = start = initial_state(link)
    for done in range(1, 5):
        state, _ = link.step(state)
        assert num_updates(state.receiver_opt_state) == 3 * done
        assert num_updates(state.transmitter_opt_state) == 2 * max(done - 2, 0)
        assert trees_equal(state.transmitter, start.transmitter) == (done <= 2)
    assert int(state.iterations) == int(link.num_steps(state)) == 4


@pytest.mark.parametrize("side", ["receiver", "transmitter"])
def test_a_step_averages_over_its_batches(side):
    """The mean of 8 batches has an eighth of the variance of one, and the same mean."""
    # Statistics of the received blocks change with the number of batches.
    link = dataclasses.replace(TINY, normalize_received=False)
    state = initial_state(link)
    codebook = link.codebook(state.transmitter)
    gradient_fn, zero_grad = {
        "receiver": (
            link.receiver_gradient,
            jax.tree.map(jnp.zeros_like, state.receiver),
        ),
        "transmitter": (link.transmitter_gradient, jnp.zeros_like(codebook)),
    }[side]

    def mean_gradient(num_batches, key):
        _, _, grad = link.mean_over_batches(
            gradient_fn, num_batches, state, codebook, zero_grad, key
        )
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(grad)])

    def samples(num_batches, seed):
        keys = jax.random.split(jax.random.key(seed), 500)
        return np.asarray(sample(jnp.int32(num_batches), keys))

    sample = jax.jit(jax.vmap(mean_gradient, (None, 0)))
    one, eight = samples(1, seed=1), samples(8, seed=2)
    assert one.var(0).sum() / eight.var(0).sum() == pytest.approx(8.0, rel=0.15)
    error = np.sqrt((one.var(0) + eight.var(0)).sum() / 500)
    assert np.linalg.norm(one.mean(0) - eight.mean(0)) < 2.0 * error


def test_delayed_losses_give_the_same_update_later():
    """Until they arrive the codebook is constant, and so is their gradient."""
    immediate = with_schedule(NUMPY, optimizer="sgd")
    delayed = with_feedback(immediate, delay_iterations=3)
    state = start = initial_state(delayed)
    for _ in range(3):
        state, _ = delayed.step(state)
        assert trees_equal(state.transmitter, start.transmitter)
    assert not trees_equal(state.pending_feedback, start.pending_feedback)
    state, _ = delayed.step(state)
    want, _ = immediate.step(initial_state(immediate))
    assert not trees_equal(want.transmitter, start.transmitter)
    assert_close(state.transmitter, want.transmitter, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gradient", ["policy", "spsa"])
def test_without_feedback_the_transmitter_is_constant(gradient):
    link = dataclasses.replace(ROTATED, gradient=gradient)
    link = with_feedback(link, erasure_prob=1.0)
    start, state = initial_state(link), run_steps(link, initial_state(link), 3)
    assert trees_equal(state.transmitter, start.transmitter)
    assert not trees_equal(state.receiver, start.receiver)


POWER_CONSTRAINTS = ("average", "codeword", "symbol", "clipped")


@pytest.mark.parametrize("constraint", POWER_CONSTRAINTS)
def test_power_constraint_holds_after_an_update(constraint):
    link = dataclasses.replace(NUMPY, power_constraint=constraint, max_amplitude=1.1)
    state, _ = link.train_transmitter(initial_state(link), jax.random.key(1))
    codebook = pairs_to_complex(np.asarray(link.codebook(state.transmitter)))
    energy = np.abs(codebook) ** 2
    if constraint == "average":
        assert energy.mean() == pytest.approx(1.0, rel=1e-5)
        assert energy.mean(axis=1).std() > 0.01
    if constraint == "codeword":
        np.testing.assert_allclose(energy.mean(axis=1), 1.0, rtol=1e-5)
        assert energy.std() > 0.01
    if constraint == "symbol":
        np.testing.assert_allclose(energy, 1.0, rtol=1e-5)
    if constraint == "clipped":
        assert energy.max() == pytest.approx(1.1**2, rel=1e-5)
        assert energy.mean() < 1.0


def test_receiver_batches_are_perturbed_if_set():
    plain = dataclasses.replace(TINY, channel=AWGN(snr_db=300.0))
    perturbed = dataclasses.replace(plain, perturb_receiver_batches=True)
    state = initial_state(plain)
    codebook = plain.codebook(state.transmitter)
    _, message, y = plain.transmit_batch(state, codebook, jax.random.key(1))
    np.testing.assert_allclose(y, codebook[message], atol=1e-6)
    _, message, y = perturbed.transmit_batch(state, codebook, jax.random.key(2))
    # The mean of y is a x, and E|w|² = σ_π².
    noise = y - np.sqrt(0.95) * codebook[message]
    power = float(jnp.mean(jnp.sum(noise**2, axis=-1)))
    # The mean of 512 exponential energies has a standard error of 4 %.
    assert power == pytest.approx(0.05, rel=0.2)


def test_snr_offset_applies_to_training_alone():
    offset = dataclasses.replace(
        TINY, channel=AWGN(snr_db=0.0), training_snr_offset_db=300.0
    )
    state = initial_state(offset)
    codebook = offset.codebook(state.transmitter)
    _, message, y = offset.transmit_batch(state, codebook, jax.random.key(1))
    np.testing.assert_allclose(y, codebook[message], atol=1e-6)
    plain = dataclasses.replace(offset, training_snr_offset_db=0.0)
    got, want = (
        link.evaluate(state, jax.random.key(2), 500)["eval/bler"]
        for link in (offset, plain)
    )
    np.testing.assert_array_equal(got, want)


def test_receiver_follows_the_channel_unless_set():
    assert isinstance(initial_state(TINY).receiver, Receiver)
    fading = dataclasses.replace(TINY, channel=Rayleigh())
    assert isinstance(initial_state(fading).receiver, QuadraticReceiver)
    mlp = dataclasses.replace(fading, receiver="mlp")
    assert isinstance(initial_state(mlp).receiver, Receiver)
    equalizing = dataclasses.replace(TINY, receiver="equalizing")
    assert isinstance(initial_state(equalizing).receiver, EqualizingReceiver)
    gaussian = dataclasses.replace(TINY, receiver="gaussian")
    assert isinstance(initial_state(gaussian).receiver, GaussianReceiver)


def test_evaluation_gives_the_block_errors():
    state = initial_state(TINY)
    errors = TINY.evaluate(state, jax.random.key(1), 1000)["eval/bler"]
    assert errors.shape == (1000,)
    assert errors.dtype == bool
    # An untrained receiver guesses.
    assert 0.4 < np.mean(errors) <= 1.0


def test_the_same_seed_gives_the_same_numbers():
    first, again, other = (
        without_key(run_steps(ROTATED, initial_state(ROTATED, seed), 5))
        for seed in (0, 0, 1)
    )
    assert trees_equal(first, again)
    assert not trees_equal(first, other)


OPTIONS: dict[str, Any] = {"eval_every": 3, "eval_episodes": 20, "quiet": True}


def metrics_rows(path: Path):
    rows = map(json.loads, (path / "metrics.jsonl").read_text().splitlines())
    timed = {"wall_s", "chain"}  # A hash of the lines before, with their times.
    return [{n: x for n, x in row.items() if n not in timed} for row in rows]


@pytest.mark.slow
def test_a_resumed_run_equals_the_whole_run_and_stops_early(tmp_path):
    # The first window is an improvement; no other has a loss a hundred times lower.
    link = with_schedule(
        dataclasses.replace(TINY, receiver="mlp", initial_codebook="network"),
        patience=3,
        early_stopping_window=2,
        min_relative_improvement=0.99,
        decay="cosine",
    )
    link = with_feedback(link, delay_iterations=2, noise_std=0.1, erasure_prob=0.1)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train(link, steps=50, out=whole, **OPTIONS).steps == {0: 8}
    train(link, steps=5, out=parts, **OPTIONS)
    resume(parts, steps=50, quiet=True)
    assert load(parts).system == link
    got, want = load(parts).states[0], load(whole).states[0]
    assert trees_equal(without_key(got), without_key(want))
    assert trees_equal(*(jax.random.key_data(state.key) for state in (got, want)))
    assert metrics_rows(parts)[-1] == metrics_rows(whole)[-1]
    before = metrics_rows(whole)
    resume(whole, quiet=True)
    assert load(whole).steps == {0: 8}
    assert metrics_rows(whole) == before


def bler(link, state, blocks):
    errors = link.evaluate(state, jax.random.key(7), blocks)["eval/bler"]
    return float(np.mean(errors))


# The BLER of QPSK is 0.31 %. SPSA receives one number per batch, not 256.
@pytest.mark.parametrize(
    ("gradient", "factor"), [("policy", 1.0), ("backprop", 1.0), ("spsa", 10.0)]
)
def test_training_reaches_the_error_rate_of_qpsk(gradient, factor):
    link = dataclasses.replace(ROTATED, gradient=gradient)
    assert bler(link, initial_state(link), 50_000) > 0.5
    trained = bler(link, run_steps(link, initial_state(link), 800), 50_000)
    assert trained < factor * qpsk_bler(10.0, 16, 2)


@pytest.mark.slow
def test_training_reaches_the_error_rate_of_qpsk_within_500_iterations():
    """256 messages in 4 uses at 10 dB, as in the paper: the BLER of QPSK is 0.62 %."""
    schedule = TrainingSchedule(
        learning_rate=1e-3, receiver_lr_multiplier=1.0, receiver_warmup_iterations=50
    )
    link = Link(schedule=schedule)
    state = run_steps(link, initial_state(link), 500)
    assert bler(link, state, 100_000) < 1.2 * qpsk_bler(10.0, 256, 4)
