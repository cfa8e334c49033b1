"""Signals: energy, noise, perturbations and log-likelihoods.

A complex symbol is a pair of reals on the last axis: x[..., 0] + i x[..., 1]. A block
is C symbols, one per channel use; a mean energy of 1 per use is one unit of power, and
SNR = E_s / N_0 per use.
"""

from typing import overload

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, Key


@overload
def db_to_linear(level_db: float) -> float: ...
@overload
def db_to_linear(level_db: np.ndarray) -> np.ndarray: ...
@overload
def db_to_linear(level_db: Array) -> Array: ...
def db_to_linear(
    level_db: Float[Array | np.ndarray, "..."] | float,
) -> Float[Array | np.ndarray, "..."] | float:
    """Power ratio 10^(x/10) of a level x in dB; a number or array, as x is."""
    return 10.0 ** (level_db / 10.0)


def noise_power(snr_db: Float[Array, ""] | float) -> Float[Array, ""]:
    """Noise power N_0 = 10^(−SNR/10), the variance of a complex noise sample.

    Args:
        snr_db: E_s / N_0 per channel use, in dB.
    """
    return db_to_linear(-jnp.asarray(snr_db))


def complex_to_pairs(x: Complex[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch 2"]:
    """Pairs of the real and imaginary parts of complex numbers, on the host."""
    return np.stack([np.real(x), np.imag(x)], axis=-1).astype(np.float32)


def pairs_to_complex(
    x: Float[Array | np.ndarray, "*batch 2"],
) -> Complex[np.ndarray, "*batch"]:
    """Complex numbers of pairs of real and imaginary parts, on the host."""
    pairs = np.asarray(x)
    return (pairs[..., 0] + 1j * pairs[..., 1]).astype(np.complex64)


def complex_multiply(
    a: Float[Array, "*batch 2"], b: Float[Array, "*#batch 2"]
) -> Float[Array, "*batch 2"]:
    """Product a b of complex numbers as pairs."""
    real = a[..., 0] * b[..., 0] - a[..., 1] * b[..., 1]
    imaginary = a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0]
    return jnp.stack([real, imaginary], axis=-1)


def complex_divide(
    a: Float[Array, "*batch 2"], b: Float[Array, "*#batch 2"]
) -> Float[Array, "*batch 2"]:
    """Quotient a / b = a b* / |b|² of complex numbers as pairs."""
    return complex_multiply(a, conjugate(b)) / jnp.sum(b * b, axis=-1, keepdims=True)


def conjugate(a: Float[Array, "*batch 2"]) -> Float[Array, "*batch 2"]:
    """Conjugate a* of complex numbers as pairs."""
    return a * jnp.array([1.0, -1.0], a.dtype)


def complex_noise(
    key: Key[Array, ""],
    shape: tuple[int, ...],
    variance: Float[Array, ""] | float,
) -> Float[Array, "*batch 2"]:
    """Samples of CN(0, variance), with variance / 2 in each real part.

    Args:
        key: consumed.
        shape: shape of the complex numbers, without the axis of pairs.
        variance: E|n|², in units of power.
    """
    return jnp.sqrt(variance / 2.0) * jax.random.normal(key, (*shape, 2))


def block_energy(x: Float[Array, "*batch C 2"]) -> Float[Array, "*batch"]:
    """Energy ‖x‖² of a block of C symbols."""
    return jnp.sum(x * x, axis=(-2, -1))


def mean_power(x: Float[Array, "*batch C 2"]) -> Float[Array, "*batch"]:
    """Mean energy per channel use, ‖x‖² / C."""
    return block_energy(x) / x.shape[-2]


def normalize_blocks(
    y: Float[Array, "B C 2"],
) -> tuple[Float[Array, "B C 2"], Float[Array, " B"]]:
    """Blocks with mean energy 1 per use, and the root mean square r of each block.

    A block of zeros stays as it is, with r = 0.
    """
    # Divided by the largest amplitude, whose square may not be a float32.
    largest = jnp.max(jnp.abs(y), axis=(-2, -1), keepdims=True)
    unit = y / jnp.where(largest > 0.0, largest, 1.0)
    power = mean_power(unit)[:, None, None]
    level = jnp.sqrt(jnp.where(power > 0.0, power, 1.0))
    return unit / level, (largest * level * (power > 0.0))[:, 0, 0]


def normalize_average_power(codebook: Float[Array, "M C 2"]) -> Float[Array, "M C 2"]:
    """Codewords x / √(E‖x‖² / C), with mean energy 1 per use over all M.

    Source: Aoudia & Hoydis (2018), the transmitter's normalization layer.
    """
    return codebook * jax.lax.rsqrt(jnp.mean(mean_power(codebook)))


def normalize_codeword_power(codebook: Float[Array, "M C 2"]) -> Float[Array, "M C 2"]:
    """Codewords x / √(‖x‖² / C), each with energy 1 per use."""
    return codebook * jax.lax.rsqrt(mean_power(codebook))[:, None, None]


def normalize_symbol_power(codebook: Float[Array, "M C 2"]) -> Float[Array, "M C 2"]:
    """Symbols x / |x| on the unit circle."""
    energy = jnp.sum(codebook * codebook, axis=-1, keepdims=True)
    return codebook * jax.lax.rsqrt(energy)


def clip_amplitude(
    codebook: Float[Array, "M C 2"], max_amplitude: Float[Array, ""] | float
) -> Float[Array, "M C 2"]:
    """Symbols x min(1, A / |x|), with amplitudes clipped at A and phases kept.

    Args:
        codebook: M codewords of C symbols.
        max_amplitude: A > 0, in units of the root of the mean energy per use.
    """
    energy = jnp.sum(codebook * codebook, axis=-1, keepdims=True)
    return codebook * jnp.minimum(1.0, max_amplitude * jax.lax.rsqrt(energy))


def cross_entropy(
    logits: Float[Array, "*batch M"], message: Int[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Cross-entropy −ln softmax(logits)[m], in nats.

    Source: Aoudia & Hoydis (2018), the receiver's loss for each example.
    """
    # A one-hot product: the gradient of an index is a scatter, slow on a CPU.
    one_hot = jax.nn.one_hot(message, logits.shape[-1], dtype=logits.dtype)
    return jax.nn.logsumexp(logits, axis=-1) - jnp.sum(logits * one_hot, axis=-1)


def inverse_odds(nll: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Inverse odds (1 − p) / p = e^l − 1 of an event with l = −ln p.

    For a receiver's probabilities at temperature τ they are the sum over all other
    messages Σ_{j ≠ m} (p_j / p_m)^(1/τ). Where p_j / p_m is the likelihood ratio of the
    channel, the mean is a sum of Chernoff coefficients
    ∫ p(y | m)^(1 − 1/τ) p(y | j)^(1/τ) dy: at τ = 2 the Bhattacharyya union bound.

    Args:
        nll: l ≥ 0, in nats; above 88 the result overflows float32.
    """
    return jnp.expm1(nll)


def perturb(
    x: Float[Array, "B C 2"],
    noise: Float[Array, "B C 2"],
    variance: Float[Array, ""] | float,
) -> Float[Array, "B C 2"]:
    """Perturbed symbols x_p = √(1 − σ_π²) x + w, with the mean power of x.

    For Gaussian w they are a sample of π(x_p | x) = CN(√(1 − σ_π²) x, σ_π² I).

    Args:
        x: transmitted symbols before the perturbation.
        noise: w ~ CN(0, σ_π² I), or another perturbation of that energy.
        variance: σ_π² in (0, 1), per complex use.

    Source: Aoudia & Hoydis (2018), the relaxed transmitter.
    """
    return jnp.sqrt(1.0 - variance) * x + noise


def explore_log_prob(
    sent: Float[Array, "B C 2"],
    x: Float[Array, "B C 2"],
    variance: Float[Array, ""] | float,
) -> Float[Array, " B"]:
    """Log-density ln π(x_p | x) of the perturbed symbols, in nats.

        −C ln(π σ_π²) − ‖x_p − √(1 − σ_π²) x‖² / σ_π²

    Its gradient in x is (2 √(1 − σ_π²) / σ_π²) (x_p − √(1 − σ_π²) x).

    Args:
        sent: x_p, the perturbed symbols.
        x: symbols before the perturbation.
        variance: σ_π² in (0, 1), per complex use.

    Source: Aoudia & Hoydis (2018), the density of the relaxed transmitter.
    """
    return -gaussian_nll(sent, jnp.sqrt(1.0 - variance) * x, variance)


def gaussian_nll(
    y: Float[Array, "B C 2"],
    mean: Float[Array, "B C 2"],
    variance: Float[Array, ""] | float,
) -> Float[Array, " B"]:
    """Negative log-likelihood −ln CN(y; c, v I) = C ln(π v) + ‖y − c‖² / v, in nats.

    Args:
        y: received symbols.
        mean: c.
        variance: v > 0, per complex use.
    """
    distance = jnp.sum((y - mean) ** 2, axis=(-2, -1))
    return y.shape[-2] * jnp.log(jnp.pi * variance) + distance / variance


def gaussian_mixture_log_density(
    y: Float[Array, "*#batch D 2"],
    mean: Float[Array, "*#batch D 2"],
    log_var: Float[Array, " K"],
    component_logits: Float[Array, " K"],
) -> Float[Array, "*batch"]:
    """Log-density Σ_d ln Σ_k π_k CN(y_d; μ_d, v_k) of symbols with K noise powers.

    Args:
        y: received symbols.
        mean: μ_d.
        log_var: ln v_k, of complex symbols.
        component_logits: ln π_k, before normalization.
    """
    distance = jnp.sum((y - mean) ** 2, axis=-1)[..., None]
    log_prob = jax.nn.log_softmax(component_logits)
    log_density = log_prob - log_var - distance * jnp.exp(-log_var)
    symbols = jax.nn.logsumexp(log_density, axis=-1) - jnp.log(jnp.pi)
    return jnp.sum(symbols, axis=-1)
