"""Proximal policy optimization of a team: IPPO and MAPPO, in two published forms.

EPyMARL's form (`targets` n_step) is the actor-critic of `actor_critic.py` with PPO's
clipped loss, over several epochs of the whole batch. That of Yu et al. (2022)
(`targets` gae, preset `yu2022`) has no target critic; one step of it:

    collect one whole episode in each environment with the present policy
    A ← GAE(λ) of the critic's values; truncated episodes bootstrap; G ← A + V
    A ← (A − mean) / std over all steps of living agents
    in each epoch, for each minibatch of chunks of episodes:
        statistics of G; critic: a gradient step on the clipped loss of V against G
        actors: a gradient step on PPO's clipped loss with A, −β_H H(π)

A chunk starts from the hidden state of the policy that acted, and so do gradients.

Sources: de Witt et al., "Is Independent Learning All You Need in the StarCraft
    Multi-Agent Challenge?", 2020 (IPPO); Yu et al., "The Surprising Effectiveness of
    PPO in Cooperative Multi-Agent Games", NeurIPS 2022 (MAPPO, and the constants of
    its released code, github.com/marlbenchmark/on-policy); Papoudakis et al., NeurIPS
    2021 (EPyMARL).
"""

from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import (
    above,
    at_least,
    between,
    config_fields,
    field,
    pytree_dataclass,
    validate,
)
from syntony.equations.returns import (
    clipped_value_loss,
    generalized_advantage,
    normalize_advantages,
)
from syntony.equations.running_stats import (
    ValueStats,
    denormalize_values,
    init_value_stats,
    normalize_values,
    update_value_stats,
)
from syntony.errors import InvalidInputError
from syntony.networks.agents import AnyCritic, agent_ids
from syntony.pytrees import PyTree
from syntony.systems.marl.actor_critic import (
    ActorCritic,
    ActorCriticConfig,
    ActorCriticState,
    CriticInput,
    PPOConfig,
    apply_critic_gradients,
    critic_values,
    masked_mean,
    update_actor,
)
from syntony.systems.marl.team_actors import act, check_actor
from syntony.systems.system import Metrics
from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import Task


@pytree_dataclass
class GAEConfig:
    """Targets of PPO, and constants of the update with GAE."""

    targets: Literal["n_step", "gae"] = field("n_step", static=True)
    """Targets of the critics: n-step from target critics, as in EPyMARL, or λ-returns,
    with the update of Yu et al. (2022). The constants below belong to gae."""
    gae_lambda: float = field(0.95, limits=between(0, 1))
    """λ of GAE."""
    num_minibatches: int = field(1, static=True, limits=at_least(1))
    """Gradient steps of an epoch, each on another part of the chunks."""
    chunk_length: int = field(10, static=True, limits=at_least(1))
    """Steps of a chunk, through which gradients flow back."""
    normalize_advantages: bool = field(True, static=True)
    """Normalize the advantages of a batch to zero mean and unit variance."""
    normalize_values: bool = field(True, static=True)
    """Let critics learn values normalized by moving averages of the targets."""
    value_decay: float = field(0.99999, limits=between(0, 1, open_high=True))
    """Factor β of these moving averages, per gradient step."""
    clip_values: bool = field(True, static=True)
    """Do not reward changes of a value beyond clip_eps, in normalized units."""
    huber_delta: float = field(10.0, limits=above(0))
    """Error of a value from which on its loss is linear."""


PPO_DEFAULTS = ActorCriticConfig(actor_lr=3e-4, critic_lr=3e-4, entropy_coef=1e-3)


class Steps(NamedTuple):
    """Time steps as gradient steps read them, [L, C, ...]: C chunks of L steps."""

    obs: Float[Array, "L C N O"]
    critic_input: Float[Array, "L C #N S"]
    action_mask: Bool[Array, "L C N A"]
    action: Int[Array, "L C N"]
    log_prob: Float[Array, "L C N"]
    alive: Bool[Array, "L C N"]
    valid: Bool[Array, "L C"]
    value: Float[Array, "L C N"]
    """V before the update, as the critic gives it."""
    target: Float[Array, "L C N"]
    """λ-return, in units of the rewards."""
    advantage: Float[Array, "L C N"]


TAKEN = ("action_mask", "action", "log_prob", "alive", "valid")
"""Fields that `Steps` has from a trajectory as they are."""


class Chunks(NamedTuple):
    """Chunks of episodes, and the hidden states at their starts."""

    steps: Steps
    actor_hidden: PyTree[Array]
    """Leaves [C, N, ...]."""
    critic_hidden: PyTree[Array]
    """Leaves [C, N, ...]."""


class PPO(ActorCritic):
    """The algorithm; its two final classes are below."""

    ppo: PPOConfig
    gae: GAEConfig

    @property
    def ppo_config(self) -> PPOConfig:
        return self.ppo

    def check(self) -> None:
        """Raises InvalidInputError where a setting is invalid."""
        self.actor_critic.check()
        check_actor(self.actor_critic, self.observed_task, self.observed_task.obs_dim)
        validate(self.ppo)
        check_gae(self.gae, self.num_envs, self.task.time_limit)

    @property
    def initial_value_stats(self) -> ValueStats | None:
        uses_gae = self.gae.targets == "gae"
        return init_value_stats() if uses_gae and self.gae.normalize_values else None

    def learn(
        self,
        state: ActorCriticState,
        trajectory: Trajectory,
        reward: Float[Array, "T E N"],
        key: Key[Array, ""],
    ) -> tuple[ActorCriticState, Metrics]:
        if self.gae.targets == "n_step":
            return self.learn_in_epochs(state, trajectory, reward)
        chunks = self.make_chunks(state, trajectory, reward)

        def gradient_step(
            state: ActorCriticState, rows: Int[Array, " M"]
        ) -> tuple[ActorCriticState, Metrics]:
            return self.update_on_chunks(state, take_chunks(chunks, rows))

        def epoch(
            state: ActorCriticState, key: Key[Array, ""]
        ) -> tuple[ActorCriticState, Metrics]:
            if self.gae.num_minibatches == 1:
                return self.update_on_chunks(state, chunks)
            rows = minibatch_rows(key, chunks, self.gae.num_minibatches)
            state, metrics = jax.lax.scan(gradient_step, state, rows)
            return state, jax.tree.map(lambda m: m[-1], metrics)

        keys = jax.random.split(key, self.ppo.ppo_epochs)
        state, metrics = jax.lax.scan(epoch, state, keys)
        return state, jax.tree.map(lambda m: m[-1], metrics)

    def make_chunks(
        self,
        state: ActorCriticState,
        trajectory: Trajectory,
        reward: Float[Array, "T E N"],
    ) -> Chunks:
        """Chunks of the episodes, with values, targets and advantages."""
        config, critic = self.actor_critic, state.critic_state.critic
        inputs, alive = self.critic_inputs(trajectory), trajectory.alive
        value = critic_values(config, critic, inputs, reward.shape[-1])
        advantage, target = self.advantages_and_targets(
            state.value_stats, value, trajectory, reward
        )
        if self.gae.normalize_advantages:
            advantage = normalize_advantages(advantage, alive)
        steps = Steps(
            obs=trajectory.obs[:-1],
            critic_input=inputs[:-1],
            **{name: getattr(trajectory, name) for name in TAKEN},
            value=value[:-1],
            target=target,
            advantage=advantage,
        )
        chunked = split_into_chunks(steps, self.gae.chunk_length)
        episodes, num_agents = alive.shape[1:]
        return Chunks(
            steps=merge_chunks(chunked),
            actor_hidden=hidden_at_starts(
                partial(act, state.actor, shared=config.shared_actor),
                chunked.obs,
                self.initial_hidden(episodes),
            ),
            critic_hidden=hidden_at_starts(
                partial(critic_step, config, critic, num_agents),
                chunked.critic_input,
                critic.initial_hidden((episodes, num_agents)),
            ),
        )

    def advantages_and_targets(
        self,
        stats: ValueStats | None,
        value: Float[Array, "T1 E N"],
        trajectory: Trajectory,
        reward: Float[Array, "T E N"],
    ) -> tuple[Float[Array, "T E N"], Float[Array, "T E N"]]:
        """GAE(λ) and λ-returns in units of the rewards; undefined after an end.

        Args:
            stats: statistics of the critic's targets, if values are normalized.
            value: V of all states, as the critic gives it.
            trajectory: the episodes.
            reward: what each agent learns from.
        """
        value = value if stats is None else denormalize_values(stats, value)
        advantage = generalized_advantage(
            reward,
            value[:-1],
            value[1:],
            jnp.broadcast_to(trajectory.terminated[..., None], reward.shape),
            jnp.broadcast_to(trajectory.truncated[..., None], reward.shape),
            gamma=self.actor_critic.gamma,
            gae_lambda=self.gae.gae_lambda,
        )
        return advantage, advantage + value[:-1]

    def update_on_chunks(
        self, state: ActorCriticState, chunks: Chunks
    ) -> tuple[ActorCriticState, Metrics]:
        """State after one gradient step of the critic and one of the actors."""
        steps, target = chunks.steps, chunks.steps.target
        stats = state.value_stats
        if stats is not None:
            valid = steps.valid[..., None]
            decay = self.gae.value_decay
            stats = update_value_stats(stats, target, valid, decay=decay)
            target = normalize_values(stats, target)
        loss, grads = jax.value_and_grad(self.value_loss)(
            state.critic_state.critic, chunks, target
        )
        critic_state = apply_critic_gradients(
            self.actor_critic, state.critic_state, grads
        )
        actor, opt_state, metrics = update_actor(
            self.actor_critic,
            self.ppo,
            state.actor,
            state.actor_opt_state,
            steps.obs,
            steps.advantage,
            steps,
            chunks.actor_hidden,
        )
        state = state._replace(
            actor=actor,
            actor_opt_state=opt_state,
            critic_state=critic_state,
            value_stats=stats,
        )
        return state, metrics | {"train/critic_loss": loss}

    def value_loss(
        self, critic: AnyCritic, chunks: Chunks, target: Float[Array, "L C N"]
    ) -> Float[Array, ""]:
        """Mean clipped loss of the critic, in its own units.

        Agents that finished early count: advantages of others bootstrap from them.
        """
        steps = chunks.steps
        value = critic_values(
            self.actor_critic,
            critic,
            steps.critic_input,
            target.shape[-1],
            chunks.critic_hidden,
        )
        loss = clipped_value_loss(
            target,
            value,
            steps.value,
            clip_eps=self.ppo.clip_eps if self.gae.clip_values else jnp.inf,
            huber_delta=self.gae.huber_delta,
        )
        return masked_mean(loss, steps.valid[..., None])


@pytree_dataclass
class IPPO(PPO):
    """Independent PPO: each agent's critic sees its own observation.

    Examples:
        >>> import syntony
        >>> system = syntony.IPPO(task=syntony.task("Foraging-2s-8x8-3p-2f-coop"))
        >>> run = syntony.train(system, steps=100_000)

    Source: de Witt et al., 2020; constants of EPyMARL's `ippo.yaml`.
    """

    task: Task
    """The task to train on; see: syntony list tasks."""
    actor_critic: ActorCriticConfig = PPO_DEFAULTS
    ppo: PPOConfig = PPOConfig()
    gae: GAEConfig = GAEConfig()
    last_action: bool = field(False, static=True)
    """Append each agent's last action to its observation."""

    critic_input: ClassVar[CriticInput] = "local"


@pytree_dataclass
class MAPPO(PPO):
    """PPO with a central critic, which sees the state of the team.

    Examples:
        >>> import syntony
        >>> system = syntony.MAPPO(task=syntony.task("Foraging-2s-8x8-3p-2f-coop"))
        >>> run = syntony.train(system, steps=100_000)

    Source: Yu et al., NeurIPS 2022; constants of EPyMARL's `mappo.yaml`, and with
        preset `yu2022` of its released code.
    """

    task: Task
    """The task to train on; see: syntony list tasks."""
    actor_critic: ActorCriticConfig = PPO_DEFAULTS
    ppo: PPOConfig = PPOConfig()
    gae: GAEConfig = GAEConfig()
    last_action: bool = field(False, static=True)
    """Append each agent's last action to its observation."""

    critic_input: ClassVar[CriticInput] = "joint"


def check_gae(config: GAEConfig, num_envs: int, time_limit: int) -> None:
    """Raises InvalidInputError where a constant of the update is invalid."""
    validate(config)
    if config.targets == "n_step":
        names = [f.name for f in config_fields(GAEConfig)]
        changed = [n for n in names if getattr(config, n) != getattr(GAEConfig(), n)]
        if changed:
            raise InvalidInputError(
                f"{changed[0]} has no effect on n-step targets; expected targets gae"
            )
    num_chunks = num_envs * num_chunks_of(time_limit, config.chunk_length)
    if config.num_minibatches > num_chunks:
        raise InvalidInputError(
            f"num_minibatches is {config.num_minibatches}; expected at most the "
            f"number of chunks of {config.chunk_length} steps, {num_chunks}"
        )


def num_chunks_of(num_steps: int, chunk_length: int) -> int:
    """Number of chunks of an episode; the last may be shorter than the others."""
    return -(-num_steps // chunk_length)


def split_into_chunks(steps: Steps, chunk_length: int) -> Steps:
    """Steps with leaves [K, L, E, ...]: K consecutive chunks of each episode.

    The last step fills up the last chunk; there it is neither valid nor alive.
    """
    num_steps = len(steps.valid)
    length = min(chunk_length, num_steps)
    num_chunks = num_chunks_of(num_steps, length)
    time = jnp.arange(num_chunks * length)

    def split(x: Array) -> Array:
        filled = x[jnp.minimum(time, num_steps - 1)]
        return filled.reshape(num_chunks, length, *x.shape[1:])

    exists = (time < num_steps).reshape(num_chunks, length, 1)
    split_steps = jax.tree.map(split, steps)
    return split_steps._replace(
        valid=split_steps.valid & exists,
        alive=split_steps.alive & exists[..., None],
    )


def merge_chunks(steps: Steps) -> Steps:
    """Steps with leaves [L, C, ...], from [K, L, E, ...]: C = K E chunks."""

    def merge(x: Array) -> Array:
        x = jnp.moveaxis(x, 0, 1)
        return x.reshape(len(x), -1, *x.shape[3:])

    return jax.tree.map(merge, steps)


def hidden_at_starts(
    step_fn: Callable[[Array, PyTree[Array]], tuple[Array, PyTree[Array]]],
    inputs: Float[Array, "K L E N F"],
    initial: PyTree[Array],
) -> PyTree[Array]:
    """Hidden states at the start of each chunk, leaves [C, N, ...].

    Args:
        step_fn: from inputs and hidden states to outputs and the next hidden states.
        inputs: inputs of all steps.
        initial: hidden states at the start of the episodes.
    """

    def step(hidden: PyTree[Array], x: Array) -> tuple[PyTree[Array], None]:
        return step_fn(x, hidden)[1], None

    def chunk(hidden: PyTree[Array], x: Array) -> tuple[PyTree[Array], PyTree[Array]]:
        return jax.lax.scan(step, hidden, x)[0], hidden

    _, starts = jax.lax.scan(chunk, initial, inputs)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), starts)


def critic_step(
    config: ActorCriticConfig,
    critic: AnyCritic,
    num_agents: int,
    state: Float[Array, "E #N S"],
    hidden: PyTree[Array],
) -> tuple[Float[Array, "E N"], PyTree[Array]]:
    """Values of one time step, and the critics' next hidden states."""
    ids = agent_ids(num_agents)
    if config.shared_critic:
        return critic.step(state, ids, hidden)
    state = jnp.broadcast_to(state, (len(state), num_agents, state.shape[-1]))

    def step_alone(
        critic: AnyCritic, state: Array, agent_id: Array, h: PyTree[Array]
    ) -> tuple[Array, PyTree[Array]]:
        return critic.step(state, agent_id, h)

    return jax.vmap(step_alone, (0, -2, -2, 1), (-1, 1))(critic, state, ids, hidden)


def minibatch_rows(
    key: Key[Array, ""], chunks: Chunks, num_minibatches: int
) -> Int[Array, "M rows"]:
    """Random parts of equal size of all chunks; a remainder is left out."""
    num_chunks = chunks.steps.valid.shape[1]
    size = num_chunks // num_minibatches
    order = jax.random.permutation(key, num_chunks)
    return order[: num_minibatches * size].reshape(num_minibatches, size)


def take_chunks(chunks: Chunks, rows: Int[Array, " rows"]) -> Chunks:
    """Some of the chunks."""
    return Chunks(
        steps=jax.tree.map(lambda x: x[:, rows], chunks.steps),
        actor_hidden=jax.tree.map(lambda x: x[rows], chunks.actor_hidden),
        critic_hidden=jax.tree.map(lambda x: x[rows], chunks.critic_hidden),
    )
