"""MAPPO on SMAX as JaxMARL trains it, in Flax: the peer in `jaxmarl_speed.py`.

The loop of JaxMARL's baselines/MAPPO/mappo_rnn_smax.py (Apache-2.0, commit c793d09),
restated: steps with automatic reset, recurrent actor and critic, GAE, epochs of
minibatches of actors. Its metrics and logging are left out.
"""

from typing import Any, NamedTuple

import flax.linen as nn  # pyright: ignore[reportMissingImports]
import jax
import jax.numpy as jnp
import jaxmarl  # pyright: ignore[reportMissingImports]
import numpy as np
import optax
from jax import Array
from jaxmarl.environments.smax import (  # pyright: ignore[reportMissingImports]
    map_name_to_scenario,
)

GAMMA, GAE_LAMBDA, CLIP_EPS = 0.99, 0.95, 0.2
LEARNING_RATE, MAX_GRAD_NORM, VALUE_COEF = 2e-3, 0.25, 0.5
NUM_EPOCHS, NUM_MINIBATCHES = 4, 4
UNAVAILABLE = -1e10


class ResetGRU(nn.Module):
    """A GRU over time whose state is zero where an episode begins."""

    @nn.compact
    def __call__(self, hidden: Array, inputs: tuple[Array, Array]) -> Any:
        cell = nn.scan(
            GRUStep, variable_broadcast="params", split_rngs={"params": False}
        )
        return cell()(hidden, inputs)


class GRUStep(nn.Module):
    """One step of `ResetGRU`."""

    @nn.compact
    def __call__(self, hidden: Array, inputs: tuple[Array, Array]) -> Any:
        x, begins = inputs
        hidden = jnp.where(begins[:, None], 0.0, hidden)
        return nn.GRUCell(features=x.shape[-1])(hidden, x)


class Network(nn.Module):
    """Dense layer, GRU, dense layer and output: the actor, and the critic."""

    hidden: int
    num_outputs: int
    output_scale: float

    @nn.compact
    def __call__(self, state: Array, x: Array, begins: Array) -> tuple[Array, Array]:
        x = nn.relu(dense(self.hidden, np.sqrt(2))(x))
        state, x = ResetGRU()(state, (x, begins))
        x = nn.relu(dense(self.hidden, 2.0)(x))
        return state, dense(self.num_outputs, self.output_scale)(x)


def dense(size: int, scale: float) -> nn.Dense:
    """Dense layer with orthogonal weights."""
    return nn.Dense(size, kernel_init=nn.initializers.orthogonal(scale))


class Batch(NamedTuple):
    """T steps of all actors: those of all agents in all environments."""

    over: Array
    begins: Array
    action: Array
    value: Array
    reward: Array
    log_prob: Array
    obs: Array
    world_state: Array
    mask: Array


class Runner(NamedTuple):
    """State of training."""

    params: tuple[Any, Any]
    opt_states: tuple[Any, Any]
    env_state: Any
    obs: dict[str, Array]
    begins: Array
    hidden: tuple[Array, Array]
    key: Array


class JaxMARLLoop:
    """Training loop of MAPPO on a scenario of SMAX."""

    def __init__(self, scenario: str, *, num_envs: int, num_steps: int, hidden: int):
        self.env = jaxmarl.make(
            "HeuristicEnemySMAX", scenario=map_name_to_scenario(scenario)
        )
        self.num_envs, self.num_steps, self.hidden = num_envs, num_steps, hidden
        self.num_actors = num_envs * self.env.num_agents
        self.num_actions = self.env.action_space(self.env.agents[0]).n
        self.actor = Network(hidden, self.num_actions, 0.01)
        self.critic = Network(hidden, 1, 1.0)
        self.optimizer = optax.chain(
            optax.clip_by_global_norm(MAX_GRAD_NORM),
            optax.adam(LEARNING_RATE, eps=1e-5),
        )

    def init(self, key: Array) -> Runner:
        """Initial state of training."""
        key, reset_key, *net_keys = jax.random.split(key, 4)
        reset_keys = jax.random.split(reset_key, self.num_envs)
        obs, env_state = jax.vmap(self.env.reset)(reset_keys)
        begins = jnp.ones(self.num_actors, bool)
        hidden = jnp.zeros((self.num_actors, self.hidden))
        params = tuple(
            network.init(net_key, hidden, x[None], begins[None])
            for network, net_key, x in zip(
                (self.actor, self.critic),
                net_keys,
                (self.by_actor(obs), self.world_state(obs)),
                strict=True,
            )
        )
        opt_states = tuple(map(self.optimizer.init, params))
        return Runner(params, opt_states, env_state, obs, begins, (hidden, hidden), key)

    def by_actor(self, values: dict[str, Array]) -> Array:
        """Values of all agents in all environments, agent by agent."""
        stacked = jnp.stack([values[agent] for agent in self.env.agents])
        return stacked.reshape(self.num_actors, *stacked.shape[2:])

    def world_state(self, obs: dict[str, Array]) -> Array:
        """The environment's state and a one-hot agent id, for each actor."""
        agents = self.env.num_agents
        state = jnp.tile(obs["world_state"], (agents, 1))
        return jnp.append(state, jnp.repeat(jnp.eye(agents), self.num_envs, 0), axis=1)

    def update(self, runner: Runner) -> Runner:
        """Collects a batch and takes all gradient steps on it."""
        start = runner.hidden
        runner, batch = jax.lax.scan(self.env_step, runner, length=self.num_steps)
        world_state = self.world_state(runner.obs)
        _, last = self.critic.apply(
            runner.params[1], runner.hidden[1], world_state[None], runner.begins[None]
        )
        advantage = gae(batch, last[0, :, 0])
        data = (*(h[None] for h in start), batch, advantage, advantage + batch.value)
        key, *epoch_keys = jax.random.split(runner.key, NUM_EPOCHS + 1)
        trained = runner.params, runner.opt_states
        for epoch_key in epoch_keys:
            order = jax.random.permutation(epoch_key, self.num_actors)
            trained, _ = jax.lax.scan(self.minibatch_step, trained, split(data, order))
        return runner._replace(params=trained[0], opt_states=trained[1], key=key)

    def env_step(self, runner: Runner, _: None) -> tuple[Runner, Batch]:
        """One step of all environments."""
        key, action_key, step_key = jax.random.split(runner.key, 3)
        mask = self.by_actor(jax.vmap(self.env.get_avail_actions)(runner.env_state))
        obs, world_state = self.by_actor(runner.obs), self.world_state(runner.obs)
        begins = runner.begins[None]
        actor_hidden, logits = self.actor.apply(
            runner.params[0], runner.hidden[0], obs[None], begins
        )
        logits = logits[0] + (1 - mask) * UNAVAILABLE
        action = jax.random.categorical(action_key, logits)
        critic_hidden, value = self.critic.apply(
            runner.params[1], runner.hidden[1], world_state[None], begins
        )
        by_agent = action.reshape(self.env.num_agents, self.num_envs)
        next_obs, env_state, reward, done, _ = jax.vmap(self.env.step)(
            jax.random.split(step_key, self.num_envs),
            runner.env_state,
            dict(zip(self.env.agents, by_agent, strict=True)),
        )
        step = Batch(
            jnp.tile(done["__all__"], self.env.num_agents),
            runner.begins,
            action,
            value[0, :, 0],
            self.by_actor(reward),
            log_prob(logits, action),
            obs,
            world_state,
            mask,
        )
        hidden = actor_hidden, critic_hidden
        rest = env_state, next_obs, self.by_actor(done), hidden, key
        return Runner(runner.params, runner.opt_states, *rest), step

    def minibatch_step(self, trained: Any, data: Any) -> tuple[Any, None]:
        """One gradient step of the actor and one of the critic."""
        params, opt_states = trained
        actor_start, critic_start, batch, advantage, target = data
        gradients = (
            jax.grad(self.actor_loss)(params[0], actor_start[0], batch, advantage),
            jax.grad(self.critic_loss)(params[1], critic_start[0], batch, target),
        )
        results = map(self.optimizer.update, gradients, opt_states, params)
        updates, opt_states = zip(*results, strict=True)
        return (tuple(map(optax.apply_updates, params, updates)), opt_states), None

    def actor_loss(
        self, params: Any, start: Array, batch: Batch, advantage: Array
    ) -> Array:
        """The clipped objective of PPO; the entropy has no weight in SMAX."""
        _, logits = self.actor.apply(params, start, batch.obs, batch.begins)
        logits = logits + (1 - batch.mask) * UNAVAILABLE
        ratio = jnp.exp(log_prob(logits, batch.action) - batch.log_prob)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        clipped = jnp.clip(ratio, 1 - CLIP_EPS, 1 + CLIP_EPS)
        return -jnp.minimum(ratio * advantage, clipped * advantage).mean()

    def critic_loss(
        self, params: Any, start: Array, batch: Batch, target: Array
    ) -> Array:
        """Half the larger squared error, of the value and of the clipped value."""
        _, value = self.critic.apply(params, start, batch.world_state, batch.begins)
        change = jnp.clip(value[..., 0] - batch.value, -CLIP_EPS, CLIP_EPS)
        errors = value[..., 0] - target, batch.value + change - target
        return VALUE_COEF * 0.5 * jnp.maximum(*map(jnp.square, errors)).mean()


def log_prob(logits: Array, action: Array) -> Array:
    """Ln π(a) of the actions."""
    log_probs = jax.nn.log_softmax(logits)
    return jnp.take_along_axis(log_probs, action[..., None], axis=-1)[..., 0]


def gae(batch: Batch, last_value: Array) -> Array:
    """Generalized advantage estimates of all steps."""

    def step(carry: tuple[Array, Array], now: Batch) -> Any:
        advantage, next_value = carry
        goes_on = 1.0 - now.over
        delta = now.reward + GAMMA * next_value * goes_on - now.value
        advantage = delta + GAMMA * GAE_LAMBDA * goes_on * advantage
        return (advantage, now.value), advantage

    start = jnp.zeros_like(last_value), last_value
    return jax.lax.scan(step, start, batch, reverse=True, unroll=16)[1]


def split(data: Any, order: Array) -> Any:
    """Minibatches of actors, in a random order, as the leading axis."""

    def cut(x: Array) -> Array:
        x = jnp.take(x, order, axis=1)
        parts = x.reshape(x.shape[0], NUM_MINIBATCHES, -1, *x.shape[2:])
        return jnp.swapaxes(parts, 0, 1)

    return jax.tree.map(cut, data)
