"""Amplifier, IQ imbalance and quantizer against their formulas in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from syntony.channels.amplifier import Amplifier
from syntony.channels.iq_imbalance import IQImbalance
from syntony.channels.quantizer import Quantizer
from syntony.channels.saleh import Saleh
from syntony.equations.signal import complex_to_pairs, pairs_to_complex


def signal(scale: float = 1.0) -> NDArray[np.complex64]:
    draws = np.random.default_rng(0).normal(size=(2, 250, 4))
    return (scale * (draws[0] + 1j * draws[1]) / np.sqrt(2)).astype(np.complex64)


def apply(channel, x: NDArray[np.complex64]) -> NDArray[np.complex64]:
    return pairs_to_complex(
        channel(jax.random.key(1), jnp.asarray(complex_to_pairs(x)))
    )


@given(p=st.floats(0.5, 20.0), b=st.floats(-6.0, 12.0), am_pm=st.floats(-60.0, 60.0))
@settings(max_examples=25, deadline=None)
def test_amplifier_is_rapp_amplitude_and_saleh_phase(p: float, b: float, am_pm: float):
    x = signal()
    saturation = 10 ** (b / 20)
    r = abs(x.astype(np.complex128)) / saturation
    expected = x / (1 + r ** (2 * p)) ** (1 / (2 * p))
    expected = expected * np.exp(1j * np.deg2rad(am_pm) * r**2 / (1 + r**2))
    y = apply(Amplifier(smoothness=p, backoff_db=b, am_pm_deg=am_pm), x)
    np.testing.assert_allclose(y, expected, rtol=2e-4, atol=2e-5)


def test_amplifier_by_hand():
    # p = 1 and A = A_sat = 1: 1 / √2, rotated by half of 60 degrees.
    y = apply(
        Amplifier(smoothness=1.0, backoff_db=0.0, am_pm_deg=60.0),
        np.ones((1, 1), np.complex64),
    )
    np.testing.assert_allclose(y, [[np.exp(1j * np.pi / 6) / np.sqrt(2)]], rtol=1e-5)


def test_amplifier_is_linear_for_weak_and_saturates_for_strong_signals():
    amplifier = Amplifier(smoothness=3.0, backoff_db=6.0)
    weak, strong = signal(1e-3), signal(1e6)
    np.testing.assert_allclose(apply(amplifier, weak), weak, rtol=1e-4)
    np.testing.assert_allclose(abs(apply(amplifier, strong)), 10**0.3, rtol=1e-4)


def test_amplifier_approaches_a_limiter():
    x = signal()
    amplitude = abs(apply(Amplifier(smoothness=100.0, backoff_db=0.0), x))
    np.testing.assert_allclose(amplitude, np.minimum(abs(x), 1.0), atol=4e-3)


@pytest.mark.parametrize("smoothness", [0.1, 0.5, 100.0])
def test_amplifier_has_a_gradient_at_zero(smoothness: float):
    amplifier = Amplifier(smoothness=smoothness)

    def output_sum(x: jax.Array) -> jax.Array:
        return jnp.sum(amplifier(jax.random.key(0), x))

    gradient = jax.grad(output_sum)(jnp.zeros((1, 2, 2)))
    np.testing.assert_allclose(gradient, 1.0, atol=0.02)


@given(gain=st.floats(-6.0, 6.0), phase=st.floats(-30.0, 30.0))
@settings(max_examples=25, deadline=None)
def test_iq_imbalance_adds_an_image(gain: float, phase: float):
    x = signal()
    y = apply(IQImbalance(gain_db=gain, phase_deg=phase), x)
    columns = np.stack([x.ravel(), x.ravel().conj()], axis=1).astype(np.complex128)
    (mu, nu), *_ = np.linalg.lstsq(columns, y.ravel(), rcond=None)
    np.testing.assert_allclose(columns @ [mu, nu], y.ravel(), atol=1e-5)
    imbalance = 10 ** (gain / 20) * np.exp(1j * np.deg2rad(phase))
    assert mu == pytest.approx((1 + imbalance.conj()) / 2, abs=1e-5)
    assert nu == pytest.approx((1 - imbalance) / 2, abs=1e-5)


def test_image_rejection_equals_its_formula():
    # To first order IRR = 4 / ((g − 1)² + φ²), here 22.5 dB.
    x = signal()
    y = apply(IQImbalance(), x)
    nu = np.vdot(x.conj(), y) - np.vdot(x.conj(), x) * np.vdot(x, y) / np.vdot(x, x)
    nu /= np.vdot(x, x) - abs(np.vdot(x.conj(), x)) ** 2 / np.vdot(x, x)
    mu = (np.vdot(x, y) - nu * np.vdot(x, x.conj())) / np.vdot(x, x)
    g, phase = 10 ** (1 / 20), np.deg2rad(5)
    powers = np.array([2 * g * np.cos(phase), -2 * g * np.cos(phase)]) + 1 + g**2
    rejection = 10 * np.log10(abs(mu / nu) ** 2)
    assert rejection == pytest.approx(10 * np.log10(powers[0] / powers[1]), abs=1e-2)
    first_order = 10 * np.log10(4 / ((g - 1) ** 2 + phase**2))
    assert rejection == pytest.approx(first_order, abs=0.6)


def test_balanced_branches_change_nothing():
    x = signal()
    y = apply(IQImbalance(gain_db=0.0, phase_deg=0.0), x)
    np.testing.assert_allclose(y, x, atol=1e-7)


@given(bits=st.integers(1, 6), full_scale=st.floats(0.1, 4.0))
@settings(max_examples=25, deadline=None)
def test_quantizer_rounds_to_the_nearest_level(bits: int, full_scale: float):
    x = signal()
    y = apply(Quantizer(bits=bits, full_scale=full_scale), x)
    step = 2 * full_scale / 2**bits
    levels = -full_scale + step * (np.arange(2**bits) + 0.5)
    for value, result in ((x.real, y.real), (x.imag, y.imag)):
        distance = abs(value[..., None] - levels)
        nearest = levels[np.argmin(distance, axis=-1)]
        # Half-way between two levels, rounding in float32 may give either.
        clear = np.sort(distance, axis=-1)[..., :2] @ [-1, 1] > 1e-4
        np.testing.assert_allclose(result[clear], nearest[clear], rtol=1e-4, atol=1e-5)
        assert np.mean(clear) > 0.98


def test_one_bit_is_the_sign():
    x = signal()
    y = apply(Quantizer(bits=1, full_scale=2.0), x)
    np.testing.assert_array_equal(y, np.sign(x.real) + 1j * np.sign(x.imag))


def test_saleh_amplifier_against_numpy():
    """Beside the equations: saturation at r = 1 / √β, and less beyond it."""
    saleh, rng = Saleh(), np.random.default_rng(0)
    x = rng.normal(size=(50, 4)) + 1j * rng.normal(size=(50, 4))
    y = pairs_to_complex(saleh(jax.random.key(0), jnp.asarray(complex_to_pairs(x))))
    r = abs(x)
    want = x * 2.1587 / (1 + 1.1517 * r**2)
    want = want * np.exp(1j * 4.0033 * r**2 / (1 + 9.104 * r**2))
    np.testing.assert_allclose(y, want, atol=1e-5)
    assert np.max(abs(y)) <= 2.1587 / (2 * np.sqrt(1.1517)) + 1e-5
    # Some symbols are far beyond saturation.
    assert np.max(r) > 2 / np.sqrt(1.1517)
