"""Toy systems with capabilities: a team, a link, and a system that is both."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from syntony.channels.channel import Channel, ChannelState
from syntony.config import field, pytree_dataclass
from syntony.equations.detection import coherent_ml_metric
from syntony.equations.signal import normalize_average_power
from syntony.systems.system import EvalSamples, Metrics
from syntony.tasks.rollout import Policy, Trajectory, rollout
from syntony.tasks.task import Task


class WalkState(NamedTuple):
    """Weights that a random walk changes: no more than a state is needed here."""

    weights: Float[Array, "..."]
    key: Key[Array, ""]
    steps: Int[Array, ""]


def walk(state: WalkState, count: int) -> WalkState:
    key, noise_key = jax.random.split(state.key)
    noise = 0.01 * jax.random.normal(noise_key, state.weights.shape)
    return WalkState(state.weights + noise, key, state.steps + count)


def start_walk(key: Key[Array, ""], shape: tuple[int, ...]) -> WalkState:
    weights_key, run_key = jax.random.split(key)
    weights = jax.random.normal(weights_key, shape)
    return WalkState(weights, run_key, jnp.zeros((), jnp.int32))


class Walk:
    """The methods of `System` that are the same for every random walk."""

    jittable = True

    def check(self) -> None:
        """Every setting is valid."""

    def num_steps(self, state: WalkState) -> Int[Array, ""]:
        return state.steps

    def is_done(self, state: WalkState) -> Bool[Array, ""]:
        return jnp.zeros_like(state.steps, bool)


@pytree_dataclass
class ToyTeam(Walk):
    """Agents with one linear policy; an update counts as an episode."""

    task: Task

    step_unit = "environment steps"

    def init(self, key: Key[Array, ""]) -> WalkState:
        return start_walk(key, (self.task.obs_dim, self.task.num_actions))

    def step(self, state: WalkState) -> tuple[WalkState, Metrics]:
        return walk(state, self.task.time_limit), {"train/actor_loss": jnp.ones(())}

    def evaluate(
        self, state: WalkState, key: Key[Array, ""], episodes: int
    ) -> EvalSamples:
        return {"eval/return_mean": self.collect_episodes(state, key, episodes).returns}

    def params(self, state: WalkState) -> PyTree[Float[Array, "..."]]:
        return {"policy": state.weights}

    def with_task(self, task: Task) -> "ToyTeam":
        return dataclasses.replace(self, task=task)

    def policy(self, state: WalkState) -> Policy:
        return lambda obs, hidden: (obs @ state.weights, hidden)

    def initial_hidden(self, episodes: int) -> PyTree[Array]:
        return jnp.zeros((episodes, 0))

    def collect_episodes(
        self,
        state: WalkState,
        key: Key[Array, ""],
        episodes: int,
        greedy: Bool[Array, ""] | bool = False,
    ) -> Trajectory:
        hidden = self.initial_hidden(episodes)
        return rollout(
            self.task,
            self.policy(state),
            hidden,
            key,
            episodes=episodes,
            greedy=greedy,
        )


@pytree_dataclass
class ToyLink(Walk):
    """A code that walks at random, and a receiver that knows it."""

    channel: Channel
    messages: int = field(4, static=True)
    uses: int = field(2, static=True)

    step_unit = "iterations"
    power_constraint = "average"

    def init(self, key: Key[Array, ""]) -> WalkState:
        return start_walk(key, (self.messages, self.uses, 2))

    def step(self, state: WalkState) -> tuple[WalkState, Metrics]:
        return walk(state, 1), {"train/receiver_loss": jnp.ones(())}

    def evaluate(
        self, state: WalkState, key: Key[Array, ""], episodes: int
    ) -> EvalSamples:
        message = jnp.arange(episodes) % self.messages
        y = self.channel(key, self.codewords(state)[message])
        wrong = jnp.argmax(self.message_logits(state, y), axis=-1) != message
        return {"eval/bler": wrong.astype(jnp.float32)}

    def params(self, state: WalkState) -> PyTree[Float[Array, "..."]]:
        return {"symbols": state.weights}

    def with_channel(self, channel: Channel) -> "ToyLink":
        return dataclasses.replace(self, channel=channel)

    def codewords(self, state: WalkState) -> Float[Array, "M C 2"]:
        return normalize_average_power(state.weights)

    def message_logits(
        self, state: WalkState, y: Float[Array, "B C 2"]
    ) -> Float[Array, "B M"]:
        return coherent_ml_metric(y, self.codewords(state))

    def channel_state(self, state: WalkState) -> ChannelState:
        del state
        return ()

    def with_channel_state(
        self, state: WalkState, channel_state: ChannelState
    ) -> WalkState:
        del channel_state
        return state

    def snapshot(self, state: WalkState) -> dict[str, Array]:
        codebook = self.codewords(state)
        return {"message": jnp.arange(self.messages), "codebook": codebook}


class TeamAndLinkState(NamedTuple):
    team: WalkState
    link: WalkState


@pytree_dataclass
class TeamAndLink:
    """A team beside a link; its steps are the team's."""

    task: Task
    channel: Channel
    messages: int = field(4, static=True)
    uses: int = field(2, static=True)

    step_unit = "environment steps"
    jittable = True
    power_constraint = "average"

    @property
    def team(self) -> ToyTeam:
        return ToyTeam(task=self.task)

    @property
    def link(self) -> ToyLink:
        return ToyLink(channel=self.channel, messages=self.messages, uses=self.uses)

    def check(self) -> None:
        """Every setting is valid."""

    def init(self, key: Key[Array, ""]) -> TeamAndLinkState:
        team_key, link_key = jax.random.split(key)
        return TeamAndLinkState(self.team.init(team_key), self.link.init(link_key))

    def step(self, state: TeamAndLinkState) -> tuple[TeamAndLinkState, Metrics]:
        team, team_metrics = self.team.step(state.team)
        link, link_metrics = self.link.step(state.link)
        return TeamAndLinkState(team, link), team_metrics | link_metrics

    def num_steps(self, state: TeamAndLinkState) -> Int[Array, ""]:
        return self.team.num_steps(state.team)

    def is_done(self, state: TeamAndLinkState) -> Bool[Array, ""]:
        return self.team.is_done(state.team)

    def evaluate(
        self, state: TeamAndLinkState, key: Key[Array, ""], episodes: int
    ) -> EvalSamples:
        team_key, link_key = jax.random.split(key)
        return self.team.evaluate(state.team, team_key, episodes) | self.link.evaluate(
            state.link, link_key, episodes
        )

    def params(self, state: TeamAndLinkState) -> PyTree[Float[Array, "..."]]:
        return self.team.params(state.team) | self.link.params(state.link)

    def with_task(self, task: Task) -> "TeamAndLink":
        return dataclasses.replace(self, task=task)

    def policy(self, state: TeamAndLinkState) -> Policy:
        return self.team.policy(state.team)

    def initial_hidden(self, episodes: int) -> PyTree[Array]:
        return self.team.initial_hidden(episodes)

    def collect_episodes(
        self,
        state: TeamAndLinkState,
        key: Key[Array, ""],
        episodes: int,
        greedy: Bool[Array, ""] | bool = False,
    ) -> Trajectory:
        return self.team.collect_episodes(state.team, key, episodes, greedy)

    def with_channel(self, channel: Channel) -> "TeamAndLink":
        return dataclasses.replace(self, channel=channel)

    def codewords(self, state: TeamAndLinkState) -> Float[Array, "M C 2"]:
        return self.link.codewords(state.link)

    def message_logits(
        self, state: TeamAndLinkState, y: Float[Array, "B C 2"]
    ) -> Float[Array, "B M"]:
        return self.link.message_logits(state.link, y)

    def channel_state(self, state: TeamAndLinkState) -> ChannelState:
        return self.link.channel_state(state.link)

    def with_channel_state(
        self, state: TeamAndLinkState, channel_state: ChannelState
    ) -> TeamAndLinkState:
        return state._replace(
            link=self.link.with_channel_state(state.link, channel_state)
        )

    def snapshot(self, state: TeamAndLinkState) -> dict[str, Array]:
        return self.link.snapshot(state.link)
