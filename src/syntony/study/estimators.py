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
from syntony.errors import BadInput
from syntony.run.devices import compiler_options
from syntony.systems.estimators import Exploration
from syntony.systems.link import Link, LinkState

GROUPS = 20
"""Parts that the draws are cut into, to see how much what they say varies."""


class Estimator(NamedTuple):
    """One way for a transmitter to learn its gradient."""

    gradient: Literal["policy", "spsa", "backprop"]
    exploration: Exploration
    feedback: Feedback = Feedback()


def policy(
    variance: float = 0.02,
    baseline: Literal["none", "batch", "message"] = "none",
    *,
    antithetic: bool = False,
    clip: float = 1.0,
    temperature: float = 1.0,
    feedback: Feedback | None = None,
) -> Estimator:
    """Returns a policy gradient: by default that of Aoudia & Hoydis (2018)."""
    exploration = Exploration(
        variance=variance,
        final_variance=variance,
        baseline=baseline,
        antithetic=antithetic,
        clip=clip,
        temperature=temperature,
    )
    return Estimator("policy", exploration, feedback or Feedback())


def clipped_feedback(bits: int, flips: float = 0.0) -> Feedback:
    """Returns losses by the quantiser of Song et al. (2019), clipped at 95 %."""
    return Feedback(bits=bits, clip=0.95, flips=flips)


ESTIMATORS = {
    "model": Estimator("backprop", Exploration(temperature=1.0)),
    "paper": policy(),
    "variance 0.005": policy(0.005),
    "variance 0.05": policy(0.05),
    "variance 0.1": policy(0.1),
    "batch baseline": policy(baseline="batch"),
    "message baseline": policy(baseline="message"),
    "antithetic": policy(antithetic=True),
    "antithetic, variance 0.05": policy(0.05, antithetic=True),
    "clipped at 95 %, batch baseline": policy(baseline="batch", clip=0.95),
    "clipped at 95 %, antithetic": policy(antithetic=True, clip=0.95),
    "noise 0.32": policy(feedback=Feedback(noise=0.32)),
    "noise 1": policy(feedback=Feedback(noise=1.0)),
    "1 bit": policy(feedback=clipped_feedback(1)),
    "1 bit, batch baseline": policy(baseline="batch", feedback=clipped_feedback(1)),
    "1 bit, 10 % flips, batch baseline": policy(
        baseline="batch", feedback=clipped_feedback(1, flips=0.1)
    ),
    "4 bits, batch baseline": policy(baseline="batch", feedback=clipped_feedback(4)),
    "tempered, antithetic": policy(antithetic=True, temperature=2.0),
    "tempered, antithetic, variance 0.05": policy(
        0.05, antithetic=True, temperature=2.0
    ),
    "tempered model": Estimator("backprop", Exploration(temperature=2.0)),
    "spsa": Estimator("spsa", Exploration(temperature=1.0)),
}
"""What is compared, by name. Unless said σ_π² is 0.02 and the losses are those of the
receiver, τ = 1; tempered ones have τ = 2, and a gradient of their own."""


class Measured(NamedTuple):
    """A number, and its standard error."""

    value: float
    error: float


class Quality(NamedTuple):
    """An estimator ĝ of a gradient g, in numbers."""

    alignment: Measured
    """cos(E ĝ, g): 1 where the mean points the right way."""
    size: Measured
    """‖E ĝ‖ / ‖g‖: 1 where the mean is as long as it should be."""
    noise: Measured
    """E‖ĝ − E ĝ‖² / ‖E ĝ‖²: how much stronger than its signal a batch's noise is."""
    cosine: Measured
    """E cos(ĝ, g): what a single batch knows of the right way."""


def learned(link: Link, state: LinkState, iterations: int) -> LinkState:
    """Returns the link after so many iterations, counted from its start."""
    program = jax.jit(_learn, compiler_options=compiler_options())
    return program(link, state, jnp.int32(iterations))


def _learn(link: Link, state: LinkState, iterations: Int[Array, ""]) -> LinkState:
    return jax.lax.while_loop(
        lambda state: state.iterations < iterations,
        lambda state: link.step(state)[0],
        state,
    )


def with_estimator(link: Link, estimator: Estimator) -> Link:
    """Returns a link whose transmitter would learn in that way.

    A link that stands still does not mind how late losses are.

    Raises:
        BadInput: it cannot learn in that way.
    """
    feedback = dataclasses.replace(estimator.feedback, delay=0)
    found = dataclasses.replace(
        link,
        gradient=estimator.gradient,
        exploration=estimator.exploration,
        feedback=feedback,
    )
    found.check()
    if found.channel.opaque:
        raise BadInput(
            f"{found.channel.id} is a black box without a gradient; expected a channel "
            "in JAX, whose gradient says what is right"
        )
    return found


def draw_gradients(
    link: Link, state: LinkState, key: Key[Array, ""], batches: int
) -> tuple[Float[np.ndarray, "S D"], float]:
    """Returns the gradient in the codebook, one row a batch, and the mean loss."""
    program = jax.jit(
        partial(_draw, batches=batches), compiler_options=compiler_options()
    )
    gradients, losses = jax.device_get(program(link, state, key))
    return gradients, float(np.mean(losses, dtype=np.float64))


def _draw(
    link: Link, state: LinkState, key: Key[Array, ""], *, batches: int
) -> tuple[Float[Array, "S D"], Float[Array, " S"]]:
    codebook = link.codebook(state.transmitter)

    def draw(key: Key[Array, ""]) -> tuple[Array, Array]:
        _, loss, gradient = link.estimate(state, codebook, key)
        return gradient.reshape(-1), loss

    # One after the other: a batch fits into the cache, many do not.
    return jax.lax.map(draw, jax.random.split(key, batches))


class Sums(NamedTuple):
    """What many draws add up to: all that their quality follows from."""

    draws: Any
    total: Any
    """Σ ĝ"""
    squares: Any
    """Σ ‖ĝ‖²"""
    directions: Any
    """Σ ĝ / ‖ĝ‖"""

    def without(self, other: "Sums") -> "Sums":
        return Sums(*(a - b for a, b in zip(self, other, strict=True)))

    @property
    def signal(self) -> float:
        """Returns ‖E ĝ‖², without the noise that is still in the mean of the draws."""
        between = np.sum(self.total**2) - self.squares
        return float(between / (self.draws * (self.draws - 1)))


def quality(
    drawn: Float[np.ndarray, "S D"], truth: Float[np.ndarray, "T D"]
) -> Quality:
    """Returns how good draws of a gradient are, given draws of the true one.

    Both are samples, and both means are noisy; squared lengths are products of
    different draws, so that no noise adds to them. Standard errors are the jackknife's
    over groups of draws. NaN is where the draws are too few to tell the signal.

    Args:
        drawn: ĝ, one row a batch; at least 40.
        truth: g, one row a batch, independent of `drawn`; at least 40.

    Source: Quenouille (1956), Tukey (1958), the jackknife.
    """
    ours, theirs = _grouped(drawn), _grouped(truth)
    every = _numbers(_added(ours), _added(theirs))
    left_out = np.stack(
        [
            _numbers(_added(ours).without(a), _added(theirs).without(b))
            for a, b in zip(ours, theirs, strict=True)
        ]
    )
    spread = np.sum((left_out - left_out.mean(axis=0)) ** 2, axis=0)
    errors = np.sqrt((GROUPS - 1) / GROUPS * spread)
    pairs = zip(every, errors, strict=True)
    return Quality(*(Measured(float(value), float(error)) for value, error in pairs))


def _numbers(ours: Sums, theirs: Sums) -> Float[np.ndarray, " 4"]:
    with np.errstate(invalid="ignore", divide="ignore"):
        length, right_length = np.sqrt([ours.signal, theirs.signal])
        right = theirs.total / theirs.draws / right_length
        alignment = ours.total / ours.draws @ right / length
        noise = ours.squares / ours.draws / length**2 - 1.0
        cosine = ours.directions / ours.draws @ right
        return np.array([alignment, length / right_length, noise, cosine])


def _grouped(draws: Float[np.ndarray, "S D"]) -> list[Sums]:
    groups = np.array_split(draws.astype(np.float64), GROUPS)
    return [_summed(group) for group in groups]


def _summed(draws: Float[np.ndarray, "S D"]) -> Sums:
    squares = np.sum(draws**2, axis=1)
    # Losses that are all alike give no gradient, and that has no direction.
    lengths = np.sqrt(np.where(squares > 0.0, squares, 1.0))
    directions = np.sum(draws / lengths[:, None], axis=0)
    return Sums(len(draws), draws.sum(axis=0), squares.sum(), directions)


def _added(groups: list[Sums]) -> Sums:
    return Sums(*(sum(parts) for parts in zip(*groups, strict=True)))
