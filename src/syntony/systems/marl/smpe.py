"""SMPE²: agents that model their teammates' observations and explore by novelty.

One step (Algorithm 1 of the paper):

    collect whole episodes; agent i acts on (o_i, μ_i), μ_i the mean of q_ω(z | o_i)
    r̃_i ← r + β / √n_i(SimHash(μ_i)), normalized
    filtered critic V_k(ŝ_i, i): a gradient step on (G^w_i − V_k)², of k and of the
        filter φ^w_i
    critic V_ξ(s, i): a gradient step on (G_i − V_ξ)²
    actors: a gradient step on −ln π(a | h, μ) (G − V_ξ) − β_H H(π), with constant μ
    target critics: follow by Polyak averaging
    every 2,000 environment steps, over the replay buffer: gradient steps on
        λ_rec ‖w̃ ⊙ o_-i − w ⊙ ô_-i‖² + λ_norm (−‖w‖²) + λ_KL KL(q_ω ‖ N(0, I))
    every 100,000 environment steps: target filters w̃ ← w

What the authors' released code does differently is in `smpe_official.py`.

Source: Kontogiannis et al., "Enhancing Cooperative Multi-Agent Reinforcement Learning
    with State Modelling and Adversarial Exploration", ICML 2025.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import at_least, between, field, pytree_dataclass, validate
from syntony.equations import distributions, novelty
from syntony.equations.belief import filtered_state
from syntony.equations.running_stats import (
    FeatureStats,
    init_feature_stats,
    pearson_correlation,
    standardize,
    update_feature_stats,
)
from syntony.errors import InvalidInputError
from syntony.networks.actors import Actor
from syntony.networks.agents import AnyCritic, Filter, other_agents_obs
from syntony.pytrees import PyTree
from syntony.systems.marl.actor_critic import (
    ActorCriticConfig,
    CriticState,
    PPOConfig,
    apply_critic_gradients,
    central_state,
    central_state_dim,
    critic_from_weights,
    init_critic,
    masked_mean,
    run_update_epochs,
    update_actor,
    update_critic,
    update_target_critic,
    value_loss,
)
from syntony.systems.marl.base import MultiAgentSystem
from syntony.systems.marl.input_normalization import (
    InputStats,
    init_input_stats,
    normalize_agent_obs,
    normalize_episodes,
    normalizes_inputs,
    stats_params,
    update_input_stats,
)
from syntony.systems.marl.rewards import team_reward
from syntony.systems.marl.smpe_beliefs import (
    BeliefConfig,
    BeliefState,
    FilterNorm,
    Received,
    belief_weights,
    beliefs_from_weights,
    check_encoder,
    decode,
    encode,
    filter_weights,
    init_beliefs,
    normalize_obs,
    output_norm,
    store_episodes,
    teammate_prediction_error,
    train_beliefs,
    update_target_filter,
)
from syntony.systems.marl.team_actors import (
    check_actor,
    init_actors,
    initial_hidden_state,
    recurrent_policy,
)
from syntony.systems.optimizers import apply_gradients, init_opt_state
from syntony.systems.system import DecodedBelief, Metrics
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task

CORRELATION_STRIDE = 10
"""Every so many time steps enter the correlation of bonus and prediction error. All of
them would take a thirteenth of the training time in a warehouse."""

CellFn = Callable[[Int[Array, "T E N"]], Int[Array, "T E N c"]]
"""Cells of the count table that a SimHash code is counted in."""


@pytree_dataclass
class ExplorationConfig:
    """Constants of the exploration bonus."""

    intrinsic_reward: bool = field(True, static=True)
    """Add the bonus to the reward; without, rewards are the task's (ablation)."""
    bonus_coef: float = field(0.1, limits=at_least(0))
    """β, weight of the bonus relative to the task's reward."""
    hash_input: Literal["mean", "sample", "observation"] = field("mean", static=True)
    """What is hashed: the mean of the belief, a sample z of it, or the normalized own
    observation (ablation). Hashes of samples are mostly noise: see the theory page."""
    hash_bits: int = field(10, static=True, limits=between(1, 24))
    """Bits of a SimHash code; each agent counts its 2^bits codes exactly. With the
    authors' 16 bits beliefs, which change slowly, stay novel: see the theory page."""


class SMPEState(NamedTuple):
    """State of a run."""

    actor: Actor
    actor_opt_state: PyTree
    critic_state: CriticState
    """V_ξ, of the joint state."""
    filtered_critic_state: CriticState
    """V_k, of the filtered state."""
    beliefs: BeliefState
    reward_stats: FeatureStats
    input_stats: InputStats | None
    """Of the inputs of actors and critics; None if these are not normalized."""
    projection: Float[Array, "N Z K"]
    """Random projection of SimHash."""
    counts: Int[Array, "N cells"]
    key: Key[Array, ""]
    env_steps: Int[Array, ""]
    schedule_steps: Int[Array, ""]
    """Environment steps as the schedules of the beliefs count them."""


@pytree_dataclass
class SMPE(MultiAgentSystem[SMPEState]):
    """SMPE² on a MAA2C policy.

    Examples:
        >>> import syntony
        >>> system = syntony.SMPE(task=syntony.task("Foraging-2s-8x8-3p-2f-coop"))
        >>> run = syntony.train(system, steps=100_000)
    """

    task: Task
    """The task to train on; see: syntony list tasks."""
    actor_critic: ActorCriticConfig = ActorCriticConfig()
    objective: Literal["a2c", "ppo"] = field("a2c", static=True)
    """Actor loss: the paper's, or PPO's clipped one over several epochs."""
    ppo: PPOConfig = PPOConfig()
    beliefs: BeliefConfig = BeliefConfig()
    exploration: ExplorationConfig = ExplorationConfig()
    standard_critic: bool = field(True, static=True)
    """Take advantages from V_ξ; without, from the filtered critic (ablation)."""
    filtered_critic: bool = field(True, static=True)
    """Train the filters by the loss of a critic of the filtered state, too; without, is
    an ablation."""
    filtered_critic_values: Literal["state", "action"] = field("state", static=True)
    """What the filtered critic estimates: the value of the filtered state (the
    paper's), or of the agent's own action in it, which depends on every feature that
    changes the best action."""

    def check(self) -> None:
        """Raises InvalidInputError where a setting is invalid."""
        validate(self)
        self.actor_critic.check()
        validate(self.ppo)
        self.beliefs.check()
        check_actor(self.actor_critic, self.task, self.feature_dim)
        check_encoder(self.beliefs, self.task)
        validate(self.exploration)
        if not (self.standard_critic or self.filtered_critic):
            raise InvalidInputError(
                "no critic is left; keep the standard or the filtered one"
            )
        if self.filtered_critic_values == "action" and not self.standard_critic:
            raise InvalidInputError(
                "filtered_critic_values is 'action', and there is no standard critic; "
                "expected 'state': advantages are measured against a state's value"
            )
        if self.actor_critic.reward == "individual":
            raise InvalidInputError(
                "reward is individual; SMPE² learns from the team's: expected sum or "
                "mean"
            )
        if self.task.num_agents < 2:
            raise InvalidInputError(
                f"{self.task.id} has one agent; SMPE² needs teammates"
            )

    @property
    def num_envs(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.actor_critic.num_envs

    def init(self, key: Key[Array, ""]) -> SMPEState:
        """Initial state; the key is consumed."""
        keys = jax.random.split(key, 6)
        task, config = self.task, self.actor_critic
        num_agents, latent_dim = task.num_agents, self.beliefs.latent_dim
        actor = init_actors(config, task, self.feature_dim, keys[0])
        filtered_dim = num_agents * task.obs_dim
        if self.filtered_critic_values == "action":
            filtered_dim += task.num_actions
        critic_states = [
            init_critic(config, task, dim, key)
            for dim, key in zip(
                (central_state_dim(task), filtered_dim), keys[1:3], strict=True
            )
        ]
        hash_input = self.exploration.hash_input
        hash_dim = task.obs_dim if hash_input == "observation" else latent_dim
        hash_bits = self.exploration.hash_bits
        normalized = normalizes_inputs(config.normalize_obs, task)
        return SMPEState(
            actor=actor,
            actor_opt_state=init_opt_state(config.actor_optimizer, actor),
            critic_state=critic_states[0],
            filtered_critic_state=critic_states[1],
            beliefs=init_beliefs(self.beliefs, task, keys[3]),
            reward_stats=init_feature_stats((num_agents,)),
            input_stats=init_input_stats(task) if normalized else None,
            projection=jax.random.normal(keys[4], (num_agents, hash_dim, hash_bits)),
            counts=jnp.zeros((num_agents, 2**hash_bits), jnp.int32),
            key=keys[5],
            env_steps=jnp.zeros((), jnp.int32),
            schedule_steps=jnp.zeros((), jnp.int32),
        )

    def policy(self, state: SMPEState) -> Policy:
        """Recurrent policy π(a | h, μ) of all agents."""
        return recurrent_policy(
            self.actor_critic, state.actor, lambda obs: self.actor_inputs(state, obs)
        )

    def actor_inputs(
        self,
        state: SMPEState,
        obs: Float[Array, "*batch N O"],
        received: Received = None,
    ) -> Float[Array, "*batch N OZ"]:
        """(o_i, μ_i), the inputs of the actors; constant in the actor's loss."""
        mean, _ = encode(self.beliefs, state.beliefs, obs, received)
        own = normalize_agent_obs(state.input_stats, obs)
        return jax.lax.stop_gradient(jnp.concatenate([own, mean], axis=-1))

    def encode_beliefs(
        self, state: SMPEState, obs: Float[Array, "*batch N O"]
    ) -> tuple[Float[Array, "*batch N Z"], Float[Array, "*batch N Z"]]:
        """Mean μ and log-variance ln σ² of each agent's belief."""
        return encode(self.beliefs, state.beliefs, obs)

    def decode_beliefs(
        self, state: SMPEState, obs: Float[Array, "*batch N O"]
    ) -> DecodedBelief:
        """Decoded beliefs of all agents, in units of the observations."""
        return decode(self.beliefs, state.beliefs, obs)

    @property
    def feature_dim(self) -> int:
        """Length of (o_i, μ_i)."""
        return self.task.obs_dim + self.beliefs.latent_dim

    def initial_hidden(self, episodes: int) -> PyTree[Array]:
        return initial_hidden_state(
            self.actor_critic, self.task, self.feature_dim, episodes
        )

    def update(
        self, state: SMPEState, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[SMPEState, Metrics]:
        """State after all updates on a batch of episodes, in the order of the paper."""
        bonus_key, belief_key = jax.random.split(key)
        schedule_steps = state.schedule_steps + trajectory.num_steps
        state, reward, reward_metrics = self.augmented_reward(
            state, trajectory, bonus_key
        )
        state, metrics = run_update_epochs(
            self.ppo_config,
            lambda state: self.update_networks(state, trajectory, reward),
            state,
        )
        state = self.update_target_critics(state)
        state = self.update_beliefs(state, trajectory, schedule_steps, belief_key)
        state = update_inputs(state, trajectory)
        return state, metrics | reward_metrics | belief_metrics(state)

    def augmented_reward(
        self,
        state: SMPEState,
        trajectory: Trajectory,
        key: Key[Array, ""],
        cell_fn: CellFn = lambda codes: codes[..., None],
    ) -> tuple[SMPEState, Float[Array, "T E N"], Metrics]:
        """r̃ of each agent, normalized; counts and statistics include the episodes.

        Args:
            state: state before.
            trajectory: the episodes.
            key: random key of the sampled beliefs; it is consumed.
            cell_fn: cells that a code is counted in; its count is their minimum.
        """
        kind = "mean" if self.actor_critic.reward == "mean" else "sum"
        reward = team_reward(kind, trajectory.reward)[..., None]
        reward = jnp.broadcast_to(reward, trajectory.reward.shape)
        metrics: Metrics = {}
        if self.exploration.intrinsic_reward:
            counts, bonus = self.exploration_bonus(state, trajectory, key, cell_fn)
            state = state._replace(counts=counts)
            reward = reward + bonus
            metrics = self.bonus_metrics(state, trajectory, bonus)
        stats = update_feature_stats(state.reward_stats, reward, trajectory.valid)
        if self.actor_critic.normalize_rewards:
            reward = standardize(stats, reward)
        return state._replace(reward_stats=stats), reward, metrics

    def exploration_bonus(
        self,
        state: SMPEState,
        trajectory: Trajectory,
        key: Key[Array, ""],
        cell_fn: CellFn,
    ) -> tuple[Int[Array, "N cells"], Float[Array, "T E N"]]:
        """Counts n with these episodes, and the bonus β / √n of each time step."""
        z = self.hash_inputs(state, trajectory, key)
        codes = jax.vmap(novelty.simhash, (-2, 0), -1)(z, state.projection)
        cells = cell_fn(codes)
        alive = jnp.broadcast_to(trajectory.alive[..., None], cells.shape)
        counts = jax.vmap(novelty.update_counts, (0, -2, -2))(
            state.counts, cells, alive
        )

        def look_up(counts: Array, cell: Array) -> Array:
            return counts[cell]

        n = jax.vmap(look_up, (0, -2), -2)(counts, cells)
        bonus = self.exploration.bonus_coef * novelty.bonus(jnp.min(n, axis=-1))
        return counts, jnp.where(trajectory.alive, bonus, 0.0)

    def hash_inputs(
        self, state: SMPEState, trajectory: Trajectory, key: Key[Array, ""]
    ) -> Float[Array, "T E N Z"]:
        """Vectors that SimHash maps to codes, one for each time step and agent."""
        obs = trajectory.obs[:-1]
        if self.exploration.hash_input == "observation":
            return normalize_obs(self.beliefs, state.beliefs.shared_stats, obs)
        mean, log_var = encode(self.beliefs, state.beliefs, obs, trajectory.received)
        if self.exploration.hash_input == "mean":
            return mean
        noise = jax.random.normal(key, mean.shape)
        return distributions.gaussian_sample(noise, mean, log_var)

    def bonus_metrics(
        self, state: SMPEState, trajectory: Trajectory, bonus: Float[Array, "T E N"]
    ) -> Metrics:
        """Mean bonus, and its correlation with the teammates' prediction error."""
        some = slice(None, None, CORRELATION_STRIDE)
        error = teammate_prediction_error(
            self.beliefs,
            state.beliefs,
            trajectory.obs[:-1][some],
            trajectory.alive[some],
            None if trajectory.received is None else trajectory.received[some],
        )
        return {
            "train/exploration_bonus": masked_mean(bonus, trajectory.alive),
            "train/bonus_error_correlation": pearson_correlation(
                bonus[some], error, trajectory.alive[some]
            ),
        }

    @property
    def ppo_config(self) -> PPOConfig | None:
        """Constants of PPO, if the actor loss is PPO's."""
        return self.ppo if self.objective == "ppo" else None

    def update_networks(
        self, state: SMPEState, trajectory: Trajectory, reward: Float[Array, "T E N"]
    ) -> tuple[SMPEState, Metrics]:
        """State after one gradient step of critics, filters and actors."""
        state, advantage, metrics = self.update_critics(state, trajectory, reward)
        state, actor_metrics = self.update_actors(state, trajectory, advantage)
        return state, metrics | actor_metrics

    def update_critics(
        self, state: SMPEState, trajectory: Trajectory, reward: Float[Array, "T E N"]
    ) -> tuple[SMPEState, Float[Array, "T E N"], Metrics]:
        """State after one gradient step of critics and filters, and advantages."""
        advantage = reward
        metrics: Metrics = {}
        if self.filtered_critic:
            state, advantage, loss = self.update_filtered_critic(
                state, trajectory, reward
            )
            metrics["train/filtered_critic_loss"] = loss
        if self.standard_critic:
            critic_state, advantage, loss = update_critic(
                self.actor_critic,
                state.critic_state,
                self.standard_critic_inputs(state, trajectory),
                reward,
                trajectory,
            )
            state = state._replace(critic_state=critic_state)
            metrics["train/critic_loss"] = loss
        return state, advantage, metrics

    def update_actors(
        self, state: SMPEState, trajectory: Trajectory, advantage: Float[Array, "T E N"]
    ) -> tuple[SMPEState, Metrics]:
        """State after one gradient step of the actors."""
        actor, opt_state, metrics = update_actor(
            self.actor_critic,
            self.ppo_config,
            state.actor,
            state.actor_opt_state,
            self.actor_inputs(state, trajectory.obs[:-1], trajectory.received),
            advantage,
            trajectory,
        )
        return state._replace(actor=actor, actor_opt_state=opt_state), metrics

    def standard_critic_inputs(
        self, state: SMPEState, trajectory: Trajectory
    ) -> Float[Array, "T1 E 1 S"]:
        """s, the input of V_ξ: the global state, or the joint observation."""
        episodes = normalize_episodes(state.input_stats, trajectory)
        return central_state(episodes.obs, episodes.global_state)

    def update_filtered_critic(
        self, state: SMPEState, trajectory: Trajectory, reward: Float[Array, "T E N"]
    ) -> tuple[SMPEState, Float[Array, "T E N"], Float[Array, ""]]:
        """State after a gradient step of V_k and the filters; advantages and loss."""
        critic_state, beliefs = state.filtered_critic_state, state.beliefs
        (loss, advantage), (critic_grads, filter_grads) = jax.value_and_grad(
            self.filtered_value_loss, argnums=(0, 1), has_aux=True
        )(critic_state.critic, beliefs.filter, state, trajectory, reward)
        critic_state = apply_critic_gradients(
            self.actor_critic, critic_state, critic_grads
        )
        filters, opt_state = apply_gradients(
            self.beliefs.filter_critic_optimizer,
            filter_grads,
            beliefs.filter_critic_opt_state,
            beliefs.filter,
        )
        beliefs = beliefs._replace(filter=filters, filter_critic_opt_state=opt_state)
        state = state._replace(filtered_critic_state=critic_state, beliefs=beliefs)
        return state, advantage, loss

    def filtered_value_loss(
        self,
        critic: AnyCritic,
        filters: Filter,
        state: SMPEState,
        trajectory: Trajectory,
        reward: Float[Array, "T E N"],
    ) -> tuple[Float[Array, ""], Float[Array, "T E N"]]:
        """Loss of the filtered critic (eq. 6), also of the filters, and G − V_k.

        Its input is made of observations: filters weigh what teammates observe, also
        where the task has a global state. With an agent's own action it is an action
        value, whose target bootstraps from the action that was taken later (SARSA).
        """
        own = normalize_obs(self.beliefs, state.beliefs.shared_stats, trajectory.obs)
        obs = normalize_agent_obs(state.input_stats, trajectory.obs)
        w = filter_weights(self.beliefs, filters, own)
        inputs = filtered_state(obs, other_agents_obs(obs), w)
        if self.filtered_critic_values == "action":
            inputs = with_actions(inputs, trajectory.action, self.task.num_actions)
        target_critic = state.filtered_critic_state.target_critic
        return value_loss(
            self.actor_critic, critic, target_critic, inputs, reward, trajectory
        )

    def update_target_critics(self, state: SMPEState) -> SMPEState:
        """State whose target critics have followed those critics that are trained."""
        config = self.actor_critic
        if self.filtered_critic:
            critic_state = update_target_critic(config, state.filtered_critic_state)
            state = state._replace(filtered_critic_state=critic_state)
        if self.standard_critic:
            critic_state = update_target_critic(config, state.critic_state)
            state = state._replace(critic_state=critic_state)
        return state

    def update_beliefs(
        self,
        state: SMPEState,
        trajectory: Trajectory,
        schedule_steps: Int[Array, ""],
        key: Key[Array, ""],
        filter_norm: FilterNorm = output_norm,
    ) -> SMPEState:
        """State after storing the episodes, and the training phases that are due.

        Args:
            state: state before.
            trajectory: the episodes.
            schedule_steps: the new value of the counter of the schedules.
            key: random key; it is consumed.
            filter_norm: norm loss of the filters.
        """
        config = self.beliefs
        first_phase = state.schedule_steps // config.belief_update_interval + 1
        state, num_phases = self.store_episodes(state, trajectory, schedule_steps)

        def training_phase(
            i: Int[Array, ""] | int, beliefs: BeliefState
        ) -> BeliefState:
            phase_key = jax.random.fold_in(key, i)
            update_filters = self.is_filter_update_due(first_phase + i)
            return train_beliefs(
                config, beliefs, phase_key, update_filters, filter_norm
            )

        # One iteration of long episodes may contain several training phases.
        beliefs = jax.lax.fori_loop(0, num_phases, training_phase, state.beliefs)
        return state._replace(beliefs=beliefs)

    def store_episodes(
        self, state: SMPEState, trajectory: Trajectory, schedule_steps: Int[Array, ""]
    ) -> tuple[SMPEState, Int[Array, ""]]:
        """State with the episodes in its replay buffer, and the phases that are due.

        Args:
            state: state before.
            trajectory: the episodes.
            schedule_steps: the new value of the counter of the schedules.

        Returns:
            The state, and the number of training phases of the beliefs that are due.
        """
        config = self.beliefs

        def num_due(interval: int) -> Int[Array, ""]:
            return schedule_steps // interval - state.schedule_steps // interval

        beliefs = update_target_filter(
            store_episodes(state.beliefs, trajectory),
            num_due(config.target_filter_interval) > 0,
        )
        num_phases = num_due(config.belief_update_interval)
        state = state._replace(beliefs=beliefs, schedule_steps=schedule_steps)
        return state, num_phases

    def is_filter_update_due(self, phase: Int[Array, ""]) -> Bool[Array, ""] | bool:
        """Whether the training phase of this number, from 1 on, trains the filters."""
        interval = self.beliefs.filter_update_interval
        # Known when compiling where it is always so: the phases are bound by their
        # small gradient steps.
        return interval == 1 or (interval > 0 and phase % interval == 0)

    def params(self, state: SMPEState) -> PyTree[Float[Array, "..."]]:
        beliefs = state.beliefs
        return {
            "actor": state.actor,
            "critic": state.critic_state.critic,
            "filtered_critic": state.filtered_critic_state.critic,
            "encoder": beliefs.encoder,
            "decoder": beliefs.decoder,
            "filter": beliefs.filter,
            "shared_stats": beliefs.shared_stats,
            "per_agent_stats": beliefs.per_agent_stats,
            **stats_params(
                reward_stats=state.reward_stats, input_stats=state.input_stats
            ),
        }

    def weights(self, state: SMPEState) -> dict[str, PyTree[Array]]:
        """Weights of actors, critics and agent modeling, and all statistics."""
        return {
            "actor": state.actor,
            "critic": state.critic_state[:2],
            "filtered_critic": state.filtered_critic_state[:2],
            "beliefs": belief_weights(state.beliefs),
            "reward_stats": state.reward_stats,
            "input_stats": state.input_stats,
        }

    def with_weights(
        self, state: SMPEState, weights: Mapping[str, PyTree[Array]]
    ) -> SMPEState:
        """Initial state with these weights."""
        config, actor = self.actor_critic, cast(Actor, weights["actor"])
        return state._replace(
            actor=actor,
            actor_opt_state=init_opt_state(config.actor_optimizer, actor),
            critic_state=critic_from_weights(config, weights["critic"]),
            filtered_critic_state=critic_from_weights(
                config, weights["filtered_critic"]
            ),
            beliefs=beliefs_from_weights(
                self.beliefs, state.beliefs, weights["beliefs"]
            ),
            reward_stats=cast(FeatureStats, weights["reward_stats"]),
            input_stats=cast(InputStats | None, weights["input_stats"]),
        )


def with_actions(
    inputs: Float[Array, "T1 E N S"], action: Int[Array, "T E N"], num_actions: int
) -> Float[Array, "T1 E N SA"]:
    """Inputs of an action-value critic: states, and each agent's action, one-hot.

    Args:
        inputs: states, with that after the last step, where no action is taken.
        action: actions.
        num_actions: A.
    """
    one_hot = jax.nn.one_hot(action, num_actions)
    none = jnp.zeros_like(one_hot[:1])
    return jnp.concatenate([inputs, jnp.concatenate([one_hot, none])], axis=-1)


def update_inputs(state: SMPEState, trajectory: Trajectory) -> SMPEState:
    """State whose statistics of the inputs of actors and critics have the episodes."""
    return state._replace(input_stats=update_input_stats(state.input_stats, trajectory))


def belief_metrics(state: SMPEState) -> Metrics:
    """Losses of the latest training phase of the beliefs."""
    losses = state.beliefs.losses
    return {
        "train/reconstruction_loss": losses.reconstruction,
        "train/norm_loss": losses.norm,
        "train/kl_loss": losses.kl,
        "train/filter_weight_mean": losses.mean_filter_weight,
    }
