"""How a link's training proceeds: what changes while it does, and when it ends."""

from typing import Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from syntony.config import check_literals, pytree_dataclass
from syntony.errors import InvalidInputError
from syntony.optim import SGD, Adam

POSITIVE_FIELDS = (
    "learning_rate",
    "final_learning_rate",
    "receiver_lr_multiplier",
    "max_grad_norm",
)


@pytree_dataclass
class TrainingSchedule:
    """Constants of the alternating algorithm; none is taken from the paper."""

    decay_iterations: int = 10_000
    """Iterations over which rates, exploration and batches go from start to end."""
    receiver_steps: int = 1
    """n_R, steps of the receiver in an iteration."""
    transmitter_steps: int = 1
    """n_T, steps of the transmitter in an iteration."""
    receiver_warmup_iterations: int = 50
    """First iterations, in which only the receiver learns."""
    batch_size: int = 1000
    """Blocks sent for a step."""
    final_batch_multiplier: int = 1
    """Batches that a step averages over at the end; on the way there, ever more."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """How both sides descend."""
    learning_rate: float = 1e-3
    """Of the transmitter, when training starts."""
    final_learning_rate: float = 1e-5
    """Of the transmitter, at the end; in between it falls as a cosine."""
    receiver_lr_multiplier: float = 1.0
    """How many times as fast the receiver learns."""
    max_grad_norm: float = 10.0
    """Largest gradient norm of either side."""
    patience: int = 0
    """Windows without progress after which training ends early; 0: it never does."""
    early_stopping_window: int = 500
    """Iterations over which the receiver's loss is averaged to judge progress."""
    min_relative_improvement: float = 0.03
    """Share by which the loss must fall to count as progress."""

    def check(self) -> None:
        """Raises BadInput where a constant makes no sense."""
        check_literals(self)
        least = {"decay_iterations": 1, "receiver_steps": 0, "transmitter_steps": 0}
        least |= {
            "receiver_warmup_iterations": 0,
            "batch_size": 2,
            "final_batch_multiplier": 1,
            "patience": 0,
            "early_stopping_window": 1,
        }
        for name, bound in least.items():
            if (value := getattr(self, name)) < bound:
                raise InvalidInputError(f"{name} is {value}; expected at least {bound}")
        for name in POSITIVE_FIELDS:
            if not (value := getattr(self, name)) > 0.0:
                raise InvalidInputError(f"{name} is {value}; expected above 0")
        if not 0.0 <= self.min_relative_improvement < 1.0:
            raise InvalidInputError(
                f"min_relative_improvement is {self.min_relative_improvement}; expected 0 to 1"
            )

    def progress_fraction(self, iterations: Int[Array, ""]) -> Float[Array, ""]:
        """Returns how much of the schedule has passed, 0 to 1."""
        return jnp.clip(iterations / self.decay_iterations, 0.0, 1.0)

    def optimizer_at(
        self, iterations: Int[Array, ""], lr_multiplier: float | Float[Array, ""] = 1.0
    ) -> Adam | SGD:
        """Returns the optimiser of this iteration, with `pace` times its rate."""
        fall = 0.5 * (1.0 + jnp.cos(jnp.pi * self.progress_fraction(iterations)))
        end = self.final_learning_rate
        rate = end + (self.learning_rate - end) * fall
        kind = Adam if self.optimizer == "adam" else SGD
        return kind(
            learning_rate=lr_multiplier * rate, max_grad_norm=self.max_grad_norm
        )  # type: ignore[arg-type]

    def batch_multiplier_at(self, iterations: Int[Array, ""]) -> Int[Array, ""]:
        """Returns over how many batches a step averages: growth^passed."""
        batches = jnp.float32(self.final_batch_multiplier) ** self.progress_fraction(
            iterations
        )
        return jnp.round(batches).astype(jnp.int32)


class EarlyStoppingState(NamedTuple):
    """How long the receiver's loss has not fallen."""

    best_loss: Float[Array, ""]
    """Lowest mean loss of a window so far, in nats."""
    window_loss_sum: Float[Array, ""]
    """Sum of the losses in the present window."""
    window_iterations: Int[Array, ""]
    """How many that are."""
    windows_without_improvement: Int[Array, ""]
    """Windows in a row without progress."""

    @classmethod
    def init(cls) -> "EarlyStoppingState":
        nothing = jnp.zeros((), jnp.int32)
        return cls(jnp.full((), jnp.inf), jnp.zeros(()), nothing, jnp.copy(nothing))

    def update(
        self, schedule: TrainingSchedule, loss: Float[Array, ""]
    ) -> "EarlyStoppingState":
        """Returns the stall after one more iteration with this mean loss."""
        total, iterations = self.window_loss_sum + loss, self.window_iterations + 1
        full = iterations == schedule.early_stopping_window
        mean = total / schedule.early_stopping_window
        better = mean < (1.0 - schedule.min_relative_improvement) * self.best_loss
        windows = jnp.where(better, 0, self.windows_without_improvement + 1)
        return EarlyStoppingState(
            best_loss=jnp.where(full & better, mean, self.best_loss),
            window_loss_sum=jnp.where(full, 0.0, total),
            window_iterations=jnp.where(full, 0, iterations),
            windows_without_improvement=jnp.where(
                full, windows, self.windows_without_improvement
            ),
        )

    def should_stop(self, schedule: TrainingSchedule) -> Bool[Array, ""]:
        """Returns whether patience has run out."""
        return (self.windows_without_improvement >= schedule.patience) & (
            schedule.patience > 0
        )
