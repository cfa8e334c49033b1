"""Bias and variance of gradient estimators of a transmitter.

The parameters of a link are fixed, and each estimator samples the gradient with respect
to the codebook many times. Bias compares the mean of the samples with the gradient by
backpropagation; noise compares the samples with their mean.
"""

import dataclasses
import operator
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from syntony.channels.feedback import Feedback
from syntony.errors import InvalidInputError
from syntony.jax_settings import standard_jax_settings
from syntony.systems.link.gradient_estimators import PerturbationConfig
from syntony.systems.link.link import Link, LinkState
from syntony.systems.system import LearnsFromFeedback, StateT
from syntony.training.devices import compiler_options

NUM_JACKKNIFE_GROUPS = 20
"""Groups of samples in the jackknife's standard errors."""


class GradientEstimator(NamedTuple):
    """Gradient estimator of a transmitter, with its settings."""

    gradient: Literal["policy", "spsa", "backprop"]
    perturbation: PerturbationConfig
    feedback: Feedback = Feedback()


def policy_gradient_estimator(
    perturbation_variance: float = 0.02,
    baseline: Literal["none", "batch", "message"] = "none",
    *,
    antithetic: bool = False,
    loss_clip_quantile: float = 1.0,
    temperature: float = 1.0,
    feedback: Feedback | None = None,
) -> GradientEstimator:
    """Policy-gradient estimator, by default that of Aoudia & Hoydis (2018).

    Args:
        perturbation_variance: σ_π² in (0, 1), per complex use.
        baseline: mean of the losses that is subtracted: of none, of the batch, or of
            the other blocks of the message.
        antithetic: whether perturbations come in pairs w and −w.
        loss_clip_quantile: quantile at which losses are clipped; 1: not at all.
        temperature: τ of the receiver's probabilities in the loss.
        feedback: feedback link; None: a perfect one.
    """
    perturbation = PerturbationConfig(
        perturbation_variance=perturbation_variance,
        final_perturbation_variance=perturbation_variance,
        baseline=baseline,
        antithetic=antithetic,
        loss_clip_quantile=loss_clip_quantile,
        temperature=temperature,
    )
    return GradientEstimator("policy", perturbation, feedback or Feedback())


def quantized_feedback(bits: int, bit_flip_prob: float = 0.0) -> Feedback:
    """Feedback by the quantizer of Song et al. (2019), clipped at the 95 % quantile."""
    return Feedback(bits=bits, clip_quantile=0.95, bit_flip_prob=bit_flip_prob)


GRADIENT_ESTIMATORS = {
    "model": GradientEstimator("backprop", PerturbationConfig(temperature=1.0)),
    "paper": policy_gradient_estimator(),
    "variance 0.005": policy_gradient_estimator(0.005),
    "variance 0.05": policy_gradient_estimator(0.05),
    "variance 0.1": policy_gradient_estimator(0.1),
    "batch baseline": policy_gradient_estimator(baseline="batch"),
    "message baseline": policy_gradient_estimator(baseline="message"),
    "antithetic": policy_gradient_estimator(antithetic=True),
    "antithetic, variance 0.05": policy_gradient_estimator(0.05, antithetic=True),
    "clipped at 95 %, batch baseline": policy_gradient_estimator(
        baseline="batch", loss_clip_quantile=0.95
    ),
    "clipped at 95 %, antithetic": policy_gradient_estimator(
        antithetic=True, loss_clip_quantile=0.95
    ),
    "noise 0.32": policy_gradient_estimator(feedback=Feedback(noise_std=0.32)),
    "noise 1": policy_gradient_estimator(feedback=Feedback(noise_std=1.0)),
    "1 bit": policy_gradient_estimator(feedback=quantized_feedback(1)),
    "1 bit, batch baseline": policy_gradient_estimator(
        baseline="batch", feedback=quantized_feedback(1)
    ),
    "1 bit, 10 % flips, batch baseline": policy_gradient_estimator(
        baseline="batch", feedback=quantized_feedback(1, bit_flip_prob=0.1)
    ),
    "4 bits, batch baseline": policy_gradient_estimator(
        baseline="batch", feedback=quantized_feedback(4)
    ),
    "tempered, antithetic": policy_gradient_estimator(antithetic=True, temperature=2.0),
    "tempered, antithetic, variance 0.05": policy_gradient_estimator(
        0.05, antithetic=True, temperature=2.0
    ),
    "tempered model": GradientEstimator(
        "backprop", PerturbationConfig(temperature=2.0)
    ),
    "spsa": GradientEstimator("spsa", PerturbationConfig(temperature=1.0)),
}
"""Compared estimators by name. By default σ_π² is 0.02 and τ is 1; those called
tempered have τ = 2 and are compared with "tempered model"."""


class Measurement(NamedTuple):
    """Measured value and its standard error."""

    value: float
    standard_error: float


class GradientQuality(NamedTuple):
    """Quality of an estimator ĝ of a gradient g."""

    mean_cosine_similarity: Measurement
    """cos(E ĝ, g): 1 if the mean has the right direction."""
    norm_ratio: Measurement
    """‖E ĝ‖ / ‖g‖: 1 if the mean has the right norm."""
    noise_to_signal: Measurement
    """E‖ĝ − E ĝ‖² / ‖E ĝ‖²: variance of one batch over its squared mean."""
    cosine_similarity: Measurement
    """E cos(ĝ, g): cosine similarity of one batch."""


@standard_jax_settings()
def train_for(link: Link, state: LinkState, iterations: int) -> LinkState:
    """Training state after a number of iterations, counted from its start.

    Args:
        link: settings of the link.
        state: state to continue from.
        iterations: total number of iterations.
    """
    program = jax.jit(_train_until, compiler_options=compiler_options())
    return program(link, state, jnp.int32(iterations))


def _train_until(link: Link, state: LinkState, iterations: Int[Array, ""]) -> LinkState:
    return jax.lax.while_loop(
        lambda state: state.iterations < iterations,
        lambda state: link.step(state)[0],
        state,
    )


def with_gradient_estimator(link: Link, estimator: GradientEstimator) -> Link:
    """Link with another gradient estimator of the transmitter.

    The feedback's delay is set to 0: it has no effect while the parameters are fixed.

    Args:
        link: settings of the link.
        estimator: the new estimator.

    Raises:
        InvalidInputError: the settings do not fit together, or the channel is a black
            box.
    """
    feedback = dataclasses.replace(estimator.feedback, delay_iterations=0)
    result = dataclasses.replace(
        link,
        gradient=estimator.gradient,
        perturbation=estimator.perturbation,
        feedback=feedback,
    )
    result.check()
    if result.channel.is_black_box:
        raise InvalidInputError(
            f"{result.channel.id} is a black box without a gradient; expected a "
            "channel in JAX, for the gradient by backpropagation"
        )
    return result


def sample_gradients(
    link: LearnsFromFeedback[StateT],
    state: StateT,
    key: Key[Array, ""],
    num_batches: int,
) -> tuple[Float[np.ndarray, "B D"], float]:
    """Sampled gradients with respect to the codebook, and the mean loss.

    Args:
        link: settings of the link.
        state: its training state, which stays fixed.
        key: consumed.
        num_batches: B batches, one row of the result each.
    """
    program = jax.jit(
        partial(_sample_gradients, num_batches=num_batches),
        compiler_options=compiler_options(),
    )
    gradients, losses = jax.device_get(program(link, state, key))
    return gradients, float(np.mean(losses, dtype=np.float64))


def _sample_gradients(
    link: LearnsFromFeedback[StateT],
    state: StateT,
    key: Key[Array, ""],
    *,
    num_batches: int,
) -> tuple[Float[Array, "B D"], Float[Array, " B"]]:
    def sample_gradient(key: Key[Array, ""]) -> tuple[Array, Array]:
        loss, gradient = link.sample_gradient(state, key)
        return gradient.reshape(-1), loss

    # Sequentially: one batch fits into the cache, many do not.
    return jax.lax.map(sample_gradient, jax.random.split(key, num_batches))


class GradientSums(NamedTuple):
    """Sums over gradient samples ĝ, from which their quality is computed."""

    num_samples: int
    gradient_sum: Float[np.ndarray, " D"]
    """Σ ĝ"""
    squared_norm_sum: float
    """Σ ‖ĝ‖²"""
    unit_vector_sum: Float[np.ndarray, " D"]
    """Σ ĝ / ‖ĝ‖"""

    def subtract(self, other: "GradientSums") -> "GradientSums":
        """Sums without the samples of `other`."""
        return jax.tree.map(operator.sub, self, other)

    @property
    def signal_power(self) -> float:
        """Unbiased estimate of ‖E ĝ‖², the mean of ĝ_i · ĝ_j over i ≠ j."""
        products = np.sum(self.gradient_sum**2) - self.squared_norm_sum
        return float(products / (self.num_samples * (self.num_samples - 1)))


@standard_jax_settings()
def measure_gradient_quality(
    samples: Float[np.ndarray, "B D"], reference_samples: Float[np.ndarray, "R D"]
) -> GradientQuality:
    """Quality of gradient samples, compared with samples of the true gradient.

    Both means are noisy; squared norms are computed from products of different samples,
    which the noise does not bias. Standard errors are the jackknife's over groups of
    samples. Values are NaN where the samples are too few to detect the signal.

    Args:
        samples: ĝ, one row per batch; at least 40.
        reference_samples: g, one row per batch, independent of `samples`; at least 40.

    Source: Quenouille (1956), Tukey (1958), the jackknife.
    """
    groups, reference_groups = _sum_groups(samples), _sum_groups(reference_samples)
    total, reference_total = _merge_sums(groups), _merge_sums(reference_groups)
    values = _quality_values(total, reference_total)
    leave_one_out = np.stack(
        [
            _quality_values(total.subtract(a), reference_total.subtract(b))
            for a, b in zip(groups, reference_groups, strict=True)
        ]
    )
    squares = np.sum((leave_one_out - leave_one_out.mean(axis=0)) ** 2, axis=0)
    errors = np.sqrt((NUM_JACKKNIFE_GROUPS - 1) / NUM_JACKKNIFE_GROUPS * squares)
    pairs = zip(values, errors, strict=True)
    return GradientQuality(
        *(Measurement(float(value), float(error)) for value, error in pairs)
    )


def _quality_values(
    sums: GradientSums, reference_sums: GradientSums
) -> Float[np.ndarray, " 4"]:
    with np.errstate(invalid="ignore", divide="ignore"):
        norm, reference_norm = np.sqrt([sums.signal_power, reference_sums.signal_power])
        reference_mean = reference_sums.gradient_sum / reference_sums.num_samples
        direction = reference_mean / reference_norm
        mean_cosine = sums.gradient_sum / sums.num_samples @ direction / norm
        noise = sums.squared_norm_sum / sums.num_samples / norm**2 - 1.0
        cosine = sums.unit_vector_sum / sums.num_samples @ direction
        return np.array([mean_cosine, norm / reference_norm, noise, cosine])


def _sum_groups(samples: Float[np.ndarray, "B D"]) -> list[GradientSums]:
    groups = np.array_split(samples.astype(np.float64), NUM_JACKKNIFE_GROUPS)
    return [_sum_gradients(group) for group in groups]


def _sum_gradients(gradients: Float[np.ndarray, "B D"]) -> GradientSums:
    squares = np.sum(gradients**2, axis=1)
    # A gradient of zero, from losses that are all equal, has no direction.
    norms = np.sqrt(np.where(squares > 0.0, squares, 1.0))
    directions = np.sum(gradients / norms[:, None], axis=0)
    return GradientSums(
        len(gradients), gradients.sum(axis=0), squares.sum(), directions
    )


def _merge_sums(groups: list[GradientSums]) -> GradientSums:
    return jax.tree.map(lambda *parts: sum(parts), *groups)
