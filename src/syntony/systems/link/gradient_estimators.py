"""Gradient estimators: the loss of a batch, and its gradient in the codebook.

The codebook's gradient is estimated from losses alone. Neither the channel nor the
receiver is differentiated, except by `backprop_loss_and_grad`, the reference, which
needs a differentiable channel.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, Protocol, TypeVar, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.channels.channel import ChannelState
from syntony.channels.feedback import Feedback
from syntony.config import above, between, field, pytree_dataclass, validate
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

BlockLossFn = Callable[
    [Key[Array, ""], ChannelState, Float[Array, "B C 2"], Int[Array, " B"]],
    tuple[ChannelState, Float[Array, " B"]],
]
"""Transmitted blocks and their messages to one loss for each block, in nats.

It takes and returns the channel's state."""

BatchT = TypeVar("BatchT")
"""A sent batch: a pytree of arrays, [delay, ...] each in a queue of them."""
GRADIENT_SAMPLES = 16
"""Batches of which gradients are compared with each other by default."""


NETWORK_VARIANCES = 0.05, 0.02
"""σ_π² at the start and the end of a training from a new network."""
CODEBOOK_VARIANCES = 0.01, 0.005
"""Likewise, from a classical codebook."""


@pytree_dataclass
class PerturbationConfig:
    """Perturbations of the transmitter, and what its gradient is estimated from."""

    perturbation_variance: float | None = field(
        None, limits=between(0, 1, open_low=True, open_high=True)
    )
    """σ_π², variance of the perturbation per channel use at the start of training; by
    default 0.05 from a new network, and 0.01 from a classical codebook."""
    final_perturbation_variance: float | None = field(
        None, limits=between(0, 1, open_low=True, open_high=True)
    )
    """σ_π² at the end of the schedule; in between it decreases geometrically. By
    default 0.02 from a new network, and 0.005 from a classical codebook."""
    baseline: Literal["none", "batch", "message"] = field("batch", static=True)
    """Baseline that is subtracted from the losses: none, the batch's mean, or the mean
    of the other samples of the same message."""
    antithetic: bool = field(True, static=True)
    """Draw the perturbations in antithetic pairs w, −w."""
    perturbation_directions: Literal["iid", "orthogonal"] = field("iid", static=True)
    """Directions of a message's perturbations: independent Gaussian vectors, or
    orthogonal vectors of equal length, with which the linear part of a gradient
    estimate has no sampling error."""
    loss_clip_quantile: float = field(1.0, limits=between(0, 1, open_low=True))
    """Quantile at which the transmitter clips the losses that it received; 1: none."""
    temperature: float = field(2.0, limits=above(0))
    """τ, by which the receiver divides its logits before it computes the loss that it
    feeds back. At 1 the loss is the receiver's training loss, and depends on rare
    blocks alone. At 2 its mean follows the Bhattacharyya bound, to which all neighbors
    contribute."""
    feedback_loss: Literal["nll", "odds"] = field("nll", static=True)
    """Loss that the receiver feeds back for a message of tempered probability p: the
    negative log-likelihood −ln p, or the inverse odds (1 − p) / p, a sum over all
    other messages."""
    spsa_perturbation_size: float = field(0.1, limits=above(0))
    """c, by which SPSA perturbs every real part of the codebook."""

    def check(self) -> None:
        """Raises InvalidInputError if a value is invalid."""
        validate(self)

    @partial(jax.jit, static_argnames="from_codebook")
    def variance_at(
        self, progress: Float[Array, ""], *, from_codebook: bool = False
    ) -> Float[Array, ""]:
        """Perturbation variance σ_π² at `progress`, 0 to 1, of the schedule.

        Args:
            progress: completed fraction of the schedule.
            from_codebook: whether the transmitter started from a classical codebook;
                by default its neighborhood is explored, not the whole space.
        """
        first, last = CODEBOOK_VARIANCES if from_codebook else NETWORK_VARIANCES
        start, end = self.perturbation_variance, self.final_perturbation_variance
        log_start = jnp.log(first if start is None else start)
        log_end = jnp.log(last if end is None else end)
        return jnp.exp(log_start + (log_end - log_start) * progress)


class PerturbedBatch(NamedTuple):
    """Perturbed blocks, kept by the transmitter until it has received their losses."""

    message: Int[Array, "*delay B"]
    noise: Float[Array, "*delay B C 2"]
    """w, the perturbation of each block."""
    loss: Float[Array, "*delay B"]
    """Losses as received, in nats; 0 where erased."""
    received_mask: Bool[Array, "*delay B"]

    @classmethod
    def zeros(cls, delay: int, batch_size: int, uses: int) -> "PerturbedBatch":
        """Queue of `delay` batches that sent nothing, and received nothing."""
        return cls(
            message=jnp.zeros((delay, batch_size), jnp.int32),
            noise=jnp.zeros((delay, batch_size, uses, 2)),
            loss=jnp.zeros((delay, batch_size)),
            received_mask=jnp.zeros((delay, batch_size), bool),
        )


class GradientEstimate(NamedTuple):
    """Loss of one batch, and its estimated gradient."""

    pending: PerturbedBatch
    """Batches whose losses are delayed, oldest first."""
    channel_state: ChannelState
    loss: Float[Array, ""]
    """Mean loss, in nats."""
    grad: Float[Array, "M C 2"]


class GradientEstimator(Protocol):
    """Estimator of the mean loss and its gradient in the codebook, from one batch."""

    def __call__(
        self,
        config: PerturbationConfig,
        loss_fn: BlockLossFn,
        feedback: Feedback,
        codebook: Float[Array, "M C 2"],
        variance: Float[Array, ""],
        pending: PerturbedBatch,
        channel_state: ChannelState,
        key: Key[Array, ""],
        *,
        batch_size: int,
    ) -> GradientEstimate:
        """Transmits one batch.

        Args:
            config: settings of the perturbations and of the estimator.
            loss_fn: losses of transmitted blocks at the receiver, over the channel.
            feedback: feedback link, from those losses to the ones received.
            codebook: codewords x of all M messages.
            variance: σ_π², the present perturbation variance per channel use.
            pending: batches whose losses are delayed, oldest first.
            channel_state: what earlier batches left in the channel.
            key: consumed.
            batch_size: B blocks.
        """
        ...


def policy_loss_and_grad(
    config: PerturbationConfig,
    loss_fn: BlockLossFn,
    feedback: Feedback,
    codebook: Float[Array, "M C 2"],
    variance: Float[Array, ""],
    pending: PerturbedBatch,
    channel_state: ChannelState,
    key: Key[Array, ""],
    *,
    batch_size: int,
) -> GradientEstimate:
    """Policy gradient of the batch whose losses arrive now; see `GradientEstimator`."""
    channel_state, sent = collect_perturbed_losses(
        config,
        loss_fn,
        feedback,
        codebook,
        variance,
        channel_state,
        key,
        batch_size=batch_size,
    )
    return delayed_estimate(config, sent, pending, channel_state, codebook, variance)


def collect_perturbed_losses(
    config: PerturbationConfig,
    loss_fn: BlockLossFn,
    feedback: Feedback,
    codebook: Float[Array, "M C 2"],
    variance: Float[Array, ""],
    channel_state: ChannelState,
    key: Key[Array, ""],
    *,
    batch_size: int,
) -> tuple[ChannelState, PerturbedBatch]:
    """Transmits perturbed codewords, and receives their losses over the feedback link.

    The arguments are those of `GradientEstimator`.
    """
    message, noise, sent, channel_key, feedback_key = perturbed_codewords(
        config, codebook, variance, key, batch_size=batch_size
    )
    channel_state, loss = loss_fn(channel_key, channel_state, sent, message)
    loss, received = feedback(feedback_key, loss)
    return channel_state, PerturbedBatch(message, noise, loss, received)


class PerturbedCodewords(NamedTuple):
    """Perturbed codewords of a batch, and the keys of its transmission."""

    message: Int[Array, " B"]
    noise: Float[Array, "B C 2"]
    """w, the perturbation of each block."""
    sent: Float[Array, "B C 2"]
    channel_key: Key[Array, ""]
    feedback_key: Key[Array, ""]


# Compiled, as what follows may leave JAX: a black box cannot be compiled with it.
@partial(jax.jit, static_argnames="batch_size")
def perturbed_codewords(
    config: PerturbationConfig,
    codebook: Float[Array, "M C 2"],
    variance: Float[Array, ""],
    key: Key[Array, ""],
    *,
    batch_size: int,
) -> PerturbedCodewords:
    """Draws the messages of a batch, and perturbs their codewords.

    The arguments are those of `GradientEstimator`.
    """
    message_key, noise_key, channel_key, feedback_key = jax.random.split(key, 4)
    message, noise = sample_perturbations(
        config, codebook, variance, (message_key, noise_key), batch_size=batch_size
    )
    sent = perturb(codebook[message], noise, variance)
    return PerturbedCodewords(message, noise, sent, channel_key, feedback_key)


def sample_perturbations(
    config: PerturbationConfig,
    codebook: Float[Array, "M C 2"],
    variance: Float[Array, ""],
    keys: tuple[Key[Array, ""], Key[Array, ""]],
    *,
    batch_size: int,
) -> tuple[Int[Array, " B"], Float[Array, "B C 2"]]:
    """Messages of a batch, and the perturbation w of each block.

    Args:
        config: antithetic or not, and the directions.
        codebook: its shape gives M and C.
        variance: σ_π² per channel use.
        keys: of the messages and of the perturbations; consumed.
        batch_size: B blocks.
    """
    message_key, noise_key = keys
    _, uses, _ = codebook.shape
    num_draws = batch_size // 2 if config.antithetic else batch_size
    if config.perturbation_directions == "orthogonal":
        # Of the last frame, a batch may have only a part.
        frames = -(-num_draws // (2 * uses))
        message = sample_messages(message_key, frames, len(codebook))
        message = jnp.repeat(message, 2 * uses)[:num_draws]
        noise = orthogonal_noise(noise_key, frames, uses, variance)[:num_draws]
    else:
        message = sample_messages(message_key, num_draws, len(codebook))
        noise = complex_noise(noise_key, (num_draws, uses), variance)
    if config.antithetic:
        message, noise = jnp.tile(message, 2), antithetic_pairs(noise)
    return message, noise


@partial(jax.jit, static_argnums=(1, 2))
def sample_messages(
    key: Key[Array, ""], batch_size: int, messages: int
) -> Int[Array, " B"]:
    """Messages in random order: each equally often, or once more.

    In a fixed order, what a channel with memory leaves of one message would tell the
    next one.
    """
    start_key, order_key = jax.random.split(key)
    start = jax.random.randint(start_key, (), 0, messages)
    balanced = (start + jnp.arange(batch_size)) % messages
    return jax.random.permutation(order_key, balanced)


@jax.jit
def shuffle_blocks(
    key: Key[Array, ""], blocks: Float[Array, "B C 2"]
) -> tuple[Key[Array, ""], Int[Array, " B"], Float[Array, "B C 2"]]:
    """A new key, the indices of a random order, and the blocks in that order."""
    new_key, order_key = jax.random.split(key)
    order = jax.random.permutation(order_key, len(blocks))
    return new_key, order, blocks[order]


def orthogonal_noise(
    key: Key[Array, ""], num_matrices: int, uses: int, variance: Float[Array, ""]
) -> Float[Array, "B C 2"]:
    """Frames of 2 C orthogonal perturbations w, each with energy σ_π² per channel use.

        (2 / σ_π²) E[l(x + w) w] = ∇ E_v[l(x + v)],  v uniform in the ball ‖v‖ ≤ ‖w‖

    The mean of l ∇ ln π is thus a gradient, as it is with Gaussian perturbations, by
    Stokes' theorem instead of Stein's identity.

    Args:
        key: consumed.
        num_matrices: frames; B = 2 C num_matrices.
        uses: C.
        variance: σ_π².

    Source: Flaxman, Kalai & McMahan (2005), one point on a sphere; Choromanski et al.,
        "Structured evolution with compact architectures" (2018), orthogonal ones.
    """
    directions = random_orthogonal_matrices(key, num_matrices, 2 * uses)
    return jnp.sqrt(uses * variance) * directions.reshape(-1, uses, 2)


@jax.jit
def delayed_estimate(
    config: PerturbationConfig,
    sent: PerturbedBatch,
    pending: PerturbedBatch,
    channel_state: ChannelState,
    codebook: Float[Array, "M C 2"],
    variance: Float[Array, ""],
) -> GradientEstimate:
    """Policy gradient of the batch whose losses arrive now.

    Args:
        config: settings of the estimator.
        sent: the newest batch.
        pending: batches whose losses are delayed, oldest first.
        channel_state: state of the channel after the newest batch.
        codebook: codewords x of all M messages.
        variance: σ_π² per channel use.
    """
    batch, pending = pop_delayed(sent, pending)
    grad = policy_gradient(config, batch, codebook, variance)
    loss = mean_baseline(batch.loss, batch.received_mask)
    return GradientEstimate(pending, channel_state, loss, grad)


def pop_delayed(new: BatchT, pending: BatchT) -> tuple[BatchT, BatchT]:
    """Batch whose losses arrive now, and the batches that are still pending."""
    queue = jax.tree.map(lambda old, x: jnp.concatenate([old, x[None]]), pending, new)
    return jax.tree.map(lambda x: x[0], queue), jax.tree.map(lambda x: x[1:], queue)


def policy_gradient(
    config: PerturbationConfig,
    batch: PerturbedBatch,
    codebook: Float[Array, "M C 2"],
    variance: Float[Array, ""],
) -> Float[Array, "M C 2"]:
    """Policy gradient ∇ (1/B) Σ (l − b) ln π(x_p | x) over the received losses l.

    Args:
        config: baseline b, and the quantile at which losses are clipped.
        batch: perturbed blocks and their losses.
        codebook: x of all messages, in which the gradient is taken.
        variance: σ_π² per channel use.

    Source: Aoudia & Hoydis (2018), the transmitter's estimator.
    """
    message, noise, loss, received = batch
    payoff = -clip_at_quantile(loss, received, config.loss_clip_quantile)
    if config.baseline == "batch":
        payoff = payoff - mean_baseline(payoff, received)
    if config.baseline == "message":
        payoff = payoff - leave_one_out_baseline(
            payoff,
            received,
            message,
            num_contexts=len(codebook),
            antithetic=config.antithetic,
        )
    payoff = jnp.where(received, payoff, 0.0)
    # From the noise, not from the transmitted signal: since delayed losses were
    # caused, the codebook has changed.
    sent = jax.lax.stop_gradient(perturb(codebook[message], noise, variance))

    def surrogate(codebook: Float[Array, "M C 2"]) -> Float[Array, ""]:
        log_prob = explore_log_prob(sent, codebook[message], variance)
        num_received = jnp.maximum(jnp.sum(received), 1)
        return jnp.sum(score_surrogate(log_prob, payoff)) / num_received

    return jax.grad(surrogate)(codebook)


def spsa_loss_and_grad(
    config: PerturbationConfig,
    loss_fn: BlockLossFn,
    feedback: Feedback,
    codebook: Float[Array, "M C 2"],
    variance: Float[Array, ""],
    pending: PerturbedBatch,
    channel_state: ChannelState,
    key: Key[Array, ""],
    *,
    batch_size: int,
) -> GradientEstimate:
    """SPSA's gradient, from the mean losses of two codebooks; see `GradientEstimator`.

    Each codebook transmits half of the batch.
    """
    del variance
    keys = jax.random.split(key, 6)
    message = sample_messages(keys[0], batch_size // 2, len(codebook))
    direction = jax.random.rademacher(keys[1], codebook.shape, codebook.dtype)

    def mean_loss(
        sign: float, channel_state: ChannelState, keys: Key[Array, " 2"]
    ) -> tuple[ChannelState, Float[Array, ""]]:
        perturbed = codebook + sign * config.spsa_perturbation_size * direction
        channel_state, loss = loss_fn(
            keys[0], channel_state, perturbed[message], message
        )
        return channel_state, mean_baseline(*feedback(keys[1], loss))

    channel_state, plus = mean_loss(1.0, channel_state, keys[2:4])
    channel_state, minus = mean_loss(-1.0, channel_state, keys[4:6])
    grad = spsa_gradient_estimate(plus, minus, direction, config.spsa_perturbation_size)
    return GradientEstimate(pending, channel_state, (plus + minus) / 2.0, grad)


def backprop_loss_and_grad(
    config: PerturbationConfig,
    loss_fn: BlockLossFn,
    feedback: Feedback,
    codebook: Float[Array, "M C 2"],
    variance: Float[Array, ""],
    pending: PerturbedBatch,
    channel_state: ChannelState,
    key: Key[Array, ""],
    *,
    batch_size: int,
) -> GradientEstimate:
    """Gradient by backpropagation through the channel; see `GradientEstimator`.

    No feedback link is needed: `feedback` is ignored.
    """
    del config, feedback, variance
    message_key, channel_key = jax.random.split(key)
    message = sample_messages(message_key, batch_size, len(codebook))

    def mean_loss(
        codebook: Float[Array, "M C 2"],
    ) -> tuple[Float[Array, ""], ChannelState]:
        after, loss = loss_fn(channel_key, channel_state, codebook[message], message)
        return jnp.mean(loss), after

    (loss, after), grad = jax.value_and_grad(mean_loss, has_aux=True)(codebook)
    return GradientEstimate(pending, after, loss, grad)


GRADIENT_ESTIMATORS: dict[str, GradientEstimator] = {
    "policy": policy_loss_and_grad,
    "spsa": spsa_loss_and_grad,
    "backprop": backprop_loss_and_grad,
}
"""By the value of `Link.gradient`."""


def gradient_cosine_similarity(
    gradient_fn: Callable[[Key[Array, ""]], Float[Array, "M C 2"]],
    key: Key[Array, ""],
    num_batches: int = GRADIENT_SAMPLES,
) -> Float[Array, " S"]:
    """Mean cosine similarity of each batch's gradient with those of the others.

        E cos(g, g') ≈ s / (1 + s),  s = ‖E g‖² / E‖g − E g‖²

    It measures the signal-to-noise ratio s of a gradient without knowing E g.

    Args:
        gradient_fn: gradient of an independent batch, for each key.
        key: consumed.
        num_batches: S ≥ 2.
    """

    def direction(key: Key[Array, ""]) -> Float[Array, " D"]:
        gradient = gradient_fn(key).reshape(-1)
        norm = cast(Array, jnp.linalg.norm(gradient))
        # Losses that are all equal give a gradient of zero, which has no direction.
        return gradient / jnp.where(norm > 0.0, norm, 1.0)

    directions = jax.lax.map(direction, jax.random.split(key, num_batches))
    others = jnp.sum(directions, axis=0) - directions
    return jnp.sum(directions * others, axis=-1) / (num_batches - 1)
