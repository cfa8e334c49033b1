"""Tiny teams of every system, in a task of random observations and action masks."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array
from toy_capabilities import ToyTeam
from your_own_algorithm import Reinforce

import syntony
from syntony.config import field, pytree_dataclass
from syntony.equations.running_stats import FeatureStats
from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.systems.marl.value_decomposition import MixerConfig, QLearningConfig
from syntony.tasks.task import TimeStep

SIZES = 3, 4, 5
"""Agents, actions and features of `Signals`."""
EPISODES = 4


class SignalsState(NamedTuple):
    time: Array
    mask: Array


@pytree_dataclass
class Signals:
    """Random observations and random action masks; 2 to 8 steps."""

    num_agents: int = field(SIZES[0], static=True)
    num_actions: int = field(SIZES[1], static=True)
    obs_dim: int = field(SIZES[2], static=True)
    time_limit: int = field(8, static=True)
    shared_reward: bool = field(False, static=True)
    id: str = field("signals", static=True)

    def reset(self, key):
        obs_key, mask_key = jax.random.split(key)
        mask = jax.random.bernoulli(mask_key, 0.7, SIZES[:2]).at[:, 1].set(True)
        obs = 10 * jax.random.normal(obs_key, (SIZES[0], SIZES[2]))
        return SignalsState(jnp.int32(0), mask), obs

    def action_mask(self, state):
        return state.mask

    def step(self, key, state, action):
        end_key, reset_key = jax.random.split(key)
        new, obs = self.reset(reset_key)
        time = state.time + 1
        over = (time > 1) & jax.random.bernoulli(end_key, 0.1)
        truncated = (time == self.time_limit) & ~over
        reward = action.astype(jnp.float32)
        return new._replace(time=time), TimeStep(obs, reward, over, truncated)


TASK = Signals()
ACTOR = ActorCriticConfig(num_envs=EPISODES, hidden=8)
BELIEFS = BeliefConfig(latent_dim=4, buffer_size=EPISODES)
Q_LEARNING = QLearningConfig(num_envs=EPISODES, hidden=8, buffer_size=64)
LSTM = dataclasses.replace(ACTOR, actor="python:your_own_networks:lstm")
MIXER = MixerConfig(mixing_embed_dim=4, hypernet_embed_dim=4)
ALONE = dataclasses.replace(ACTOR, actor="mlp", shared_actor=False)
SYSTEMS: dict[str, Any] = {
    "smpe": syntony.SMPE(task=TASK, actor_critic=ACTOR, beliefs=BELIEFS),
    "smpe_official": syntony.SMPEOfficial(
        task=TASK, actor_critic=ACTOR, beliefs=BELIEFS
    ),
    "maa2c": syntony.MAA2C(task=TASK, actor_critic=ACTOR, last_action=True),
    "ia2c": syntony.IA2C(task=TASK, actor_critic=ALONE),
    "ippo": syntony.IPPO(task=TASK, actor_critic=LSTM),
    "mappo": syntony.MAPPO(task=TASK, actor_critic=ACTOR),
    "vdn": syntony.VDN(task=TASK, q_learning=Q_LEARNING),
    "qmix": syntony.QMIX(
        task=TASK, q_learning=Q_LEARNING, mixer=MIXER, last_action=True
    ),
    "own algorithm": Reinforce(task=TASK, hidden=8),
    "own protocol": ToyTeam(task=TASK),
}


def enlarge(x: Any) -> Any:
    """Weights three times as large, and statistics of inputs as after some episodes."""
    if isinstance(x, FeatureStats):
        return x._replace(mean=x.mean + 0.5, std=x.std + 0.8)
    return 3 * x if jnp.issubdtype(x.dtype, jnp.floating) else x


def enlarged(state: Any) -> Any:
    """State with weights large enough for actions that differ."""
    return jax.tree.map(enlarge, state, is_leaf=lambda x: isinstance(x, FeatureStats))


@functools.cache
def state_of(name: str) -> Any:
    """State of a system, made once."""
    return enlarged(jax.jit(SYSTEMS[name].init)(jax.random.key(1)))
