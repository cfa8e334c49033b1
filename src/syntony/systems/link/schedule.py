"""Training schedule: step counts, learning rates, batches, and early stopping."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from syntony.config import above, at_least, between, field, pytree_dataclass, validate
from syntony.systems.optimizers import LearningRate, make_optimizer, validate_optimizer

DEFAULT_DECAY_ITERATIONS = 10_000
"""Where a link is stepped without `train`, which knows the training length."""
MIN_CODEWORD_BLOCKS = 15
"""Blocks of each message in a batch below which a code is learned more slowly."""


@pytree_dataclass
class TrainingSchedule:
    """Constants of the alternating algorithm; the paper gives none of them."""

    decay_iterations: int | None = field(None, static=True, limits=at_least(1))
    """Iterations over which learning rates, perturbation variance and batches change
    from their initial to their final values; by default, those of the training."""
    receiver_steps: int = field(1, static=True, limits=at_least(0))
    """n_R, optimizer steps of the receiver per iteration."""
    transmitter_steps: int = field(1, static=True, limits=at_least(0))
    """n_T, optimizer steps of the transmitter per iteration."""
    receiver_warmup_iterations: int = field(300, static=True, limits=at_least(0))
    """First iterations, in which only the receiver is trained."""
    batch_size: int = field(1000, static=True, limits=at_least(2))
    """Blocks of a batch."""
    final_batch_multiplier: int = field(1, static=True, limits=at_least(1))
    """Batches that an optimizer step averages over at the end; the number grows
    geometrically from 1."""
    optimizer: str = field("adam", static=True)
    """Optimizer of both sides: adam, sgd, rmsprop, or python:MODULE:FUNCTION, a
    function of the learning rate that returns an optax.GradientTransformation."""
    learning_rate: float = field(5e-4, limits=above(0))
    """Learning rate of the transmitter at the start of training. From a classical code,
    with b < 15 blocks of each message in a batch, it is b / 15 times that."""
    final_learning_rate: float = field(1e-5, limits=above(0))
    """Learning rate of the transmitter at the end, if it decays."""
    decay: Literal["auto", "cosine", "constant"] = field("auto", static=True)
    """Decay of the learning rates: by a cosine, or none (constant), for a channel that
    changes with time. auto: constant if trials at the start find that the channel
    changes, else cosine."""
    receiver_lr_multiplier: float = field(20.0, limits=above(0))
    """Learning rate of the receiver, divided by the transmitter's."""
    max_grad_norm: float = field(10.0, limits=above(0))
    """Global norm at which the gradient of either side is clipped."""
    patience: int = field(0, static=True, limits=at_least(0))
    """Windows without improvement after which training stops early; 0: it does not."""
    early_stopping_window: int = field(500, static=True, limits=at_least(1))
    """Iterations over which the receiver's loss is averaged."""
    min_relative_improvement: float = field(0.03, limits=between(0, 1, open_high=True))
    """Relative decrease of the loss that counts as an improvement."""

    def check(self) -> None:
        """Raises InvalidInputError if a value is invalid."""
        validate(self)
        validate_optimizer(self.optimizer)

    @jax.jit
    def progress_fraction(self, iterations: Int[Array, "*n"]) -> Float[Array, "*n"]:
        """Fraction of the schedule that is completed, 0 to 1."""
        return jnp.clip(
            iterations / (self.decay_iterations or DEFAULT_DECAY_ITERATIONS), 0.0, 1.0
        )

    def learning_rate_at(
        self, iterations: Int[Array, ""], lr_multiplier: LearningRate = 1.0
    ) -> Float[Array, ""]:
        """Learning rate of an iteration, with cosine decay, times `lr_multiplier`."""
        if self.decay == "constant":
            return jnp.asarray(lr_multiplier * self.learning_rate)
        fraction = self.progress_fraction(iterations)
        decay = 0.5 * (1.0 + jnp.cos(jnp.pi * fraction))
        end = self.final_learning_rate
        return lr_multiplier * (end + (self.learning_rate - end) * decay)

    def optimizer_at(
        self, iterations: Int[Array, ""], lr_multiplier: LearningRate = 1.0
    ) -> optax.GradientTransformation:
        """Optimizer with the learning rate of an iteration."""
        learning_rate = self.learning_rate_at(iterations, lr_multiplier)
        return make_optimizer(
            self.optimizer, learning_rate, max_grad_norm=self.max_grad_norm
        )

    def codebook_lr_multiplier(self, messages: int) -> float:
        """Factor of the transmitter's learning rate where it learns a classical code.

        It is b / `MIN_CODEWORD_BLOCKS`, at most 1, with b blocks of each message in a
        batch. With few of them the gradient of a codeword is mostly noise, and steps of
        full length lead away from the code.
        """
        return min(1.0, self.batch_size / (MIN_CODEWORD_BLOCKS * messages))

    @jax.jit
    def transmitter_steps_at(self, iterations: Int[Array, ""]) -> Int[Array, ""]:
        """Optimizer steps of the transmitter: none in the receiver's warm-up."""
        is_warm = iterations >= self.receiver_warmup_iterations
        return self.transmitter_steps * is_warm.astype(jnp.int32)

    @jax.jit
    def batch_multiplier_at(self, iterations: Int[Array, "*n"]) -> Int[Array, "*n"]:
        """Batches that an optimizer step averages over: final_batch_multiplier^p.

        p is the completed fraction of the schedule.
        """
        batches = jnp.float32(self.final_batch_multiplier) ** self.progress_fraction(
            iterations
        )
        return jnp.round(batches).astype(jnp.int32)

    def receiver_blocks(self, iterations: int) -> int:
        """Blocks that the first iterations send to train the receiver."""
        batches = self.batch_multiplier_at(jnp.arange(iterations)).sum()
        return int(batches) * self.receiver_steps * self.batch_size


class EarlyStoppingState(NamedTuple):
    """Best loss so far, and the time since it improved."""

    best_loss: Float[Array, ""]
    """Lowest mean loss of a window, in nats."""
    window_loss_sum: Float[Array, ""]
    """Sum of the losses in the present window, in nats."""
    window_iterations: Int[Array, ""]
    """Iterations in the present window."""
    windows_without_improvement: Int[Array, ""]
    """Consecutive windows without improvement."""

    @classmethod
    def init(cls) -> "EarlyStoppingState":
        """State before the first iteration."""
        zero = jnp.zeros((), jnp.int32)
        # With a type: a number alone is weakly typed, and compiles everything twice.
        best_loss = jnp.full((), jnp.inf, float)
        return cls(best_loss, jnp.zeros(()), zero, jnp.copy(zero))

    @jax.jit
    def update(
        self, schedule: TrainingSchedule, loss: Float[Array, ""]
    ) -> "EarlyStoppingState":
        """State after one more iteration with this mean loss, in nats."""
        total, iterations = self.window_loss_sum + loss, self.window_iterations + 1
        full = iterations == schedule.early_stopping_window
        mean = total / schedule.early_stopping_window
        improved = mean < (1.0 - schedule.min_relative_improvement) * self.best_loss
        windows = jnp.where(improved, 0, self.windows_without_improvement + 1)
        return EarlyStoppingState(
            best_loss=jnp.where(full & improved, mean, self.best_loss),
            window_loss_sum=jnp.where(full, 0.0, total),
            window_iterations=jnp.where(full, 0, iterations),
            windows_without_improvement=jnp.where(
                full, windows, self.windows_without_improvement
            ),
        )

    @jax.jit
    def should_stop(self, schedule: TrainingSchedule) -> Bool[Array, ""]:
        """Whether `schedule.patience` windows have passed without improvement."""
        return (self.windows_without_improvement >= schedule.patience) & (
            schedule.patience > 0
        )
