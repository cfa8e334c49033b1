"""SMPE²: agents that infer what their teammates see, and seek what is new to them.

One step of learning:

    live whole episodes; each agent acts on (o_i, μ_i), μ_i the mean of q_ω(z | o_i)
    r̃_i ← r + β / √n_i(SimHash(μ_i)), standardised
    critic V_ξ(s, i): descend (G_i − V_ξ)²; its slow copy follows
    filtered critic V_k(ŝ_i, i): descend (G^w_i − V_k)² in k and in the filter φ^w_i
    actors: descend −ln π(a | h, μ) (G − V_ξ) − β_H H(π), beliefs held constant
    every 2,000 environment steps, over the replay: descend
        λ_rec ‖w̃ ⊙ o_-i − w ⊙ ô_-i‖² − λ_norm ‖w‖² + λ_KL KL(q_ω ‖ N(0, I))
    every 100,000 environment steps: w̃ ← w

Source: Kontogiannis et al., "Enhancing Cooperative Multi-Agent Reinforcement Learning
    with State Modelling and Adversarial Exploration", ICML 2025, Algorithm 1.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from syntony.config import check_literals, pytree_dataclass
from syntony.equations import distributions, novelty
from syntony.equations.belief import filtered_state
from syntony.equations.running_stats import (
    RunningMeanStd,
    init_running_mean_std,
    normalize,
    pearson_correlation,
    update_running_mean_std,
)
from syntony.errors import InvalidInputError
from syntony.networks.agents import Actor, Critic, Filter, other_agents_obs
from syntony.systems.marl.actor_critic import (
    ActorCriticConfig,
    CriticState,
    joint_state,
    masked_mean,
    recurrent_policy,
    run_update_epochs,
    update_actor,
    value_loss,
    zero_hidden_state,
)
from syntony.systems.marl.base import MultiAgentSystem
from syntony.systems.marl.smpe_beliefs import (
    BeliefConfig,
    BeliefState,
    encode,
    filter_weights,
    normalize_obs,
    store_episodes,
    teammate_prediction_error,
    train_beliefs,
)
from syntony.systems.marl.smpe_official import (
    OfficialQuirks,
    bootstrap_at_last_step,
    unmask_padding,
)
from syntony.systems.system import Metrics
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task

CORRELATION_STRIDE = 10
"""Time steps from one to the next that teammates are asked about, for the correlation
of bonus and error. All of them would take a thirteenth of a warehouse's training."""


@pytree_dataclass
class ExplorationConfig:
    """Constants of the exploration."""

    intrinsic_reward: bool = True
    """Earn a bonus for new beliefs; without, the reward is the task's (ablation)."""
    bonus_coef: float = 0.1
    """β, the weight of the bonus against the task's reward."""
    hash_input: Literal["mean", "sample", "observation"] = "mean"
    """What is counted: the belief's mean, a sample z of it, or the normalised own
    observation (ablation). A sample's code is mostly its noise: see the theory page."""
    hash_bits: int = 10
    """Bits of a SimHash code; each agent counts 2^bits codes exactly. The authors' 16
    are so fine that beliefs, which drift, stay new for ever: see the theory page."""


class SMPEState(NamedTuple):
    """All that training changes."""

    actor: Actor
    actor_opt_state: PyTree
    critic_state: CriticState
    """V_ξ, of the joint state."""
    filtered_critic_state: CriticState
    """V_k, of the filtered state."""
    beliefs: BeliefState
    reward_stats: RunningMeanStd
    projection: Float[Array, "N Z K"]
    counts: Int[Array, "N codes"]
    key: Key[Array, ""]
    env_steps: Int[Array, ""]
    schedule_steps: Int[Array, ""]
    """Steps by which the schedules of beliefs go."""


@pytree_dataclass
class SMPE(MultiAgentSystem):
    """Settings of SMPE², and what it can do: start, learn, be measured."""

    task: Task
    """The world to learn in; see: syntony list tasks."""
    actor_critic: ActorCriticConfig = ActorCriticConfig()
    beliefs: BeliefConfig = BeliefConfig()
    exploration: ExplorationConfig = ExplorationConfig()
    standard_critic: bool = True
    """Take advantages from V_ξ; without, from the filtered critic (ablation)."""
    filtered_critic: bool = True
    """Let a critic of the filtered state shape the filters (else an ablation)."""
    official_quirks: OfficialQuirks = OfficialQuirks()

    def check(self) -> None:
        """Raises BadInput where a setting makes no sense."""
        self.actor_critic.check()
        self.beliefs.check()
        check_literals(self.exploration)
        if not 1 <= self.exploration.hash_bits <= 24:
            raise InvalidInputError(
                f"hash_bits is {self.exploration.hash_bits}; expected 1 to 24"
            )
        if not self.exploration.bonus_coef >= 0.0:
            raise InvalidInputError(
                f"bonus_coef is {self.exploration.bonus_coef}; expected 0 or more"
            )
        if not (self.standard_critic or self.filtered_critic):
            raise InvalidInputError(
                "no critic is left; keep the standard or the filtered one"
            )
        if self.task.num_agents < 2:
            raise InvalidInputError(
                f"{self.task.id} has one agent; SMPE² needs teammates"
            )

    @property
    def num_envs(self) -> int:
        return self.actor_critic.num_envs

    @property
    def table_size(self) -> int:
        """Cells that each agent counts in."""
        return (
            novelty.SKETCH_SIZE
            if self.official_quirks.count_sketch
            else 2**self.exploration.hash_bits
        )

    def init(self, key: Key[Array, ""]) -> SMPEState:
        keys = jax.random.split(key, 6)
        task, backbone = self.task, self.actor_critic
        actor = backbone.init_actors(
            task, task.obs_dim + self.beliefs.latent_dim, keys[0]
        )
        hashed = (
            task.obs_dim
            if self.exploration.hash_input == "observation"
            else self.beliefs.latent_dim
        )
        shape = (task.num_agents, hashed, self.exploration.hash_bits)
        judge, filtered_judge = (backbone.init_critic(task, key) for key in keys[1:3])
        if self.official_quirks.frozen_filtered_critic:
            slow = jax.tree.map(jnp.copy, judge.critic)
            filtered_judge = filtered_judge._replace(target_critic=slow)
        return SMPEState(
            actor=actor,
            actor_opt_state=backbone.actor_optimizer.init(actor),
            critic_state=judge,
            filtered_critic_state=filtered_judge,
            beliefs=self.beliefs.init(task, keys[3]),
            reward_stats=init_running_mean_std((task.num_agents,)),
            projection=jax.random.normal(keys[4], shape),
            counts=jnp.zeros((task.num_agents, self.table_size), jnp.int32),
            key=keys[5],
            env_steps=jnp.zeros((), jnp.int32),
            schedule_steps=jnp.zeros((), jnp.int32),
        )

    def policy(self, state: SMPEState) -> Policy:
        return recurrent_policy(
            self.actor_critic, state.actor, lambda obs: self.features(state, obs)
        )

    def initial_hidden(self, episodes: int) -> Float[Array, "E N H"]:
        return zero_hidden_state(self.actor_critic, self.task, episodes)

    def update(
        self, state: SMPEState, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[SMPEState, Metrics]:
        bonus_key, burst_key = jax.random.split(key)
        released = self.official_quirks
        if released.last_step_bootstrap:
            trajectory = bootstrap_at_last_step(trajectory)
        seen = unmask_padding(trajectory) if released.include_padding else trajectory
        clock = state.schedule_steps + (
            trajectory.valid.size
            if released.count_padded_steps
            else trajectory.num_steps
        )
        if released.beliefs_first:
            state = self.update_beliefs(state, seen, clock, burst_key)
        state, reward, curiosity = self.augmented_reward(state, seen, bonus_key)
        state, metrics = run_update_epochs(
            self.actor_critic,
            lambda state: self.update_actor_critic(state, trajectory, reward),
            state,
        )
        if not released.beliefs_first:
            state = self.update_beliefs(state, seen, clock, burst_key)
        losses = state.beliefs.losses
        return state, metrics | curiosity | {
            "train/reconstruction_loss": losses.reconstruction,
            "train/norm_loss": losses.norm,
            "train/kl_loss": losses.kl,
            "train/filter_weight": losses.mean_filter_weight,
        }

    def update_actor_critic(
        self, state: SMPEState, trajectory: Trajectory, reward: Float[Array, "T E N"]
    ) -> tuple[SMPEState, Metrics]:
        """Returns wiser critics and filters and, by the advantages, wiser actors."""
        state, advantage, critic_metrics = self.update_critics(
            state, trajectory, reward
        )
        actor, memory, actor_metrics = update_actor(
            self.actor_critic,
            state.actor,
            state.actor_opt_state,
            self.features(state, trajectory.obs[:-1]),
            advantage,
            trajectory,
        )
        state = state._replace(actor=actor, actor_opt_state=memory)
        return state, critic_metrics | actor_metrics

    def features(
        self, state: SMPEState, obs: Float[Array, "*batch N O"]
    ) -> Float[Array, "*batch N OZ"]:
        """Returns (o_i, μ_i), what the actors see; constant in the actor's loss."""
        mean, _ = encode(self.beliefs, state.beliefs, obs)
        return jax.lax.stop_gradient(jnp.concatenate([obs, mean], axis=-1))

    def augmented_reward(
        self, state: SMPEState, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[SMPEState, Float[Array, "T E N"], Metrics]:
        """Counts the new beliefs; returns r̃ of each agent, and what the bonus was."""
        reward = jnp.sum(trajectory.reward, axis=-1, keepdims=True)
        reward = jnp.broadcast_to(reward, trajectory.reward.shape)
        metrics: Metrics = {}
        if self.exploration.intrinsic_reward:
            counts, bonus = self.exploration_bonus(state, trajectory, key)
            state = state._replace(counts=counts)
            reward = reward + bonus
            asked = slice(None, None, CORRELATION_STRIDE)
            surprise = teammate_prediction_error(
                self.beliefs,
                state.beliefs,
                trajectory.obs[:-1][asked],
                trajectory.alive[asked],
            )
            metrics = {
                "train/bonus": masked_mean(bonus, trajectory.alive),
                "train/bonus_error_correlation": pearson_correlation(
                    bonus[asked], surprise, trajectory.alive[asked]
                ),
            }
        rewards = update_running_mean_std(state.reward_stats, reward, trajectory.valid)
        if self.actor_critic.normalize_rewards:
            reward = normalize(rewards, reward)
        return state._replace(reward_stats=rewards), reward, metrics

    def exploration_bonus(
        self, state: SMPEState, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[Int[Array, "N cells"], Float[Array, "T E N"]]:
        """Returns the counts with these episodes, and each step's bonus β / √n."""
        hashed = self.hash_features(state, trajectory.obs[:-1], key)
        codes = jax.vmap(novelty.simhash, (-2, 0), -1)(hashed, state.projection)
        cells = codes[..., None]
        if self.official_quirks.count_sketch:
            cells = novelty.count_min_sketch_cells(codes, self.exploration.hash_bits)
        playing = trajectory.alive
        lived = jnp.broadcast_to(playing[..., None], cells.shape)
        counts = jax.vmap(novelty.update_counts, (0, -2, -2))(
            state.counts, cells, lived
        )
        seen = jax.vmap(lambda n, cell: n[cell], (0, -2), -2)(counts, cells)
        bonus = self.exploration.bonus_coef * novelty.bonus(jnp.min(seen, axis=-1))
        return counts, jnp.where(playing, bonus, 0.0)

    def hash_features(
        self, state: SMPEState, obs: Float[Array, "T E N O"], key: Key[Array, ""]
    ) -> Float[Array, "T E N Z"]:
        """Returns what the novelty of a time step is judged by."""
        if self.exploration.hash_input == "observation":
            return normalize_obs(self.beliefs, state.beliefs.shared_stats, obs)
        mean, log_var = encode(self.beliefs, state.beliefs, obs)
        if self.exploration.hash_input == "mean":
            return mean
        noise = jax.random.normal(key, mean.shape)
        return distributions.gaussian_sample(noise, mean, log_var)

    def update_critics(
        self, state: SMPEState, trajectory: Trajectory, reward: Float[Array, "T E N"]
    ) -> tuple[SMPEState, Float[Array, "T E N"], Metrics]:
        """Returns wiser critics (and filters), the advantages, and the losses."""
        metrics: Metrics = {}
        advantage = reward
        if self.filtered_critic:
            judge, beliefs = state.filtered_critic_state, state.beliefs
            (loss, advantage), (grad, filter_grad) = jax.value_and_grad(
                self.filtered_value_loss, argnums=(0, 1), has_aux=True
            )(judge.critic, beliefs.filter, state, trajectory, reward)
            shared = self.official_quirks.shared_filter_optimizer
            memory = "filter_opt_state" if shared else "filter_critic_opt_state"
            filters, remembered = self.beliefs.filter_critic_optimizer.apply_gradients(
                filter_grad, getattr(beliefs, memory), beliefs.filter
            )
            beliefs = beliefs._replace(filter=filters, **{memory: remembered})
            if not self.official_quirks.frozen_filtered_critic:
                judge = judge.apply_gradients(self.actor_critic, grad)
            state = state._replace(filtered_critic_state=judge, beliefs=beliefs)
            metrics["train/filtered_critic_loss"] = loss
        if self.standard_critic:
            judge, joint = state.critic_state, joint_state(trajectory.obs)
            (loss, advantage), grad = jax.value_and_grad(
                value_loss, argnums=1, has_aux=True
            )(
                self.actor_critic,
                judge.critic,
                judge.target_critic,
                joint,
                reward,
                trajectory,
            )
            state = state._replace(
                critic_state=judge.apply_gradients(self.actor_critic, grad)
            )
            metrics["train/critic_loss"] = loss
        return state, advantage, metrics

    def filtered_value_loss(
        self,
        critic: Critic,
        filters: Filter,
        state: SMPEState,
        trajectory: Trajectory,
        reward: Float[Array, "T E N"],
    ) -> tuple[Float[Array, ""], Float[Array, "T E N"]]:
        """Returns L^w_critic (eq. 6), which reaches the filters too, and G − V_k."""
        own = normalize_obs(self.beliefs, state.beliefs.shared_stats, trajectory.obs)
        w = filter_weights(self.beliefs, filters, own)
        filtered = filtered_state(trajectory.obs, other_agents_obs(trajectory.obs), w)
        slow = state.filtered_critic_state.target_critic
        return value_loss(self.actor_critic, critic, slow, filtered, reward, trajectory)

    def update_beliefs(
        self,
        state: SMPEState,
        trajectory: Trajectory,
        schedule_steps: Int[Array, ""],
        key: Key[Array, ""],
    ) -> SMPEState:
        """Remembers the episodes; copies the filters and learns, where it is time."""
        settings = self.beliefs
        beliefs = store_episodes(state.beliefs, trajectory)

        def due(every: int) -> Int[Array, ""]:
            return schedule_steps // every - state.schedule_steps // every

        def learn(i: Int[Array, ""] | int, beliefs: BeliefState) -> BeliefState:
            number = state.schedule_steps // settings.belief_update_interval + 1 + i
            filters_too = self.is_filter_update_due(number)
            return train_beliefs(
                settings, beliefs, jax.random.fold_in(key, i), filters_too
            )

        slow_filter = jax.tree.map(
            lambda new, old: jnp.where(
                due(settings.target_filter_interval) > 0, new, old
            ),
            beliefs.filter,
            beliefs.target_filter,
        )
        # An iteration of long episodes may span several bursts.
        beliefs = jax.lax.fori_loop(
            0,
            due(settings.belief_update_interval),
            learn,
            beliefs._replace(target_filter=slow_filter),
        )
        return state._replace(beliefs=beliefs, schedule_steps=schedule_steps)

    def is_filter_update_due(
        self, update_index: Int[Array, ""]
    ) -> Bool[Array, ""] | bool:
        """Returns whether the burst of this number, from 1 on, trains the filters."""
        every = self.beliefs.filter_update_interval
        # What is always so is known when compiling: bursts are bound by small steps.
        return every == 1 or (every > 0 and update_index % every == 0)

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
        }
