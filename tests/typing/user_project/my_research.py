"""A project of a user's: a task, a channel and a system of their own, with types."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int, Key

import syntony


class CoinState(NamedTuple):
    """The side that is up, and the time step."""

    side: Int[Array, ""]
    time: Int[Array, ""]


@syntony.pytree_dataclass
class Coin:
    """Two agents name the side of a coin that they see."""

    time_limit: int = syntony.field(5, static=True)
    num_agents: int = syntony.field(2, static=True)
    num_actions: int = syntony.field(2, static=True)
    obs_dim: int = syntony.field(1, static=True)
    shared_reward: bool = syntony.field(False, static=True)
    reward: float = syntony.field(0.5)

    @property
    def id(self) -> str:
        return "python:my_research:Coin"

    def reset(self, key: Key[Array, ""]) -> tuple[CoinState, Float[Array, "N O"]]:
        side = jax.random.bernoulli(key).astype(jnp.int32)
        state = CoinState(side, side * 0)
        return state, self.observe(state)

    def action_mask(self, state: CoinState) -> Bool[Array, "N A"]:
        available = (state.side >= 0) & (state.time >= 0)
        return jnp.broadcast_to(available, (self.num_agents, self.num_actions))

    def step(
        self, key: Key[Array, ""], state: CoinState, action: Int[Array, " N"]
    ) -> tuple[CoinState, syntony.TimeStep]:
        side = jax.random.bernoulli(key).astype(jnp.int32)
        reward = jnp.where(action == state.side, self.reward, 0.0)
        state = CoinState(side, state.time + 1)
        over = state.time >= self.time_limit
        return state, syntony.TimeStep(self.observe(state), reward, over & ~over, over)

    def observe(self, state: CoinState) -> Float[Array, "N O"]:
        obs = state.side.astype(jnp.float32)
        return jnp.broadcast_to(obs, (self.num_agents, self.obs_dim))


def radio(x: Complex[np.ndarray, "B C"]) -> Complex[np.ndarray, "B C"]:
    """A channel that is called from Python."""
    return (x * np.complex64(1j)).astype(np.complex64)


class SearchState(NamedTuple):
    """Preferred side of the coin, and what the search needs to go on."""

    preference: Float[Array, ""]
    key: Key[Array, ""]
    steps: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class RandomSearch:
    """A system: random search for the preference with the highest score."""

    size: float = 0.1

    step_unit = "steps"
    jittable = True

    def check(self) -> None:
        if self.size <= 0.0:
            raise syntony.InvalidInputError(f"size is {self.size}; expected above 0")

    def init(self, key: Key[Array, ""]) -> SearchState:
        start, key = jax.random.split(key)
        preference = jax.random.normal(start)
        return SearchState(preference, key, (preference * 0).astype(jnp.int32))

    def step(self, state: SearchState) -> tuple[SearchState, dict[str, Array]]:
        noise, key = jax.random.split(state.key)
        trial = state.preference + self.size * jax.random.normal(noise)
        better = jnp.abs(trial) < jnp.abs(state.preference)
        preference = jnp.where(better, trial, state.preference)
        metrics = {"train/distance": jnp.abs(preference)}
        return SearchState(preference, key, state.steps + 1), metrics

    def num_steps(self, state: SearchState) -> Int[Array, ""]:
        return state.steps

    def is_done(self, state: SearchState) -> Bool[Array, ""]:
        return state.steps < 0

    def evaluate(
        self, state: SearchState, key: Key[Array, ""], episodes: int
    ) -> dict[str, Array]:
        noise = jax.random.normal(key, (episodes,))
        return {"eval/return_mean": noise - jnp.abs(state.preference)}

    def params(self, state: SearchState) -> dict[str, Array]:
        return {"preference": state.preference}


def first_metric(
    system: syntony.System[SearchState], state: SearchState
) -> Float[Array, ""]:
    """A function of the protocol: the state's type is the system's."""
    state, metrics = system.step(state)
    return metrics["train/distance"] + state.preference


def train_my_system() -> float:
    system = RandomSearch()
    system.check()
    first_metric(system, system.init(jax.random.key(0)))
    run = syntony.train(system, steps=100, eval_every=50, quiet=True)
    return float(run.evaluate(episodes=10)[0]["eval/return_mean"].mean())


def train_a_team() -> dict[int, float]:
    task: syntony.Task = Coin()
    system = syntony.MAPPO(task=task)
    run = syntony.train(system, steps=1_000, seeds=2, out="runs/coin")
    run = syntony.resume(run.path, steps=2_000)
    samples = syntony.load(run.path).evaluate(episodes=100, task=task)
    return {seed: float(x["eval/return_mean"].mean()) for seed, x in samples.items()}


def train_a_link() -> float:
    channel: syntony.AnyChannel = syntony.channel(radio)
    link = syntony.Link(
        channel=channel,
        messages=16,
        uses=2,
        schedule=syntony.TrainingSchedule(decay_iterations=100),
    )
    run = syntony.train(link, steps=100, eval_every=100)
    message = np.arange(16)
    probabilities = run.receive(radio(run.transmit(message)))
    wrong: Bool[np.ndarray, " B"] = np.argmax(probabilities, axis=-1) != message
    for row in run.metrics():
        print(row["step"], row["eval/bler"])
    return float(wrong.mean())


def published_settings() -> syntony.System:
    try:
        return syntony.preset("smpe", "lbf", syntony.task("Foraging-2s-8x8-3p-2f-coop"))
    except syntony.InvalidInputError as error:
        raise SystemExit(str(error)) from error
