"""Receivers: losses, gradients and decisions, against NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from syntony.networks.modems import GaussianReceiver, Receiver
from syntony.systems.link.receiver import (
    MAX_CHUNK_ROWS,
    block_errors,
    block_nll,
    num_chunks,
    receiver_loss_and_grad,
)

# More rows than a chunk has: in several chunks and, for a prime number, in one.
BATCHES = (10, MAX_CHUNK_ROWS, 2 * MAX_CHUNK_ROWS + 500, 4 * MAX_CHUNK_ROWS + 3)


@pytest.fixture(params=BATCHES)
def batch(request):
    """A receiver, received blocks and transmitted messages."""
    receiver = Receiver(2, 16, 8, key=jax.random.key(0))
    rng = np.random.default_rng(request.param)
    y = rng.normal(size=(request.param, 2, 2)).astype(np.float32)
    message = rng.integers(0, 8, request.param).astype(np.int32)
    return receiver, y, message


def numpy_logits(receiver, y):
    first, last = [
        (np.float64(layer.weight), np.float64(layer.bias))
        for layer in receiver.mlp.layers
    ]
    hidden = np.maximum(y.reshape(len(y), -1) @ first[0] + first[1], 0.0)
    return hidden, hidden @ last[0] + last[1]


def test_block_nll_is_minus_the_log_probability(batch):
    receiver, y, message = batch
    _, logits = numpy_logits(receiver, y)
    rows = np.arange(len(y))
    expected = -log_softmax(logits, axis=1)[rows, message]
    np.testing.assert_allclose(block_nll(receiver, y, message), expected, rtol=1e-5)
    tempered = -log_softmax(logits / 2.0, axis=1)[rows, message]
    got = block_nll(receiver, y, message, 2.0)
    np.testing.assert_allclose(got, tempered, rtol=1e-5)


def test_gradient_is_the_mean_over_all_rows(batch):
    receiver, y, message = batch
    hidden, logits = numpy_logits(receiver, y)
    residual = np.exp(log_softmax(logits, axis=1)) - np.eye(8)[message]
    loss, grad = receiver_loss_and_grad(receiver, y, message)
    assert isinstance(grad, Receiver)
    last = grad.mlp.layers[-1]
    np.testing.assert_allclose(
        loss, np.mean(block_nll(receiver, y, message)), rtol=1e-5
    )
    np.testing.assert_allclose(last.bias, residual.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(last.weight, hidden.T @ residual / len(y), atol=1e-6)


def test_gaussian_receiver_has_the_gradient_of_its_likelihood(key):
    """∂/∂c_m of ‖y − c_m‖² / v is 2 (c_m − ȳ_m) / v, of ln v it is C − ‖y − c_m‖² / v.

    Its reported loss is the cross-entropy −ln p(m | y) all the same.
    """
    receiver = GaussianReceiver(2, 3, key=key)
    rng = np.random.default_rng(0)
    y = rng.normal(size=(2 * MAX_CHUNK_ROWS, 2, 2)).astype(np.float32)
    message = rng.integers(0, 3, len(y)).astype(np.int32)
    receiver = eqx.tree_at(lambda r: r.log_var, receiver, jnp.log(0.4))
    loss, grad = receiver_loss_and_grad(receiver, y, message)
    assert isinstance(grad, GaussianReceiver)
    np.testing.assert_allclose(
        loss, np.mean(block_nll(receiver, y, message)), rtol=1e-5
    )
    offset = np.asarray(receiver.centroids)[message] - y
    want = [2 / 0.4 * offset[message == m].sum(axis=0) / len(y) for m in range(3)]
    np.testing.assert_allclose(grad.centroids, want, atol=1e-4)
    want = 2 - np.mean(np.sum(offset**2, axis=(1, 2))) / 0.4
    np.testing.assert_allclose(grad.log_var, want, rtol=1e-4)


def test_block_errors_are_those_of_the_largest_logit(batch):
    receiver, y, message = batch
    _, logits = numpy_logits(receiver, y)
    errors = np.asarray(block_errors(receiver, y, message))
    assert 0 < errors.sum() < len(errors)
    np.testing.assert_array_equal(errors, logits.argmax(axis=1) != message)


@given(st.integers(1, 100_000))
def test_chunks_are_equal_and_neither_large_nor_tiny(rows):
    count = num_chunks(rows)
    assert rows % count == 0
    assert count == 1 or MAX_CHUNK_ROWS // 8 <= rows // count <= MAX_CHUNK_ROWS
    if rows % MAX_CHUNK_ROWS == 0:
        assert count == rows // MAX_CHUNK_ROWS


def test_a_prime_number_of_rows_is_one_chunk():
    assert num_chunks(10_007) == 1
