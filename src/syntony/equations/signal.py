"""Signals: energy, noise, exploration, and how surprised a receiver is.

Inside, a complex symbol is a pair of reals on the last axis: x[..., 0] + i x[..., 1]. A
block is C symbols, one for each use of the channel; a mean energy of 1 a use is one
unit of power, and SNR = E_s / N_0 a use.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, Key


def noise_power(snr_db: Float[Array, ""] | float) -> Float[Array, ""]:
    """Returns N_0 = 10^(−SNR/10), the variance of a complex noise sample.

    Args:
        snr_db: E_s / N_0 a channel use, in dB.
    """
    return 10.0 ** (-jnp.asarray(snr_db) / 10.0)


def complex_to_pairs(x: Complex[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch 2"]:
    """Returns complex numbers as pairs of real and imaginary part, on the host."""
    return np.stack([np.real(x), np.imag(x)], axis=-1).astype(np.float32)


def pairs_to_complex(
    x: Float[Array | np.ndarray, "*batch 2"],
) -> Complex[np.ndarray, "*batch"]:
    """Returns pairs as complex numbers, on the host."""
    pairs = np.asarray(x)
    return (pairs[..., 0] + 1j * pairs[..., 1]).astype(np.complex64)


def complex_multiply(
    a: Float[Array, "*batch 2"], b: Float[Array, "*#batch 2"]
) -> Float[Array, "*batch 2"]:
    """Returns a b, of complex numbers as pairs."""
    real = a[..., 0] * b[..., 0] - a[..., 1] * b[..., 1]
    imaginary = a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0]
    return jnp.stack([real, imaginary], axis=-1)


def complex_divide(
    a: Float[Array, "*batch 2"], b: Float[Array, "*#batch 2"]
) -> Float[Array, "*batch 2"]:
    """Returns a / b = a b* / |b|², of complex numbers as pairs."""
    return complex_multiply(a, conjugate(b)) / jnp.sum(b * b, axis=-1, keepdims=True)


def conjugate(a: Float[Array, "*batch 2"]) -> Float[Array, "*batch 2"]:
    """Returns a*, of complex numbers as pairs."""
    return a * jnp.array([1.0, -1.0], a.dtype)


def complex_noise(
    key: Key[Array, ""],
    shape: tuple[int, ...],
    variance: Float[Array, ""] | float,
) -> Float[Array, "*batch 2"]:
    """Returns draws of CN(0, variance): variance / 2 in each real part.

    Args:
        shape: of the complex numbers, without the axis of their parts.
        variance: E|n|², in units of power.
    """
    return jnp.sqrt(variance / 2.0) * jax.random.normal(key, (*shape, 2))


def mean_power(x: Float[Array, "*batch C 2"]) -> Float[Array, "*batch"]:
    """Returns ‖x‖² / C, the mean energy of a channel use."""
    return jnp.sum(x * x, axis=(-2, -1)) / x.shape[-2]


def normalize_average_power(codebook: Float[Array, "M C 2"]) -> Float[Array, "M C 2"]:
    """Returns x / √(E‖x‖² / C): codewords whose mean energy, over all M, is 1 a use.

    Source: Aoudia & Hoydis (2018), the transmitter's normalisation layer.
    """
    return codebook * jax.lax.rsqrt(jnp.mean(mean_power(codebook)))


def normalize_codeword_power(codebook: Float[Array, "M C 2"]) -> Float[Array, "M C 2"]:
    """Returns x / √(‖x‖² / C): every codeword has energy 1 a use."""
    return codebook * jax.lax.rsqrt(mean_power(codebook))[:, None, None]


def normalize_symbol_power(codebook: Float[Array, "M C 2"]) -> Float[Array, "M C 2"]:
    """Returns x / |x|: every symbol lies on the unit circle."""
    energy = jnp.sum(codebook * codebook, axis=-1, keepdims=True)
    return codebook * jax.lax.rsqrt(energy)


def clip_amplitude(
    codebook: Float[Array, "M C 2"], max_amplitude: Float[Array, ""] | float
) -> Float[Array, "M C 2"]:
    """Returns x min(1, A / |x|): no symbol is stronger than A, directions stay.

    Args:
        largest: A > 0, in units of the root of the mean energy a use.
    """
    energy = jnp.sum(codebook * codebook, axis=-1, keepdims=True)
    return codebook * jnp.minimum(1.0, max_amplitude * jax.lax.rsqrt(energy))


def cross_entropy(
    logits: Float[Array, "*batch M"], message: Int[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Returns −ln softmax(logits)[m], in nats.

    Source: Aoudia & Hoydis (2018), the receiver's loss for each example.
    """
    # A one-hot product: the gradient of an index is a scatter, slow on a CPU.
    sent = jax.nn.one_hot(message, logits.shape[-1], dtype=logits.dtype)
    return jax.nn.logsumexp(logits, axis=-1) - jnp.sum(logits * sent, axis=-1)


def inverse_odds(nll: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Returns (1 − p) / p = e^l − 1, the odds against what has surprise l = −ln p.

    Of a receiver's tempered probabilities they are Σ_{j ≠ m} (p_j / p_m)^(1/τ): each
    neighbour of a message adds its own share, however many there are. Where p_j / p_m
    is the channel's ratio of likelihoods, the mean is a sum of Chernoff's coefficients
    ∫ p(y | m)^(1 − 1/τ) p(y | j)^(1/τ) dy: at τ = 2 Bhattacharyya's union bound.

    Args:
        surprise: l ≥ 0, in nats; above 88 it overflows.
    """
    return jnp.expm1(nll)


def perturb(
    x: Float[Array, "B C 2"],
    noise: Float[Array, "B C 2"],
    variance: Float[Array, ""] | float,
) -> Float[Array, "B C 2"]:
    """Returns x_p = √(1 − σ_π²) x + w; its mean power is that of x.

    Of Gaussian w it is a draw of π(x_p | x) = CN(√(1 − σ_π²) x, σ_π² I).

    Args:
        noise: w ~ CN(0, σ_π² I), or of that energy.
        variance: σ_π² in (0, 1), a complex use.

    Source: Aoudia & Hoydis (2018), the relaxed transmitter.
    """
    return jnp.sqrt(1.0 - variance) * x + noise


def explore_log_prob(
    sent: Float[Array, "B C 2"],
    x: Float[Array, "B C 2"],
    variance: Float[Array, ""] | float,
) -> Float[Array, " B"]:
    """Returns ln π(x_p | x) = −C ln(π σ_π²) − ‖x_p − √(1 − σ_π²) x‖² / σ_π², in nats.

    Its gradient in x is (2 √(1 − σ_π²) / σ_π²) (x_p − √(1 − σ_π²) x).

    Args:
        sent: x_p, what was sent in place of x.
        variance: σ_π² in (0, 1), a complex use.

    Source: Aoudia & Hoydis (2018), the density of the relaxed transmitter.
    """
    return -gaussian_nll(sent, jnp.sqrt(1.0 - variance) * x, variance)


def gaussian_nll(
    y: Float[Array, "B C 2"],
    mean: Float[Array, "B C 2"],
    variance: Float[Array, ""] | float,
) -> Float[Array, " B"]:
    """Returns −ln CN(y; c, v I) = C ln(π v) + ‖y − c‖² / v, in nats.

    Args:
        variance: v > 0, a complex use.
    """
    distance = jnp.sum((y - mean) ** 2, axis=(-2, -1))
    return y.shape[-2] * jnp.log(jnp.pi * variance) + distance / variance
