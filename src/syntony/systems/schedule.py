"""How a link's training proceeds: what changes while it does, and when it ends."""

from typing import Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from syntony.errors import BadInput
from syntony.optim import Adam, Sgd
from syntony.record import check_choices, record

RATES = "learning_rate", "final_learning_rate", "receiver_rate", "max_norm"


@record
class Schedule:
    """Constants of the alternating algorithm; none is taken from the paper."""

    horizon: int = 10_000
    """Iterations over which rates, exploration and batches go from start to end."""
    receiver_steps: int = 1
    """n_R, steps of the receiver in an iteration."""
    transmitter_steps: int = 1
    """n_T, steps of the transmitter in an iteration."""
    warm_up: int = 50
    """First iterations, in which only the receiver learns."""
    batch: int = 1000
    """Blocks sent for a step."""
    growth: int = 1
    """Batches that a step averages over at the end; on the way there, ever more."""
    optimiser: Literal["adam", "sgd"] = "adam"
    """How both sides descend."""
    learning_rate: float = 1e-3
    """Of the transmitter, when training starts."""
    final_learning_rate: float = 1e-5
    """Of the transmitter, at the end; in between it falls as a cosine."""
    receiver_rate: float = 1.0
    """How many times as fast the receiver learns."""
    max_norm: float = 10.0
    """Largest gradient norm of either side."""
    patience: int = 0
    """Windows without progress after which training ends early; 0: it never does."""
    window: int = 500
    """Iterations over which the receiver's loss is averaged to judge progress."""
    progress: float = 0.03
    """Share by which the loss must fall to count as progress."""

    def check(self) -> None:
        """Raises BadInput where a constant makes no sense."""
        check_choices(self)
        least = {"horizon": 1, "receiver_steps": 0, "transmitter_steps": 0}
        least |= {"warm_up": 0, "batch": 2, "growth": 1, "patience": 0, "window": 1}
        for name, bound in least.items():
            if (value := getattr(self, name)) < bound:
                raise BadInput(f"{name} is {value}; expected at least {bound}")
        for name in RATES:
            if not (value := getattr(self, name)) > 0.0:
                raise BadInput(f"{name} is {value}; expected above 0")
        if not 0.0 <= self.progress < 1.0:
            raise BadInput(f"progress is {self.progress}; expected 0 to 1")

    def passed(self, iterations: Int[Array, ""]) -> Float[Array, ""]:
        """Returns how much of the schedule has passed, 0 to 1."""
        return jnp.clip(iterations / self.horizon, 0.0, 1.0)

    def optimiser_at(
        self, iterations: Int[Array, ""], pace: float | Float[Array, ""] = 1.0
    ) -> Adam | Sgd:
        """Returns the optimiser of this iteration, with `pace` times its rate."""
        fall = 0.5 * (1.0 + jnp.cos(jnp.pi * self.passed(iterations)))
        end = self.final_learning_rate
        rate = end + (self.learning_rate - end) * fall
        kind = Adam if self.optimiser == "adam" else Sgd
        return kind(learning_rate=pace * rate, max_norm=self.max_norm)  # type: ignore[arg-type]

    def batches_at(self, iterations: Int[Array, ""]) -> Int[Array, ""]:
        """Returns over how many batches a step averages: growth^passed."""
        batches = jnp.float32(self.growth) ** self.passed(iterations)
        return jnp.round(batches).astype(jnp.int32)


class Stall(NamedTuple):
    """How long the receiver's loss has not fallen."""

    best: Float[Array, ""]
    """Lowest mean loss of a window so far, in nats."""
    total: Float[Array, ""]
    """Sum of the losses in the present window."""
    iterations: Int[Array, ""]
    """How many that are."""
    windows: Int[Array, ""]
    """Windows in a row without progress."""

    @classmethod
    def start(cls) -> "Stall":
        nothing = jnp.zeros((), jnp.int32)
        return cls(jnp.full((), jnp.inf), jnp.zeros(()), nothing, jnp.copy(nothing))

    def observe(self, schedule: Schedule, loss: Float[Array, ""]) -> "Stall":
        """Returns the stall after one more iteration with this mean loss."""
        total, iterations = self.total + loss, self.iterations + 1
        full = iterations == schedule.window
        mean = total / schedule.window
        better = mean < (1.0 - schedule.progress) * self.best
        windows = jnp.where(better, 0, self.windows + 1)
        return Stall(
            best=jnp.where(full & better, mean, self.best),
            total=jnp.where(full, 0.0, total),
            iterations=jnp.where(full, 0, iterations),
            windows=jnp.where(full, windows, self.windows),
        )

    def over(self, schedule: Schedule) -> Bool[Array, ""]:
        """Returns whether patience has run out."""
        return (self.windows >= schedule.patience) & (schedule.patience > 0)
