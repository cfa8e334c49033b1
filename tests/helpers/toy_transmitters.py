"""A team that transmits and does not learn: QPSK in the cue game, by hand."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.channels.awgn import AWGN
from syntony.channels.channel import AnyChannel, transmit
from syntony.config import field, pytree_dataclass
from syntony.pytrees import PyTree
from syntony.systems.marl.base import MultiAgentSystem
from syntony.systems.system import DecodedBelief, Metrics
from syntony.tasks.probes.cue import CueGame
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task

ANGLES = jnp.pi / 4 + jnp.pi / 2 * jnp.arange(4)
QPSK = jnp.stack([jnp.cos(ANGLES), jnp.sin(ANGLES)], axis=-1)


class State(NamedTuple):
    key: Key[Array, ""]
    env_steps: Int[Array, ""]


class Hidden(NamedTuple):
    key: Key[Array, ""]
    sent: Float[Array, "E N C 2"]
    received: Float[Array, "E N R"]


@pytree_dataclass
class QPSKTeam(MultiAgentSystem[State]):
    """Agents that send their cue as a QPSK symbol and name the nearest one."""

    task: Task = CueGame(cues=4, distractors=3)
    channel: AnyChannel = AWGN(snr_db=10.0)
    num_envs: int = field(4, static=True)

    uses = 1
    power_constraint = "codeword"

    def check(self) -> None: ...

    @property
    def links(self) -> Bool[Array, "N N"]:
        return ~jnp.eye(2, dtype=bool)

    def init(self, key: Key[Array, ""]) -> State:
        return State(key, jnp.zeros((), jnp.int32))

    def update(
        self, state: State, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[State, Metrics]:
        del trajectory, key
        return state, {}

    def policy(self, state: State) -> Policy:
        def policy(
            obs: Float[Array, "E N O"], hidden: Hidden
        ) -> tuple[Float[Array, "E N A"], Hidden]:
            key, channel_key = jax.random.split(hidden.key)
            received = self.receive(state, channel_key, obs)
            hidden = Hidden(key, self.symbols(state, obs), received)
            return 100.0 * self.posterior(received), hidden

        return policy

    def initial_hidden(self, episodes: int) -> Hidden:
        return self.draw_hidden(jax.random.key(0), episodes)

    def draw_hidden(self, key: Key[Array, ""], episodes: int) -> Hidden:
        shape = episodes, 2
        return Hidden(key, jnp.zeros((*shape, 1, 2)), jnp.zeros((*shape, 2)))

    def params(self, state: State) -> PyTree[Array]:
        del state
        return {}

    def with_channel(self, channel: AnyChannel) -> "QPSKTeam":
        return dataclasses.replace(self, channel=channel)

    def symbols(
        self, state: State, obs: Float[Array, "*batch N O"]
    ) -> Float[Array, "*batch N 1 2"]:
        del state  # Nothing is learned.
        return (obs[..., :4] @ QPSK)[..., None, :]

    def receive(
        self, state: State, key: Key[Array, ""], obs: Float[Array, "B N O"]
    ) -> Float[Array, "B N 2"]:
        sent = self.symbols(state, obs)[:, ::-1].reshape(-1, 1, 2)
        return self.transmit(key, sent).reshape(len(obs), 2, 2)

    def transmit(
        self, key: Key[Array, ""], sent: Float[Array, "B 1 2"]
    ) -> Float[Array, "B 1 2"]:
        return transmit(self.channel, key, (), sent)[1]

    def posterior(self, received: Float[Array, "*batch 2"]) -> Float[Array, "*batch 4"]:
        return jax.nn.softmax(10.0 * received @ QPSK.T)

    def encode_received(
        self,
        state: State,
        obs: Float[Array, "*batch N O"],
        received: Float[Array, "*batch N R"],
    ) -> tuple[Float[Array, "*batch N Z"], Float[Array, "*batch N Z"]]:
        del state, obs
        return received, jnp.zeros_like(received)

    def decode_received(
        self,
        state: State,
        obs: Float[Array, "*batch N O"],
        received: Float[Array, "*batch N R"],
    ) -> DecodedBelief:
        del state
        rest = jnp.zeros((*received.shape[:-1], obs.shape[-1] - 4))
        prediction = jnp.concatenate([self.posterior(received), rest], axis=-1)
        others = obs[..., ::-1, :]
        return DecodedBelief(others, prediction, jnp.ones_like(prediction))

    def snapshot(self, state: State) -> dict[str, Array]:
        keys = jax.random.split(jax.random.key(0), 16)
        obs = jax.vmap(self.task.reset)(keys)[1]
        return {"obs": obs, "symbols": self.symbols(state, obs)}
