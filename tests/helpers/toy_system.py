"""A test system that trains in milliseconds: noisy gradient descent on ‖x‖²."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from syntony.config import field, pytree_dataclass
from syntony.errors import InvalidInputError
from syntony.systems.system import EvalSamples, Metrics


class ToyState(NamedTuple):
    x: Float[Array, " 3"]
    key: Key[Array, ""]
    steps: Int[Array, ""]


@pytree_dataclass
class Descent:
    rate: float = 0.1
    noise: float = 0.01


@pytree_dataclass
class Toy:
    """Minimizes ‖x‖²; each update counts a random 1 to 3 steps."""

    descent: Descent = Descent()
    size: int = field(3, static=True)
    explodes_at: int = field(0, static=True)
    """Step from which the loss is NaN; 0: never."""
    done_at: int = field(0, static=True)
    """Step at which the training is done; 0: never."""

    step_unit = "steps"

    def check(self) -> None:
        if self.size < 1:
            raise InvalidInputError(f"size is {self.size}; expected at least 1")

    @property
    def jittable(self) -> bool:
        return True

    def init(self, key: Key[Array, ""]) -> ToyState:
        x_key, run_key = jax.random.split(key)
        x = jax.random.normal(x_key, (self.size,))
        return ToyState(x, run_key, jnp.zeros((), jnp.int32))

    def step(self, state: ToyState) -> tuple[ToyState, Metrics]:
        key, noise_key, count_key = jax.random.split(state.key, 3)
        loss, grad = jax.value_and_grad(lambda x: jnp.sum(x**2))(state.x)
        noise = self.descent.noise * jax.random.normal(noise_key, state.x.shape)
        steps = state.steps + jax.random.randint(count_key, (), 1, 4)
        diverged = (self.explodes_at > 0) & (steps >= self.explodes_at)
        x = state.x - self.descent.rate * grad + noise
        metrics = {
            "train/loss": jnp.where(diverged, jnp.nan, loss),
            "train/size": jnp.max(jnp.abs(x)),
        }
        return ToyState(x, key, steps), metrics

    def num_steps(self, state: ToyState) -> Int[Array, ""]:
        return state.steps

    def is_done(self, state: ToyState) -> Bool[Array, ""]:
        return (self.done_at > 0) & (state.steps >= self.done_at)

    def evaluate(
        self, state: ToyState, key: Key[Array, ""], episodes: int
    ) -> EvalSamples:
        noise = jax.random.normal(key, (episodes,))
        result = -jnp.sum(state.x**2)
        return {
            "eval/return_mean": result + noise,
            "eval/return_mean_greedy": result + 0.0 * noise,
        }

    def params(self, state: ToyState) -> dict[str, Array]:
        return {"x": state.x}

    def weights(self, state: ToyState) -> dict[str, PyTree[Array]]:
        return {"point": state.x}

    def with_weights(
        self, state: ToyState, weights: Mapping[str, PyTree[Array]]
    ) -> ToyState:
        return state._replace(x=weights["point"])


@pytree_dataclass
class ScheduledToy(Toy):
    """A toy with a setting that follows from the training length."""

    horizon: int | None = field(None, static=True)

    def resolve_steps(self, steps: int) -> "ScheduledToy":
        if self.horizon is not None:
            return self
        return dataclasses.replace(self, horizon=steps)
