"""A system small enough to train in milliseconds: noisy descent on a parabola."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import pytree_dataclass
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
    """Descends ‖x‖² in steps that count a random 1 to 3 each."""

    descent: Descent = Descent()
    size: int = 3
    explodes_at: int = 0
    """The step from which losses are not a number; never if 0."""
    content: int = 0
    """The step from which nothing more is to be learned; never if 0."""

    def check(self) -> None:
        if self.size < 1:
            raise InvalidInputError(f"size is {self.size}; expected at least 1")

    def as_jittable(self) -> "Toy":
        return self

    def init(self, key: Key[Array, ""]) -> ToyState:
        x_key, run_key = jax.random.split(key)
        x = jax.random.normal(x_key, (self.size,))
        return ToyState(x, run_key, jnp.zeros((), jnp.int32))

    def step(self, state: ToyState) -> tuple[ToyState, Metrics]:
        key, noise_key, count_key = jax.random.split(state.key, 3)
        loss, grad = jax.value_and_grad(lambda x: jnp.sum(x**2))(state.x)
        noise = self.descent.noise * jax.random.normal(noise_key, state.x.shape)
        steps = state.steps + jax.random.randint(count_key, (), 1, 4)
        broken = (self.explodes_at > 0) & (steps >= self.explodes_at)
        x = state.x - self.descent.rate * grad + noise
        metrics = {
            "train/loss": jnp.where(broken, jnp.nan, loss),
            "train/size": jnp.max(jnp.abs(x)),
        }
        return ToyState(x, key, steps), metrics

    def num_steps(self, state: ToyState) -> Int[Array, ""]:
        return state.steps

    def is_done(self, state: ToyState) -> Bool[Array, ""]:
        return (self.content > 0) & (state.steps >= self.content)

    def evaluate(
        self, state: ToyState, key: Key[Array, ""], episodes: int
    ) -> EvalSamples:
        noise = jax.random.normal(key, (episodes,))
        score = -jnp.sum(state.x**2)
        return {
            "eval/return_mean": score + noise,
            "eval/return_mean_greedy": score + 0.0 * noise,
        }

    def params(self, state: ToyState) -> dict[str, Array]:
        return {"x": state.x}
