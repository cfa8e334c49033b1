"""Constants of the transmission between agents."""

from typing import Literal

import optax

from syntony.config import above, at_least, between, field, pytree_dataclass, validate
from syntony.systems.link.gradient_estimators import (
    PerturbationConfig,
)
from syntony.systems.optimizers import (
    make_optimizer,
    validate_optimizer,
)


@pytree_dataclass
class TransmissionConfig:
    """Constants of the transmission between agents, and of its training."""

    communication: Literal["learned", "none", "perfect"] = field("learned", static=True)
    """What agents receive: transmitted symbols, nothing (SMPE²), or the observations of
    their teammates (a reference)."""
    graph: str = field("all", static=True)
    """Communication graph: all, or for each receiving agent a row of zeros and ones,
    e.g. 00/10, where only the second agent receives the first."""
    feedback_signal: Literal["action", "belief", "return"] = field(
        "action", static=True
    )
    """Number that receivers feed back: how much better their actions would have become
    (action), the error of their beliefs (belief), or the team's advantage of what was
    sent in the episodes (return)."""
    snr_start_offset_db: float = field(25.0, limits=between(0, 100))
    """Training SNR minus the channel's at the start, in dB; it falls to zero."""
    snr_fall_fraction: float = field(0.5, limits=between(0, 1))
    """Fraction of the training over which the training SNR falls."""
    schedule_steps: int | None = field(None, static=True, limits=at_least(1))
    """Environment steps of the schedule; by default, those of the training."""
    link_gradient: Literal["policy", "spsa", "backprop"] = field("policy", static=True)
    """Gradient of the transmitters: policy gradient, two-sided perturbation (spsa), or
    through a differentiable channel (backprop, the reference)."""
    link_power_constraint: Literal["codeword", "average", "symbol"] = field(
        "codeword", static=True
    )
    """What has energy 1 per channel use: the symbols of every step, those of an agent
    on average over its observations, or each symbol."""
    link_hidden: int = field(64, static=True, limits=at_least(1))
    """Hidden units of the transmitters."""
    link_receiver_hidden: int = field(64, static=True, limits=at_least(1))
    """Units of the two layers that received symbols pass through."""
    link_optimizer: str = field("adam", static=True)
    """Optimizer of the transmitters: adam, rmsprop, sgd or python:MODULE:FUNCTION."""
    link_learning_rate: float = field(1e-3, limits=at_least(0))
    """Learning rate of the transmitters."""
    link_max_grad_norm: float = field(10.0, limits=above(0))
    """Global norm to which the gradient of the transmitters is clipped."""
    link_perturbation_variance: float = field(
        0.05, limits=between(0, 1, open_low=True, open_high=True)
    )
    """σ_π², variance of the perturbation per channel use."""
    link_perturbation_pairs: int = field(2, static=True, limits=at_least(1))
    """Antithetic pairs w, −w of perturbations of each observation."""
    link_baseline: Literal["none", "batch", "message"] = field("batch", static=True)
    """Baseline that is subtracted from the numbers that are fed back: none, the batch's
    mean, or the mean of the other perturbations of the same observation (message)."""
    link_spsa_perturbation_size: float = field(0.1, limits=above(0))
    """c, by which SPSA perturbs every real part of the symbols."""
    link_transmitter_steps: int = field(50, static=True, limits=at_least(0))
    """Belief signal: gradient steps of the transmitters in each training phase of the
    beliefs."""
    link_batch_size: int = field(250, static=True, limits=at_least(1))
    """Belief signal: observations that are sent for a gradient step."""

    def check(self) -> None:
        """Raises InvalidInputError where a constant is invalid."""
        validate(self)
        validate_optimizer(self.link_optimizer)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Optimizer of the transmitters."""
        return make_optimizer(
            self.link_optimizer,
            self.link_learning_rate,
            max_grad_norm=self.link_max_grad_norm,
        )

    @property
    def perturbation(self) -> PerturbationConfig:
        """The constants as those of the link's estimators."""
        return PerturbationConfig(
            perturbation_variance=self.link_perturbation_variance,
            final_perturbation_variance=self.link_perturbation_variance,
            baseline=self.link_baseline,
            spsa_perturbation_size=self.link_spsa_perturbation_size,
        )
