"""How a transmitter learns: estimates of a loss's gradient in the codebook.

What lies between codebook and losses is crossed, never differentiated, except by
`backprop`, the reference that only a channel in JAX allows.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.channels.feedback import Feedback
from syntony.config import check_literals, pytree_dataclass
from syntony.equations.score import (
    antithetic_pairs,
    clip_at_quantile,
    leave_one_out_baseline,
    mean_baseline,
    random_orthogonal_matrices,
    score_surrogate,
    spsa_gradient_estimate,
)
from syntony.equations.signal import complex_noise, explore_log_prob, perturb
from syntony.errors import InvalidInputError

BlockLossFn = Callable[
    [Key[Array, ""], Float[Array, "B C 2"], Int[Array, " B"]], Float[Array, " B"]
]
"""What the receiver says of blocks that were sent: one loss each, in nats."""


@pytree_dataclass
class PerturbationConfig:
    """How the transmitter tries what it does not know."""

    perturbation_variance: float = 0.05
    """σ_π², the variance of the exploration a complex use, when training starts."""
    final_perturbation_variance: float = 0.02
    """σ_π² at the end of the schedule; in between it falls geometrically."""
    baseline: Literal["none", "batch", "message"] = "batch"
    """Subtracted from the losses: nothing, the batch's mean, or the mean of the other
    draws of the same message."""
    antithetic: bool = True
    """Draw the exploration in pairs w, −w."""
    perturbation_directions: Literal["iid", "orthogonal"] = "iid"
    """How the draws of a message lie: as chance has it, or as long as they are on
    average, and at right angles to one another. What is linear in w is then right,
    whatever is drawn."""
    loss_clip_quantile: float = 1.0
    """Quantile at which the transmitter cuts off the losses that came back."""
    temperature: float = 2.0
    """τ, by which the receiver divides its logits before it feeds back a loss. At 1
    the loss is what the receiver learns from, and only rare blocks say anything. At 2
    its mean follows Bhattacharyya's bound, to which all neighbours contribute."""
    feedback_loss: Literal["nll", "odds"] = "nll"
    """What the receiver feeds back of a message whose tempered probability is p: its
    surprise −ln p, or the odds (1 − p) / p against it, in which neighbours add up."""
    spsa_perturbation_size: float = 0.1
    """c, how far SPSA moves every real part of the codebook."""

    def check(self) -> None:
        """Raises BadInput where a constant makes no sense."""
        check_literals(self)
        for name in ("perturbation_variance", "final_perturbation_variance"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise InvalidInputError(
                    f"{name} is {getattr(self, name)}; expected between 0 and 1"
                )
        if not 0.0 < self.loss_clip_quantile <= 1.0:
            raise InvalidInputError(
                f"loss_clip_quantile is {self.loss_clip_quantile}; expected above 0, at most 1"
            )
        if not self.temperature > 0.0:
            raise InvalidInputError(
                f"temperature is {self.temperature}; expected above 0"
            )
        if not self.spsa_perturbation_size > 0.0:
            raise InvalidInputError(
                f"spsa_perturbation_size is {self.spsa_perturbation_size}; expected above 0"
            )

    def variance_at(self, progress: Float[Array, ""]) -> Float[Array, ""]:
        """Returns σ_π² when `progress`, 0 to 1, of the schedule has passed."""
        start, end = (
            jnp.log(self.perturbation_variance),
            jnp.log(self.final_perturbation_variance),
        )
        return jnp.exp(start + (end - start) * progress)


class PerturbedBatch(NamedTuple):
    """What the transmitter keeps of a batch until its losses have come back."""

    message: Int[Array, " B"]
    noise: Float[Array, "B C 2"]
    loss: Float[Array, " B"]
    received_mask: Bool[Array, " B"]


def sample_messages(
    key: Key[Array, ""], batch_size: int, messages: int
) -> Int[Array, " B"]:
    """Returns messages in turn from a random one on: as balanced as they can be."""
    start = jax.random.randint(key, (), 0, messages)
    return (start + jnp.arange(batch_size)) % messages


def sample_perturbations(
    config: PerturbationConfig,
    codebook: Float[Array, "M C 2"],
    variance: Float[Array, ""],
    keys: tuple[Key[Array, ""], Key[Array, ""]],
    *,
    batch_size: int,
) -> tuple[Int[Array, " B"], Float[Array, "B C 2"]]:
    """Returns messages, and the noise w by which each is tried."""
    message_key, noise_key = keys
    _, uses, _ = codebook.shape
    pairs = batch_size // 2 if config.antithetic else batch_size
    if config.perturbation_directions == "orthogonal":
        frames = pairs // (2 * uses)
        message = sample_messages(message_key, frames, len(codebook))
        message = jnp.repeat(message, 2 * uses)
        noise = orthogonal_noise(noise_key, frames, uses, variance)
    else:
        message = sample_messages(message_key, pairs, len(codebook))
        noise = complex_noise(noise_key, (pairs, uses), variance)
    if config.antithetic:
        message, noise = jnp.tile(message, 2), antithetic_pairs(noise)
    return message, noise


def collect_perturbed_losses(
    config: PerturbationConfig,
    loss_fn: BlockLossFn,
    feedback: Feedback,
    codebook: Float[Array, "M C 2"],
    variance: Float[Array, ""],
    key: Key[Array, ""],
    *,
    batch_size: int,
) -> PerturbedBatch:
    """Sends perturbed codewords; returns what was drawn, and the losses that came."""
    keys = jax.random.split(key, 4)
    message, noise = sample_perturbations(
        config, codebook, variance, (keys[0], keys[1]), batch_size=batch_size
    )
    loss = loss_fn(keys[2], perturb(codebook[message], noise, variance), message)
    loss, arrived = feedback(keys[3], loss)
    return PerturbedBatch(message, noise, loss, arrived)


def orthogonal_noise(
    key: Key[Array, ""], num_matrices: int, uses: int, variance: Float[Array, ""]
) -> Float[Array, "B C 2"]:
    """Returns frames of 2 C blocks w, orthogonal, each with energy σ_π² a use.

        (2 / σ_π²) E[l(x + w) w] = ∇ E_v[l(x + v)],  v uniform in the ball ‖v‖ ≤ ‖w‖

    so that the mean of l ∇ ln π is a gradient, as it is of Gaussian draws, by Stokes'
    theorem in place of Stein's identity.

    Source: Flaxman, Kalai & McMahan (2005), one point on a sphere; Choromanski et al.,
        "Structured evolution with compact architectures" (2018), orthogonal ones.
    """
    directions = random_orthogonal_matrices(key, num_matrices, 2 * uses)
    return jnp.sqrt(uses * variance) * directions.reshape(-1, uses, 2)


def policy_gradient(
    config: PerturbationConfig,
    batch: PerturbedBatch,
    codebook: Float[Array, "M C 2"],
    variance: Float[Array, ""],
) -> Float[Array, "M C 2"]:
    """Returns the gradient of the mean of l ln π(x_p | x), l what came back less b.

    Source: Aoudia & Hoydis (2018), the transmitter's estimator.
    """
    message, noise, loss, arrived = batch
    payoff = -clip_at_quantile(loss, arrived, config.loss_clip_quantile)
    if config.baseline == "batch":
        payoff = payoff - mean_baseline(payoff, arrived)
    if config.baseline == "message":
        payoff = payoff - leave_one_out_baseline(
            payoff,
            arrived,
            message,
            num_contexts=len(codebook),
            antithetic=config.antithetic,
        )
    payoff = jnp.where(arrived, payoff, 0.0)
    # By the noise, not the signal: late losses meet a codebook that has moved on.
    sent = jax.lax.stop_gradient(perturb(codebook[message], noise, variance))

    def surrogate(codebook: Float[Array, "M C 2"]) -> Float[Array, ""]:
        log_prob = explore_log_prob(sent, codebook[message], variance)
        heard = jnp.maximum(jnp.sum(arrived), 1)
        return jnp.sum(score_surrogate(log_prob, payoff)) / heard

    return jax.grad(surrogate)(codebook)


def spsa_loss_and_grad(
    config: PerturbationConfig,
    loss_fn: BlockLossFn,
    feedback: Feedback,
    codebook: Float[Array, "M C 2"],
    key: Key[Array, ""],
    *,
    batch_size: int,
) -> tuple[Float[Array, ""], Float[Array, "M C 2"]]:
    """Returns the loss and SPSA's gradient: two batches go out, two numbers return."""
    keys = jax.random.split(key, 6)
    message = sample_messages(keys[0], batch_size // 2, len(codebook))
    direction = jax.random.rademacher(keys[1], codebook.shape, codebook.dtype)

    def mean_loss(
        side: float, channel_key: Key[Array, ""], feedback_key: Key[Array, ""]
    ) -> Float[Array, ""]:
        moved = codebook + side * config.spsa_perturbation_size * direction
        loss = loss_fn(channel_key, moved[message], message)
        loss, arrived = feedback(feedback_key, loss)
        return mean_baseline(loss, arrived)

    plus, minus = mean_loss(1.0, keys[2], keys[3]), mean_loss(-1.0, keys[4], keys[5])
    gradient = spsa_gradient_estimate(
        plus, minus, direction, config.spsa_perturbation_size
    )
    return (plus + minus) / 2.0, gradient


def backprop_loss_and_grad(
    loss_fn: BlockLossFn,
    codebook: Float[Array, "M C 2"],
    key: Key[Array, ""],
    *,
    batch_size: int,
) -> tuple[Float[Array, ""], Float[Array, "M C 2"]]:
    """Returns the mean loss and its gradient through receiver and channel."""
    message_key, channel_key = jax.random.split(key)
    message = sample_messages(message_key, batch_size, len(codebook))

    def mean_loss(codebook: Float[Array, "M C 2"]) -> Float[Array, ""]:
        return jnp.mean(loss_fn(channel_key, codebook[message], message))

    return jax.value_and_grad(mean_loss)(codebook)
