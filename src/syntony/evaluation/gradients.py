"""How good a transmitter's gradients are: where they point, and how noisy they are.

A link is frozen, and each estimator draws the gradient in its codebook many times. The
mean of the draws is held against the gradient of the model itself, and the draws
against their mean.
"""

import dataclasses
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from syntony.channels.feedback import Feedback
from syntony.errors import InvalidInputError
from syntony.systems.link.gradient_estimators import PerturbationConfig
from syntony.systems.link.link import Link, LinkState
from syntony.training.devices import compiler_options

NUM_JACKKNIFE_GROUPS = 20
"""Parts that the draws are cut into, to see how much what they say varies."""


class GradientEstimator(NamedTuple):
    """One way for a transmitter to learn its gradient."""

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
    """Returns a policy gradient: by default that of Aoudia & Hoydis (2018)."""
    exploration = PerturbationConfig(
        perturbation_variance=perturbation_variance,
        final_perturbation_variance=perturbation_variance,
        baseline=baseline,
        antithetic=antithetic,
        loss_clip_quantile=loss_clip_quantile,
        temperature=temperature,
    )
    return GradientEstimator("policy", exploration, feedback or Feedback())


def quantized_feedback(bits: int, bit_flip_prob: float = 0.0) -> Feedback:
    """Returns losses by the quantiser of Song et al. (2019), clipped at 95 %."""
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
"""What is compared, by name. Unless said σ_π² is 0.02 and the losses are those of the
receiver, τ = 1; tempered ones have τ = 2, and a gradient of their own."""


class Measurement(NamedTuple):
    """A number, and its standard error."""

    value: float
    standard_error: float


class GradientQuality(NamedTuple):
    """An estimator ĝ of a gradient g, in numbers."""

    mean_cosine_similarity: Measurement
    """cos(E ĝ, g): 1 where the mean points the right way."""
    norm_ratio: Measurement
    """‖E ĝ‖ / ‖g‖: 1 where the mean is as long as it should be."""
    noise_to_signal: Measurement
    """E‖ĝ − E ĝ‖² / ‖E ĝ‖²: how much stronger than its signal a batch's noise is."""
    cosine_similarity: Measurement
    """E cos(ĝ, g): what a single batch knows of the right way."""


def train_for(link: Link, state: LinkState, iterations: int) -> LinkState:
    """Returns the link after so many iterations, counted from its start."""
    program = jax.jit(_train_until, compiler_options=compiler_options())
    return program(link, state, jnp.int32(iterations))


def _train_until(link: Link, state: LinkState, iterations: Int[Array, ""]) -> LinkState:
    return jax.lax.while_loop(
        lambda state: state.iterations < iterations,
        lambda state: link.step(state)[0],
        state,
    )


def with_gradient_estimator(link: Link, estimator: GradientEstimator) -> Link:
    """Returns a link whose transmitter would learn in that way.

    A link that stands still does not mind how late losses are.

    Raises:
        BadInput: it cannot learn in that way.
    """
    feedback = dataclasses.replace(estimator.feedback, delay_iterations=0)
    found = dataclasses.replace(
        link,
        gradient=estimator.gradient,
        exploration=estimator.perturbation,
        feedback=feedback,
    )
    found.check()
    if found.channel.is_black_box:
        raise InvalidInputError(
            f"{found.channel.id} is a black box without a gradient; expected a channel "
            "in JAX, whose gradient says what is right"
        )
    return found


def sample_gradients(
    link: Link, state: LinkState, key: Key[Array, ""], num_batches: int
) -> tuple[Float[np.ndarray, "S D"], float]:
    """Returns the gradient in the codebook, one row a batch, and the mean loss."""
    program = jax.jit(
        partial(_sample_gradients, num_batches=num_batches),
        compiler_options=compiler_options(),
    )
    gradients, losses = jax.device_get(program(link, state, key))
    return gradients, float(np.mean(losses, dtype=np.float64))


def _sample_gradients(
    link: Link, state: LinkState, key: Key[Array, ""], *, num_batches: int
) -> tuple[Float[Array, "S D"], Float[Array, " S"]]:
    codebook = link.codebook(state.transmitter)

    def draw(key: Key[Array, ""]) -> tuple[Array, Array]:
        _, loss, gradient = link.estimate_gradient(state, codebook, key)
        return gradient.reshape(-1), loss

    # One after the other: a batch fits into the cache, many do not.
    return jax.lax.map(draw, jax.random.split(key, num_batches))


class GradientSums(NamedTuple):
    """What many draws add up to: all that their quality follows from."""

    num_samples: Any
    gradient_sum: Any
    """Σ ĝ"""
    squared_norm_sum: Any
    """Σ ‖ĝ‖²"""
    unit_vector_sum: Any
    """Σ ĝ / ‖ĝ‖"""

    def subtract(self, other: "GradientSums") -> "GradientSums":
        return GradientSums(*(a - b for a, b in zip(self, other, strict=True)))

    @property
    def signal_power(self) -> float:
        """Returns ‖E ĝ‖², without the noise that is still in the mean of the draws."""
        between = np.sum(self.gradient_sum**2) - self.squared_norm_sum
        return float(between / (self.num_samples * (self.num_samples - 1)))


def measure_gradient_quality(
    samples: Float[np.ndarray, "S D"], reference_samples: Float[np.ndarray, "T D"]
) -> GradientQuality:
    """Returns how good draws of a gradient are, given draws of the true one.

    Both are samples, and both means are noisy; squared lengths are products of
    different draws, so that no noise adds to them. Standard errors are the jackknife's
    over groups of draws. NaN is where the draws are too few to tell the signal.

    Args:
        drawn: ĝ, one row a batch; at least 40.
        truth: g, one row a batch, independent of `drawn`; at least 40.

    Source: Quenouille (1956), Tukey (1958), the jackknife.
    """
    ours, theirs = _sum_groups(samples), _sum_groups(reference_samples)
    every = _quality_values(_merge_sums(ours), _merge_sums(theirs))
    left_out = np.stack(
        [
            _quality_values(
                _merge_sums(ours).subtract(a), _merge_sums(theirs).subtract(b)
            )
            for a, b in zip(ours, theirs, strict=True)
        ]
    )
    spread = np.sum((left_out - left_out.mean(axis=0)) ** 2, axis=0)
    errors = np.sqrt((NUM_JACKKNIFE_GROUPS - 1) / NUM_JACKKNIFE_GROUPS * spread)
    pairs = zip(every, errors, strict=True)
    return GradientQuality(
        *(Measurement(float(value), float(error)) for value, error in pairs)
    )


def _quality_values(
    sums: GradientSums, reference_sums: GradientSums
) -> Float[np.ndarray, " 4"]:
    with np.errstate(invalid="ignore", divide="ignore"):
        length, right_length = np.sqrt([sums.signal_power, reference_sums.signal_power])
        right = reference_sums.gradient_sum / reference_sums.num_samples / right_length
        alignment = sums.gradient_sum / sums.num_samples @ right / length
        noise = sums.squared_norm_sum / sums.num_samples / length**2 - 1.0
        cosine = sums.unit_vector_sum / sums.num_samples @ right
        return np.array([alignment, length / right_length, noise, cosine])


def _sum_groups(samples: Float[np.ndarray, "S D"]) -> list[GradientSums]:
    groups = np.array_split(samples.astype(np.float64), NUM_JACKKNIFE_GROUPS)
    return [_sum_gradients(group) for group in groups]


def _sum_gradients(gradients: Float[np.ndarray, "S D"]) -> GradientSums:
    squares = np.sum(gradients**2, axis=1)
    # Losses that are all alike give no gradient, and that has no direction.
    lengths = np.sqrt(np.where(squares > 0.0, squares, 1.0))
    directions = np.sum(gradients / lengths[:, None], axis=0)
    return GradientSums(
        len(gradients), gradients.sum(axis=0), squares.sum(), directions
    )


def _merge_sums(groups: list[GradientSums]) -> GradientSums:
    return GradientSums(*(sum(parts) for parts in zip(*groups, strict=True)))
