"""The link: what moves what, what may be poisoned, and that it learns."""

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
from syntony.networks.modems import EqualizingReceiver, GaussianReceiver, Receiver
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


def born(link, seed=0):
    """Returns a new state, to be used once: its key is consumed."""
    return link.init(jax.random.key(seed))


@partial(jax.jit, compiler_options=compiler_options())
def learn(link, state, times):
    return jax.lax.fori_loop(0, times, lambda _, state: link.step(state)[0], state)


def with_schedule(link, **constants):
    schedule = dataclasses.replace(link.schedule, **constants)
    return dataclasses.replace(link, schedule=schedule)


def with_feedback(link, **constants):
    return dataclasses.replace(link, feedback=Feedback(**constants))


def same(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def weights(state):
    """Returns all of a state but its key, which is no number."""
    return state._replace(key=None)


def assert_close(one, other, **tolerance):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, **tolerance)


@pytree_dataclass
class Turned:
    """Turns each symbol by the same angle, y = e^{0.3i} x + n: as good as Awgn."""

    snr_db: float = 10.0

    id = "turned"
    differentiable = True
    opaque = False
    fading = False

    def check(self) -> None:
        """Has nothing to check."""

    def at(self, snr_db: Any) -> "Turned":
        return dataclasses.replace(self, snr_db=snr_db)

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        turn = jnp.array([np.cos(0.3), np.sin(0.3)], jnp.float32)
        return AWGN(snr_db=self.snr_db)(key, complex_multiply(x, turn))


@jax.custom_jvp
def poison(x):
    return x


@poison.defjvp
def _(primals, tangents):
    return primals[0], tangents[0] * jnp.nan


@pytree_dataclass
class Poisoned(Turned):
    """The same, but whoever differentiates it gets NaN."""

    id = "poisoned"
    differentiable = False

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        return poison(Turned(snr_db=self.snr_db)(key, poison(x)))


OPAQUE = BlackBoxChannel(function=lambda x: np.exp(0.3j) * x)
TURNED = dataclasses.replace(TINY, channel=Turned())
NUMPY = dataclasses.replace(TINY, channel=OPAQUE)
"""What crosses NumPy runs in Python, piece by piece: nothing has to be compiled."""


def test_the_poison_works():
    x = jnp.ones((1, 1, 2))
    with pytest.raises(FloatingPointError):
        jax.grad(lambda x: jnp.sum(Poisoned()(jax.random.key(0), x)))(x)


@pytest.mark.parametrize("gradient", ["policy", "spsa"])
def test_a_channel_that_cannot_be_differentiated_changes_nothing(gradient):
    plain = dataclasses.replace(TURNED, gradient=gradient)
    want = learn(plain, born(plain), 5)
    assert not same(want.transmitter, born(plain).transmitter)
    poisoned = dataclasses.replace(plain, channel=Poisoned())
    got = learn(poisoned, born(poisoned), 5)
    assert_close(got.transmitter, want.transmitter, rtol=1e-4, atol=1e-5)
    assert_close(got.receiver, want.receiver, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gradient", ["policy", "spsa"])
def test_a_channel_in_numpy_changes_nothing(gradient):
    plain = dataclasses.replace(TURNED, channel=Turned(snr_db=300.0), gradient=gradient)
    numpy = dataclasses.replace(NUMPY, gradient=gradient)
    want, got = learn(plain, born(plain), 2), born(numpy)
    for _ in range(2):
        got, _ = numpy.step(got)
    assert not same(want.transmitter, born(plain).transmitter)
    assert_close(got.transmitter, want.transmitter, rtol=1e-3, atol=1e-4)
    assert_close(got.receiver, want.receiver, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("bad", [Poisoned(), OPAQUE, channel("quantiser?bits=2")])
def test_backprop_refuses_what_has_no_gradient(bad):
    link = dataclasses.replace(TINY, channel=bad, gradient="backprop")
    with pytest.raises(
        InvalidInputError, match=r"^gradient is 'backprop', but .*; expected"
    ):
        link.check()
    for gradient in ("policy", "spsa"):
        dataclasses.replace(link, gradient=gradient).check()


def moved(after, before):
    pairs = zip(before._fields, after, before, strict=True)
    return {name for name, a, b in pairs if name != "key" and not same(a, b)}


def test_each_side_moves_itself_alone():
    state = born(NUMPY)
    after, _ = NUMPY.train_receiver(state, jax.random.key(1))
    assert moved(after, state) == {"receiver", "receiver_memory"}
    after, _ = NUMPY.train_transmitter(state, jax.random.key(2))
    assert moved(after, state) == {"transmitter", "transmitter_memory"}


def steps_taken(memory):
    """Returns how often Adam has been asked to step."""
    (count,) = {int(x) for x in jax.tree.leaves(memory) if x.dtype == jnp.int32}
    return count


def test_each_side_takes_its_steps_and_the_transmitter_waits():
    link = with_schedule(NUMPY, receiver_steps=3, transmitter_steps=2, warm_up=2)
    state = start = born(link)
    for done in range(1, 5):
        state, _ = link.step(state)
        assert steps_taken(state.receiver_opt_state) == 3 * done
        assert steps_taken(state.transmitter_opt_state) == 2 * max(done - 2, 0)
        assert same(state.transmitter, start.transmitter) == (done <= 2)
    assert int(state.iterations) == int(link.num_steps(state)) == 4


@pytest.mark.parametrize("side", ["receiver", "transmitter"])
def test_a_step_averages_over_its_batches(side):
    """The mean of 8 batches has an eighth of the variance of one, and the same mean."""
    state = born(TINY)
    book = TINY.codebook(state.transmitter)

    def grad(batches, key):
        if side == "transmitter":
            return TINY.transmitter_gradient(state, batches, key)[2].ravel()
        grad = TINY.receiver_gradient(state, book, batches, key)[1]
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(grad)])

    def draws(batches, seed):
        keys = jax.random.split(jax.random.key(seed), 500)
        return np.asarray(draw(jnp.int32(batches), keys))

    draw = jax.jit(jax.vmap(grad, (None, 0)))
    one, eight = draws(1, seed=1), draws(8, seed=2)
    assert one.var(0).sum() / eight.var(0).sum() == pytest.approx(8.0, rel=0.15)
    error = np.sqrt((one.var(0) + eight.var(0)).sum() / 500)
    assert np.linalg.norm(one.mean(0) - eight.mean(0)) < 2.0 * error


def test_late_losses_move_the_transmitter_late_and_by_the_same():
    """Until they come the codebook stands still, and so their gradient is as it was."""
    prompt = with_schedule(NUMPY, optimiser="sgd")
    late = with_feedback(prompt, delay=3)
    state = start = born(late)
    for _ in range(3):
        state, _ = late.step(state)
        assert same(state.transmitter, start.transmitter)
    assert not same(state.pending_feedback, start.pending_feedback)
    state, _ = late.step(state)
    want, _ = prompt.step(born(prompt))
    assert not same(want.transmitter, start.transmitter)
    assert_close(state.transmitter, want.transmitter, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gradient", ["policy", "spsa"])
def test_without_feedback_the_transmitter_stays(gradient):
    link = dataclasses.replace(TURNED, gradient=gradient)
    link = with_feedback(link, erasures=1.0)
    start, state = born(link), learn(link, born(link), 3)
    assert same(state.transmitter, start.transmitter)
    assert not same(state.receiver, start.receiver)


POWERS = ("average", "codeword", "symbol", "clipped")


@pytest.mark.parametrize("power", POWERS)
def test_power_is_kept_through_training(power):
    link = dataclasses.replace(NUMPY, power_constraint=power, max_amplitude=1.1)
    state, _ = link.train_transmitter(born(link), jax.random.key(1))
    codebook = pairs_to_complex(np.asarray(link.codebook(state.transmitter)))
    energy = np.abs(codebook) ** 2
    if power == "average":
        assert energy.mean() == pytest.approx(1.0, rel=1e-5)
        assert energy.mean(axis=1).std() > 0.01
    if power == "codeword":
        np.testing.assert_allclose(energy.mean(axis=1), 1.0, rtol=1e-5)
        assert energy.std() > 0.01
    if power == "symbol":
        np.testing.assert_allclose(energy, 1.0, rtol=1e-5)
    if power == "clipped":
        assert energy.max() == pytest.approx(1.1**2, rel=1e-5)
        assert energy.mean() < 1.0


def test_exploration_reaches_the_receiver_where_asked():
    quiet = dataclasses.replace(TINY, channel=AWGN(snr_db=300.0))
    loud = dataclasses.replace(quiet, perturb_receiver_batches=True)
    state = born(quiet)
    book = quiet.codebook(state.transmitter)
    message, y = quiet.transmit_batch(state, book, jax.random.key(1))
    np.testing.assert_allclose(y, book[message], atol=1e-6)
    message, y = loud.transmit_batch(state, book, jax.random.key(2))
    # a x is sent on average, and E|w|² = σ_π².
    noise = y - np.sqrt(0.95) * book[message]
    power = float(jnp.mean(jnp.sum(noise**2, axis=-1)))
    # Of 512 exponential energies, the mean is sure to 4 %.
    assert power == pytest.approx(0.05, rel=0.2)


def test_a_link_may_learn_nearby_and_is_measured_where_it_is():
    near = dataclasses.replace(
        TINY, channel=AWGN(snr_db=0.0), training_snr_offset_db=300.0
    )
    state = born(near)
    book = near.codebook(state.transmitter)
    message, y = near.transmit_batch(state, book, jax.random.key(1))
    np.testing.assert_allclose(y, book[message], atol=1e-6)
    alone = dataclasses.replace(near, training_snr_offset_db=0.0)
    one, other = (
        link.evaluate(state, jax.random.key(2), 500)["eval/bler"]
        for link in (near, alone)
    )
    np.testing.assert_array_equal(one, other)


def test_receivers_follow_the_channel():
    assert isinstance(born(TINY).receiver, Receiver)
    fading = dataclasses.replace(TINY, channel=Rayleigh())
    assert isinstance(born(fading).receiver, EqualizingReceiver)
    plain = dataclasses.replace(fading, receiver="plain")
    assert isinstance(born(plain).receiver, Receiver)
    equalising = dataclasses.replace(TINY, receiver="equalising")
    assert isinstance(born(equalising).receiver, EqualizingReceiver)
    gaussian = dataclasses.replace(TINY, receiver="gaussian")
    assert isinstance(born(gaussian).receiver, GaussianReceiver)


def test_evaluation_says_which_blocks_are_wrong():
    state = born(TINY)
    wrong = TINY.evaluate(state, jax.random.key(1), 1000)["eval/bler"]
    assert wrong.shape == (1000,)
    assert wrong.dtype == bool
    # An untrained receiver guesses.
    assert 0.4 < np.mean(wrong) <= 1.0


def test_the_same_seed_gives_the_same_numbers():
    one, other, another = (
        weights(learn(TURNED, born(TURNED, i), 5)) for i in (0, 0, 1)
    )
    assert same(one, other)
    assert not same(one, another)


OPTIONS: dict[str, Any] = {"eval_every": 3, "eval_episodes": 20, "quiet": True}


def journal(path: Path):
    lines = map(json.loads, (path / "metrics.jsonl").read_text().splitlines())
    return [{n: x for n, x in line.items() if n != "wall_s"} for line in lines]


@pytest.mark.slow
def test_parts_make_the_whole_which_ends_when_nothing_more_is_learned(tmp_path):
    # The first window is the best so far; no other is a hundred times better.
    link = with_schedule(TINY, patience=3, window=2, progress=0.99)
    link = with_feedback(link, delay=2, noise=0.1, erasures=0.1)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train(link, steps=50, out=whole, **OPTIONS).steps == {0: 8}
    train(link, steps=5, out=parts, **OPTIONS)
    resume(parts, steps=50, quiet=True)
    assert load(parts).system == link
    got, want = load(parts).states[0], load(whole).states[0]
    assert same(weights(got), weights(want))
    assert same(*(jax.random.key_data(state.key) for state in (got, want)))
    assert journal(parts)[-1] == journal(whole)[-1]
    before = journal(whole)
    resume(whole, quiet=True)
    assert load(whole).steps == {0: 8}
    assert journal(whole) == before


def bler(link, state, blocks):
    wrong = link.evaluate(state, jax.random.key(7), blocks)["eval/bler"]
    return float(np.mean(wrong))


# QPSK errs in 0.31 % of such blocks. SPSA hears one number of a batch, not 256.
@pytest.mark.parametrize(
    ("gradient", "most"), [("policy", 1.0), ("backprop", 1.0), ("spsa", 10.0)]
)
def test_it_learns_to_be_understood(gradient, most):
    link = dataclasses.replace(TURNED, gradient=gradient)
    assert bler(link, born(link), 50_000) > 0.5
    found = bler(link, learn(link, born(link), 800), 50_000)
    assert found < most * qpsk_bler(10.0, 16, 2)


@pytest.mark.slow
def test_it_passes_qpsk_within_500_iterations():
    """256 messages in 4 uses at 10 dB, as in the paper, where QPSK errs in 0.62 %."""
    link = Link(schedule=TrainingSchedule(batch_size=1000))
    state = learn(link, born(link), 500)
    assert bler(link, state, 100_000) < 1.2 * qpsk_bler(10.0, 256, 4)
