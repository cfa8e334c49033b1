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

from syntony.equations import densities, novelty
from syntony.equations.belief import filtered_state
from syntony.equations.moments import (
    Moments,
    correlation,
    initial_moments,
    standardise,
    update_moments,
)
from syntony.errors import BadInput
from syntony.networks.agents import Actor, Critic, Filter, teammates
from syntony.record import check_choices, record
from syntony.systems.actor_critic import (
    Backbone,
    Judge,
    blank_memory,
    improve,
    improve_actor,
    joint_state,
    masked_mean,
    recurrent_policy,
    value_loss,
)
from syntony.systems.beliefs import (
    Beliefs,
    BeliefState,
    burst,
    encode,
    errors_about,
    filter_weights,
    normalised,
    remember,
)
from syntony.systems.released import Released, bootstrap_at_last_step, padded
from syntony.systems.system import Metrics
from syntony.systems.team import Team
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task

ASKED_EVERY = 10
"""Time steps from one to the next that teammates are asked about, for the correlation
of bonus and error. All of them would take a thirteenth of a warehouse's training."""


@record
class Novelty:
    """Constants of the exploration."""

    intrinsic: bool = True
    """Earn a bonus for new beliefs; without, the reward is the task's (ablation)."""
    beta: float = 0.1
    """β, the weight of the bonus against the task's reward."""
    hashed: Literal["mean", "sample", "observation"] = "mean"
    """What is counted: the belief's mean, a sample z of it, or the normalised own
    observation (ablation). A sample's code is mostly its noise: see the theory page."""
    bits: int = 10
    """Bits of a SimHash code; each agent counts 2^bits codes exactly. The authors' 16
    are so fine that beliefs, which drift, stay new for ever: see the theory page."""


class SmpeState(NamedTuple):
    """All that training changes."""

    actor: Actor
    actor_memory: PyTree
    judge: Judge
    """V_ξ, of the joint state."""
    filtered_judge: Judge
    """V_k, of the filtered state."""
    beliefs: BeliefState
    rewards: Moments
    projection: Float[Array, "N Z K"]
    counts: Int[Array, "N codes"]
    key: Key[Array, ""]
    env_steps: Int[Array, ""]
    clock: Int[Array, ""]
    """Steps by which the schedules of beliefs go."""


@record
class Smpe(Team):
    """Settings of SMPE², and what it can do: start, learn, be measured."""

    task: Task
    """The world to learn in; see: syntony list tasks."""
    backbone: Backbone = Backbone()
    beliefs: Beliefs = Beliefs()
    novelty: Novelty = Novelty()
    standard_critic: bool = True
    """Take advantages from V_ξ; without, from the filtered critic (ablation)."""
    filtered_critic: bool = True
    """Let a critic of the filtered state shape the filters (else an ablation)."""
    released: Released = Released()

    def check(self) -> None:
        """Raises BadInput where a setting makes no sense."""
        self.backbone.check()
        self.beliefs.check()
        check_choices(self.novelty)
        if not 1 <= self.novelty.bits <= 24:
            raise BadInput(f"bits is {self.novelty.bits}; expected 1 to 24")
        if not self.novelty.beta >= 0.0:
            raise BadInput(f"beta is {self.novelty.beta}; expected 0 or more")
        if not (self.standard_critic or self.filtered_critic):
            raise BadInput("no critic is left; keep the standard or the filtered one")
        if self.task.agents < 2:
            raise BadInput(f"{self.task.id} has one agent; SMPE² needs teammates")

    @property
    def environments(self) -> int:
        return self.backbone.environments

    @property
    def cells(self) -> int:
        """Cells that each agent counts in."""
        return novelty.SKETCH if self.released.sketch else 2**self.novelty.bits

    def init(self, key: Key[Array, ""]) -> SmpeState:
        keys = jax.random.split(key, 6)
        task, backbone = self.task, self.backbone
        actor = backbone.actors(task, task.obs_size + self.beliefs.latent, keys[0])
        hashed = (
            task.obs_size
            if self.novelty.hashed == "observation"
            else self.beliefs.latent
        )
        shape = (task.agents, hashed, self.novelty.bits)
        judge, filtered_judge = (backbone.judge(task, key) for key in keys[1:3])
        if self.released.frozen_filtered_critic:
            slow = jax.tree.map(jnp.copy, judge.critic)
            filtered_judge = filtered_judge._replace(slow=slow)
        return SmpeState(
            actor=actor,
            actor_memory=backbone.actor_optimiser.init(actor),
            judge=judge,
            filtered_judge=filtered_judge,
            beliefs=self.beliefs.init(task, keys[3]),
            rewards=initial_moments((task.agents,)),
            projection=jax.random.normal(keys[4], shape),
            counts=jnp.zeros((task.agents, self.cells), jnp.int32),
            key=keys[5],
            env_steps=jnp.zeros((), jnp.int32),
            clock=jnp.zeros((), jnp.int32),
        )

    def policy(self, state: SmpeState) -> Policy:
        return recurrent_policy(
            self.backbone, state.actor, lambda obs: self.features(state, obs)
        )

    def memory(self, episodes: int) -> Float[Array, "E N H"]:
        return blank_memory(self.backbone, self.task, episodes)

    def learn(
        self, state: SmpeState, episodes: Trajectory, key: Key[Array, ""]
    ) -> tuple[SmpeState, Metrics]:
        bonus_key, burst_key = jax.random.split(key)
        released = self.released
        if released.last_step_bootstrap:
            episodes = bootstrap_at_last_step(episodes)
        seen = padded(episodes) if released.padding else episodes
        clock = state.clock + (
            episodes.mask.size if released.full_rounds else episodes.steps
        )
        if released.beliefs_first:
            state = self.improve_beliefs(state, seen, clock, burst_key)
        state, reward, curiosity = self.reward(state, seen, bonus_key)
        state, metrics = improve(
            self.backbone, lambda state: self.improve(state, episodes, reward), state
        )
        if not released.beliefs_first:
            state = self.improve_beliefs(state, seen, clock, burst_key)
        losses = state.beliefs.losses
        return state, metrics | curiosity | {
            "train/reconstruction_loss": losses.reconstruction,
            "train/norm_loss": losses.norm,
            "train/kl_loss": losses.kl,
            "train/filter_weight": losses.weight,
        }

    def improve(
        self, state: SmpeState, episodes: Trajectory, reward: Float[Array, "T E N"]
    ) -> tuple[SmpeState, Metrics]:
        """Returns wiser critics and filters and, by the advantages, wiser actors."""
        state, advantage, critic_metrics = self.improve_critics(state, episodes, reward)
        actor, memory, actor_metrics = improve_actor(
            self.backbone,
            state.actor,
            state.actor_memory,
            self.features(state, episodes.obs[:-1]),
            advantage,
            episodes,
        )
        state = state._replace(actor=actor, actor_memory=memory)
        return state, critic_metrics | actor_metrics

    def features(
        self, state: SmpeState, obs: Float[Array, "*batch N O"]
    ) -> Float[Array, "*batch N OZ"]:
        """Returns (o_i, μ_i), what the actors see; constant in the actor's loss."""
        mean, _ = encode(self.beliefs, state.beliefs, obs)
        return jax.lax.stop_gradient(jnp.concatenate([obs, mean], axis=-1))

    def reward(
        self, state: SmpeState, episodes: Trajectory, key: Key[Array, ""]
    ) -> tuple[SmpeState, Float[Array, "T E N"], Metrics]:
        """Counts the new beliefs; returns r̃ of each agent, and what the bonus was."""
        reward = jnp.sum(episodes.reward, axis=-1, keepdims=True)
        reward = jnp.broadcast_to(reward, episodes.reward.shape)
        metrics: Metrics = {}
        if self.novelty.intrinsic:
            counts, bonus = self.curiosity(state, episodes, key)
            state = state._replace(counts=counts)
            reward = reward + bonus
            asked = slice(None, None, ASKED_EVERY)
            surprise = errors_about(
                self.beliefs,
                state.beliefs,
                episodes.obs[:-1][asked],
                episodes.playing[asked],
            )
            metrics = {
                "train/bonus": masked_mean(bonus, episodes.playing),
                "train/bonus_error_correlation": correlation(
                    bonus[asked], surprise, episodes.playing[asked]
                ),
            }
        rewards = update_moments(state.rewards, reward, episodes.mask)
        if self.backbone.standardise_rewards:
            reward = standardise(rewards, reward)
        return state._replace(rewards=rewards), reward, metrics

    def curiosity(
        self, state: SmpeState, episodes: Trajectory, key: Key[Array, ""]
    ) -> tuple[Int[Array, "N cells"], Float[Array, "T E N"]]:
        """Returns the counts with these episodes, and each step's bonus β / √n."""
        hashed = self.hashed(state, episodes.obs[:-1], key)
        codes = jax.vmap(novelty.simhash, (-2, 0), -1)(hashed, state.projection)
        cells = codes[..., None]
        if self.released.sketch:
            cells = novelty.sketch(codes, self.novelty.bits)
        playing = episodes.playing
        lived = jnp.broadcast_to(playing[..., None], cells.shape)
        counts = jax.vmap(novelty.count, (0, -2, -2))(state.counts, cells, lived)
        seen = jax.vmap(lambda n, cell: n[cell], (0, -2), -2)(counts, cells)
        bonus = self.novelty.beta * novelty.bonus(jnp.min(seen, axis=-1))
        return counts, jnp.where(playing, bonus, 0.0)

    def hashed(
        self, state: SmpeState, obs: Float[Array, "T E N O"], key: Key[Array, ""]
    ) -> Float[Array, "T E N Z"]:
        """Returns what the novelty of a time step is judged by."""
        if self.novelty.hashed == "observation":
            return normalised(self.beliefs, state.beliefs.pooled, obs)
        mean, log_var = encode(self.beliefs, state.beliefs, obs)
        if self.novelty.hashed == "mean":
            return mean
        noise = jax.random.normal(key, mean.shape)
        return densities.gaussian_sample(noise, mean, log_var)

    def improve_critics(
        self, state: SmpeState, episodes: Trajectory, reward: Float[Array, "T E N"]
    ) -> tuple[SmpeState, Float[Array, "T E N"], Metrics]:
        """Returns wiser critics (and filters), the advantages, and the losses."""
        metrics: Metrics = {}
        advantage = reward
        if self.filtered_critic:
            judge, beliefs = state.filtered_judge, state.beliefs
            (loss, advantage), (grad, filter_grad) = jax.value_and_grad(
                self.filtered_value_loss, argnums=(0, 1), has_aux=True
            )(judge.critic, beliefs.filter, state, episodes, reward)
            shared = self.released.one_filter_memory
            memory = "filter_memory" if shared else "filter_critic_memory"
            filters, remembered = self.beliefs.filter_critic_optimiser.descend(
                filter_grad, getattr(beliefs, memory), beliefs.filter
            )
            beliefs = beliefs._replace(filter=filters, **{memory: remembered})
            if not self.released.frozen_filtered_critic:
                judge = judge.improve(self.backbone, grad)
            state = state._replace(filtered_judge=judge, beliefs=beliefs)
            metrics["train/filtered_critic_loss"] = loss
        if self.standard_critic:
            judge, joint = state.judge, joint_state(episodes.obs)
            (loss, advantage), grad = jax.value_and_grad(
                value_loss, argnums=1, has_aux=True
            )(self.backbone, judge.critic, judge.slow, joint, reward, episodes)
            state = state._replace(judge=judge.improve(self.backbone, grad))
            metrics["train/critic_loss"] = loss
        return state, advantage, metrics

    def filtered_value_loss(
        self,
        critic: Critic,
        filters: Filter,
        state: SmpeState,
        episodes: Trajectory,
        reward: Float[Array, "T E N"],
    ) -> tuple[Float[Array, ""], Float[Array, "T E N"]]:
        """Returns L^w_critic (eq. 6), which reaches the filters too, and G − V_k."""
        own = normalised(self.beliefs, state.beliefs.pooled, episodes.obs)
        w = filter_weights(self.beliefs, filters, own)
        filtered = filtered_state(episodes.obs, teammates(episodes.obs), w)
        slow = state.filtered_judge.slow
        return value_loss(self.backbone, critic, slow, filtered, reward, episodes)

    def improve_beliefs(
        self,
        state: SmpeState,
        episodes: Trajectory,
        clock: Int[Array, ""],
        key: Key[Array, ""],
    ) -> SmpeState:
        """Remembers the episodes; copies the filters and learns, where it is time."""
        settings = self.beliefs
        beliefs = remember(state.beliefs, episodes)

        def due(every: int) -> Int[Array, ""]:
            return clock // every - state.clock // every

        def learn(i: Int[Array, ""] | int, beliefs: BeliefState) -> BeliefState:
            number = state.clock // settings.burst_every + 1 + i
            filters_too = self.trains_filters(number)
            return burst(settings, beliefs, jax.random.fold_in(key, i), filters_too)

        slow_filter = jax.tree.map(
            lambda new, old: jnp.where(due(settings.slow_every) > 0, new, old),
            beliefs.filter,
            beliefs.slow_filter,
        )
        # An iteration of long episodes may span several bursts.
        beliefs = jax.lax.fori_loop(
            0,
            due(settings.burst_every),
            learn,
            beliefs._replace(slow_filter=slow_filter),
        )
        return state._replace(beliefs=beliefs, clock=clock)

    def trains_filters(self, number: Int[Array, ""]) -> Bool[Array, ""] | bool:
        """Returns whether the burst of this number, from 1 on, trains the filters."""
        every = self.beliefs.filter_every
        # What is always so is known when compiling: bursts are bound by small steps.
        return every == 1 or (every > 0 and number % every == 0)

    def weights(self, state: SmpeState) -> PyTree[Float[Array, "..."]]:
        beliefs = state.beliefs
        return {
            "actor": state.actor,
            "critic": state.judge.critic,
            "filtered_critic": state.filtered_judge.critic,
            "encoder": beliefs.encoder,
            "decoder": beliefs.decoder,
            "filter": beliefs.filter,
            "pooled": beliefs.pooled,
            "each": beliefs.each,
        }
