"""Value decomposition: VDN and QMIX.

The Q-values of the agents are mixed into one of the team. One step of both:

    collect whole episodes; agents act greedily, or at random with probability ε
    add them to the replay buffer; then, for each new episode, with 32 stored ones:
        y ← r + γ Q'_tot(s', a'), a'_i = argmax_a Q_i(h'_i, a); r alone at a terminal
        a gradient step on (y − Q_tot(s, a))² of the agents and the mixer
    every 200 gradient steps: target networks Q' ← Q

VDN adds the agents' Q-values; QMIX mixes them by a network that is monotonic in each,
whose weights depend on the state of the team: the task's global state, or else the
observations of all agents.

Sources: Sunehag et al., "Value-Decomposition Networks for Cooperative Multi-Agent
    Learning", AAMAS 2018; Rashid et al., "QMIX: Monotonic Value Function Factorisation
    for Deep Multi-Agent Reinforcement Learning", ICML 2018; as benchmarked by
    Papoudakis et al., NeurIPS 2021. Constants: EPyMARL's `vdn.yaml` and `qmix.yaml`.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import above, at_least, between, field, pytree_dataclass, validate
from syntony.equations import values
from syntony.equations.distributions import take_along_action
from syntony.equations.returns import critic_loss
from syntony.equations.running_stats import (
    FeatureStats,
    init_feature_stats,
    standardize,
    update_feature_stats,
)
from syntony.errors import InvalidInputError
from syntony.networks.actors import Actor
from syntony.networks.mixers import Mixer, QMIXMixer, VDNMixer
from syntony.pytrees import PyTree
from syntony.systems.marl.actor_critic import (
    central_state,
    central_state_dim,
    masked_mean,
)
from syntony.systems.marl.base import MultiAgentSystem
from syntony.systems.marl.input_normalization import (
    InputStats,
    NormalizeObs,
    init_input_stats,
    normalize_agent_obs,
    normalize_global_state,
    normalizes_inputs,
    stats_params,
    update_input_stats,
)
from syntony.systems.marl.replay_buffer import (
    ReplayBuffer,
    add_episodes,
    init_buffer,
    sample_episodes,
)
from syntony.systems.marl.rewards import TeamReward, team_reward
from syntony.systems.marl.team_actors import (
    act,
    check_actor,
    init_actors,
    initial_hidden_state,
    unroll,
)
from syntony.systems.optimizers import (
    apply_gradients,
    init_opt_state,
    make_optimizer,
    update_target,
    validate_optimizer,
)
from syntony.systems.system import Metrics
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task, global_state_dim

Networks = tuple[Actor, Mixer]
"""The agents, whose outputs are Q-values here, and the mixer."""
RecurrentState = tuple[PyTree[Array], Int[Array, ""]]
"""The agents' hidden state, and the time step."""
ObsDtype = Literal["float32", "float16"]
FLOAT16_MAX = 65_504.0


@pytree_dataclass
class QLearningConfig:
    """Constants of the Q-learning."""

    num_envs: int = field(10, static=True, limits=at_least(1))
    """Environments side by side; each step collects one episode of each."""
    hidden: int = field(64, static=True, limits=at_least(1))
    """Width of the agents' networks."""
    actor: str = field("gru", static=True)
    """Network of the agents: gru (recurrent), mlp or python:MODULE:FUNCTION."""
    shared_actor: bool = field(True, static=True)
    """One network for all agents, with a one-hot agent id; or one for each."""
    gamma: float = field(0.99, limits=between(0, 1))
    """Discount factor per step."""
    optimizer: str = field("adam", static=True)
    """Optimizer: adam, rmsprop, sgd or python:MODULE:FUNCTION."""
    learning_rate: float = field(5e-4, limits=above(0))
    """Learning rate of the agents and the mixer."""
    max_grad_norm: float = field(10.0, limits=at_least(0))
    """Global norm to which gradients are clipped."""
    reward: TeamReward = field("sum", static=True)
    """Reward of the team: the sum or the mean over its agents."""
    normalize_rewards: bool = field(True, static=True)
    """Normalize rewards to zero mean and unit variance."""
    normalize_obs: NormalizeObs = field("auto", static=True)
    """Normalize observations by their running statistics: on, off, or auto, which is
    off for the benchmarks with published constants."""
    epsilon_start: float = field(1.0, limits=between(0, 1))
    """Probability of a random action at the start."""
    epsilon_end: float = field(0.05, limits=between(0, 1))
    """Probability of a random action after annealing."""
    epsilon_anneal_steps: int = field(50_000, static=True, limits=at_least(1))
    """Environment steps of the linear annealing."""
    evaluation_epsilon: float = field(0.0, limits=between(0, 1))
    """Probability of a random action in evaluations."""
    buffer_size: int = field(5_000, static=True, limits=at_least(1))
    """Capacity of the replay buffer, in episodes."""
    obs_dtype: ObsDtype = field("float32", static=True)
    """Type of the stored observations; float16 takes half the memory, is exact for
    whole numbers up to 2,048 and clips at 65,504."""
    batch_size: int = field(32, static=True, limits=at_least(1))
    """Episodes in a gradient step; there is none before so many are stored."""
    episodes_per_update: int = field(1, static=True, limits=at_least(1))
    """New episodes for each gradient step."""
    target_update: Literal["hard", "soft"] = field("hard", static=True)
    """Copy the networks into the target networks at intervals (hard), or move those by
    Polyak averaging (soft)."""
    target_update_interval: int = field(200, static=True, limits=at_least(1))
    """Gradient steps from copy to copy, if hard."""
    target_tau: float = field(0.01, limits=between(0, 1))
    """Step size τ of the target networks after each gradient step, if soft."""

    def check(self) -> None:
        """Raises InvalidInputError where a constant is invalid."""
        validate(self)
        validate_optimizer(self.optimizer)
        if self.num_envs % self.episodes_per_update:
            raise InvalidInputError(
                f"episodes_per_update is {self.episodes_per_update}; expected a "
                f"divisor of num_envs, which is {self.num_envs}"
            )
        if self.buffer_size < max(self.batch_size, self.num_envs):
            raise InvalidInputError(
                f"buffer_size is {self.buffer_size}; expected at least batch_size and "
                f"num_envs, {max(self.batch_size, self.num_envs)}"
            )

    @property
    def updates_per_step(self) -> int:
        """Gradient steps after each collection of episodes."""
        return self.num_envs // self.episodes_per_update

    def make_optimizer(self) -> optax.GradientTransformation:
        return make_optimizer(
            self.optimizer, self.learning_rate, max_grad_norm=self.max_grad_norm
        )


@pytree_dataclass
class MixerConfig:
    """Sizes of QMIX's mixer."""

    mixing_embed_dim: int = field(32, static=True, limits=at_least(1))
    """Hidden units of the mixer."""
    hypernet_embed_dim: int = field(64, static=True, limits=at_least(1))
    """Hidden units of its hypernetworks."""


class EpisodeBatch(NamedTuple):
    """Episodes in the replay buffer, or a batch of them with time first."""

    obs: Float[Array, "T1 B N O"]
    global_state: Float[Array, "T1 B S"] | None
    """None where the task has none."""
    action_mask: Bool[Array, "T B N A"]
    action: Int[Array, "T B N"]
    alive: Bool[Array, "T B N"]
    """Agents that have not finished."""
    reward: Float[Array, "T B"]
    """Reward of the team."""
    terminated: Bool[Array, "T B"]


class LearnerState(NamedTuple):
    """Networks, target networks and optimizer state."""

    networks: Networks
    target_networks: Networks
    opt_state: PyTree
    num_updates: Int[Array, ""]
    loss: Float[Array, ""]
    """Loss of the latest gradient step; zero before the first."""


class ValueDecompositionState(NamedTuple):
    """State of a run."""

    learner: LearnerState
    replay_buffer: ReplayBuffer[EpisodeBatch]
    reward_stats: FeatureStats
    input_stats: InputStats | None
    """None if inputs are not normalized."""
    epsilon: Float[Array, ""]
    """Probability of a random action in the next episodes."""
    explore_key: Key[Array, ""]
    """Random key of the random actions in the next episodes."""
    key: Key[Array, ""]
    env_steps: Int[Array, ""]


class ValueDecomposition(MultiAgentSystem[ValueDecompositionState]):
    """The algorithm; its two final classes are below."""

    task: Task
    q_learning: QLearningConfig
    last_action: bool

    @abstractmethod
    def init_mixer(self, key: Key[Array, ""]) -> Mixer:
        """Initial mixer of the agents' Q-values."""

    @property
    def num_envs(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.q_learning.num_envs

    def init(self, key: Key[Array, ""]) -> ValueDecompositionState:
        """Initial state; the key is consumed."""
        agents_key, mixer_key, explore_key, run_key = jax.random.split(key, 4)
        config, task = self.q_learning, self.observed_task
        agents = init_actors(config, task, task.obs_dim, agents_key)
        networks = agents, self.init_mixer(mixer_key)
        learner = LearnerState(
            networks=networks,
            # A copy, so that no buffer of a donated state appears twice.
            target_networks=jax.tree.map(jnp.copy, networks),
            opt_state=init_opt_state(config.make_optimizer(), networks),
            num_updates=jnp.zeros((), jnp.int32),
            loss=jnp.zeros(()),
        )
        episode = stored_episode(task, config.obs_dtype)
        normalized = normalizes_inputs(config.normalize_obs, self.task)
        return ValueDecompositionState(
            learner=learner,
            replay_buffer=init_buffer(episode, capacity=config.buffer_size),
            reward_stats=init_feature_stats(()),
            input_stats=init_input_stats(task) if normalized else None,
            epsilon=jnp.zeros(()) + config.epsilon_start,
            explore_key=explore_key,
            key=run_key,
            env_steps=jnp.zeros((), jnp.int32),
        )

    def policy(self, state: ValueDecompositionState) -> Policy:
        """ε-greedy policy of all agents."""
        agents, _ = state.learner.networks
        shared = self.q_learning.shared_actor

        def policy(
            obs: Float[Array, "E N O"], hidden: RecurrentState
        ) -> tuple[Float[Array, "E N A"], RecurrentState]:
            h, time = hidden
            obs = normalize_agent_obs(state.input_stats, obs)
            q_values, h = act(agents, obs, h, shared=shared)
            key = jax.random.fold_in(state.explore_key, time)
            explore = jax.random.bernoulli(key, state.epsilon, q_values.shape[:-1])
            return values.epsilon_greedy_logits(q_values, explore), (h, time + 1)

        return policy

    def initial_hidden(self, episodes: int) -> RecurrentState:
        config, task = self.q_learning, self.observed_task
        hidden = initial_hidden_state(config, task, task.obs_dim, episodes)
        return hidden, jnp.zeros((), jnp.int32)

    def update(
        self,
        state: ValueDecompositionState,
        trajectory: Trajectory,
        key: Key[Array, ""],
    ) -> tuple[ValueDecompositionState, Metrics]:
        """State after storing the episodes and the gradient steps."""
        explore_key, batch_key = jax.random.split(key)
        config = self.q_learning
        reward = team_reward(config.reward, trajectory.reward)
        input_stats = update_input_stats(state.input_stats, trajectory)
        stats = update_feature_stats(state.reward_stats, reward, trajectory.valid)
        buffer = add_episodes(
            state.replay_buffer,
            to_batch(trajectory, reward, config.obs_dtype),
            trajectory.valid,
        )

        def update(i: Int[Array, ""], learner: LearnerState) -> LearnerState:
            batch, valid = sample_episodes(
                buffer, jax.random.fold_in(batch_key, i), config.batch_size
            )
            batch = network_inputs(input_stats, batch)
            if config.normalize_rewards:
                batch = batch._replace(reward=standardize(stats, batch.reward))
            return self.gradient_step(learner, batch, valid)

        enough = buffer.num_episodes >= config.batch_size
        num_updates = jnp.where(enough, config.updates_per_step, 0)
        learner = jax.lax.fori_loop(0, num_updates, update, state.learner)
        epsilon = self.next_epsilon(state.env_steps + trajectory.num_steps)
        metrics = {"train/td_loss": learner.loss, "train/epsilon": state.epsilon}
        return state._replace(
            learner=learner,
            replay_buffer=buffer,
            reward_stats=stats,
            input_stats=input_stats,
            epsilon=epsilon,
            explore_key=explore_key,
        ), metrics

    def next_epsilon(self, env_steps: Int[Array, ""]) -> Float[Array, ""]:
        """Probability of a random action after so many environment steps."""
        config = self.q_learning
        return values.linear_epsilon(
            env_steps,
            start=config.epsilon_start,
            end=config.epsilon_end,
            anneal_steps=config.epsilon_anneal_steps,
        )

    def gradient_step(
        self, learner: LearnerState, batch: EpisodeBatch, valid: Bool[Array, "T B"]
    ) -> LearnerState:
        """Networks, optimizer state and target networks after one gradient step."""
        config = self.q_learning
        loss, grads = jax.value_and_grad(self.td_loss)(
            learner.networks, learner.target_networks, batch, valid
        )
        networks, opt_state = apply_gradients(
            config.make_optimizer(), grads, learner.opt_state, learner.networks
        )
        num_updates = learner.num_updates + 1
        step_size = config.target_tau
        if config.target_update == "hard":
            is_due = num_updates % config.target_update_interval == 0
            step_size = jnp.where(is_due, 1.0, 0.0)
        target_networks = update_target(networks, learner.target_networks, step_size)
        return LearnerState(networks, target_networks, opt_state, num_updates, loss)

    def td_loss(
        self,
        networks: Networks,
        target_networks: Networks,
        batch: EpisodeBatch,
        valid: Bool[Array, "T B"],
    ) -> Float[Array, ""]:
        """Mean of (y − Q_tot)² over all valid steps.

        Agents that have finished early add nothing to Q_tot.
        """
        (agents, mixer), (target_agents, target_mixer) = networks, target_networks
        shared = self.q_learning.shared_actor
        q_values = unroll(agents, batch.obs, shared=shared)
        target_q_values = unroll(target_agents, batch.obs, shared=shared)
        joint = central_state(batch.obs, batch.global_state)[..., 0, :]
        taken = take_along_action(q_values[:-1], batch.action)
        q_total = mixer(jnp.where(batch.alive, taken, 0.0), joint[:-1])

        # No action mask is known after the last step: the one before it stands in.
        action_mask = jnp.concatenate([batch.action_mask[1:], batch.action_mask[-1:]])
        best = values.double_q_value(q_values[1:], target_q_values[1:], action_mask)
        best = jnp.where(next_alive(batch, valid), best, 0.0)
        target = values.td_target(
            batch.reward,
            target_mixer(best, joint[1:]),
            batch.terminated,
            gamma=self.q_learning.gamma,
        )
        return masked_mean(critic_loss(target, q_total)[..., None], valid[..., None])

    def evaluation_state(
        self, state: ValueDecompositionState
    ) -> ValueDecompositionState:
        epsilon = jnp.zeros_like(state.epsilon) + self.q_learning.evaluation_epsilon
        return state._replace(epsilon=epsilon)

    def params(self, state: ValueDecompositionState) -> PyTree[Float[Array, "..."]]:
        agents, mixer = state.learner.networks
        stats = stats_params(
            reward_stats=state.reward_stats, input_stats=state.input_stats
        )
        return {"agents": agents, "mixer": mixer} | stats

    def weights(self, state: ValueDecompositionState) -> dict[str, PyTree[Array]]:
        """Weights of agents and mixer, and all statistics."""
        agents, mixer = state.learner.networks
        target_agents, target_mixer = state.learner.target_networks
        return {
            "agents": (agents, target_agents),
            "mixer": (mixer, target_mixer),
            "reward_stats": state.reward_stats,
            "input_stats": state.input_stats,
        }

    def with_weights(
        self, state: ValueDecompositionState, weights: Mapping[str, PyTree[Array]]
    ) -> ValueDecompositionState:
        """Initial state with these weights."""
        agents, target_agents = cast(tuple[Actor, Actor], weights["agents"])
        mixer, target_mixer = cast(tuple[Mixer, Mixer], weights["mixer"])
        networks = agents, mixer
        learner = state.learner._replace(
            networks=networks,
            target_networks=(target_agents, target_mixer),
            opt_state=init_opt_state(self.q_learning.make_optimizer(), networks),
        )
        return state._replace(
            learner=learner,
            reward_stats=cast(FeatureStats, weights["reward_stats"]),
            input_stats=cast(InputStats | None, weights["input_stats"]),
        )


@pytree_dataclass
class VDN(ValueDecomposition):
    """Q-learning whose team value is the sum of the agents' Q-values.

    Examples:
        >>> import syntony
        >>> system = syntony.VDN(task=syntony.task("Foraging-2s-8x8-3p-2f-coop"))
        >>> run = syntony.train(system, steps=100_000)

    Source: Sunehag et al., AAMAS 2018.
    """

    task: Task
    """The task to train on; see: syntony list tasks."""
    q_learning: QLearningConfig = QLearningConfig()
    last_action: bool = field(False, static=True)
    """Append each agent's last action to its observation."""

    def check(self) -> None:
        """Raises InvalidInputError where a setting is invalid."""
        self.q_learning.check()
        check_actor(self.q_learning, self.observed_task, self.observed_task.obs_dim)

    def init_mixer(self, key: Key[Array, ""]) -> Mixer:
        del key
        return VDNMixer()


@pytree_dataclass
class QMIX(ValueDecomposition):
    """Q-learning whose team value is a monotonic network of the agents' Q-values.

    Examples:
        >>> import syntony
        >>> system = syntony.QMIX(task=syntony.task("Foraging-2s-8x8-3p-2f-coop"))
        >>> run = syntony.train(system, steps=100_000)

    Source: Rashid et al., ICML 2018.
    """

    task: Task
    """The task to train on; see: syntony list tasks."""
    q_learning: QLearningConfig = QLearningConfig()
    mixer: MixerConfig = MixerConfig()
    last_action: bool = field(False, static=True)
    """Append each agent's last action to its observation."""

    def check(self) -> None:
        """Raises InvalidInputError where a setting is invalid."""
        self.q_learning.check()
        check_actor(self.q_learning, self.observed_task, self.observed_task.obs_dim)
        validate(self.mixer)

    def init_mixer(self, key: Key[Array, ""]) -> Mixer:
        task = self.observed_task
        sizes = self.mixer.mixing_embed_dim, self.mixer.hypernet_embed_dim
        return QMIXMixer(task.num_agents, central_state_dim(task), *sizes, key=key)


def stored_episode(task: Task, obs_dtype: ObsDtype) -> EpisodeBatch:
    """Shapes and dtypes of one stored episode, time first."""
    steps, agents = (task.time_limit,), (task.time_limit, task.num_agents)
    obs_shape = (task.time_limit + 1, task.num_agents, task.obs_dim)
    state_shape = (task.time_limit + 1, global_state_dim(task))

    def empty_episode() -> EpisodeBatch:
        return EpisodeBatch(
            obs=jnp.zeros(obs_shape, obs_dtype),
            global_state=jnp.zeros(state_shape, obs_dtype) if state_shape[1] else None,
            action_mask=jnp.zeros((*agents, task.num_actions), bool),
            action=jnp.zeros(agents, jnp.int32),
            alive=jnp.zeros(agents, bool),
            reward=jnp.zeros(steps),
            terminated=jnp.zeros(steps, bool),
        )

    return jax.eval_shape(empty_episode)


def to_batch(
    trajectory: Trajectory, reward: Float[Array, "T E"], obs_dtype: ObsDtype
) -> EpisodeBatch:
    """Content of a trajectory that the replay buffer stores.

    Observations beyond the range of `obs_dtype` are clipped: one infinite number would
    make every later update undefined.
    """
    obs, global_state = trajectory.obs, trajectory.global_state
    if obs_dtype == "float16":
        obs, global_state = (
            jnp.clip(x, -FLOAT16_MAX, FLOAT16_MAX) for x in (obs, global_state)
        )
    return EpisodeBatch(
        obs=obs,
        global_state=global_state if global_state.shape[-1] else None,
        action_mask=trajectory.action_mask,
        action=trajectory.action,
        alive=trajectory.alive,
        reward=reward,
        terminated=trajectory.terminated,
    )


def network_inputs(stats: InputStats | None, batch: EpisodeBatch) -> EpisodeBatch:
    """Stored episodes with the inputs that the networks see."""
    obs = normalize_agent_obs(stats, batch.obs.astype(jnp.float32))
    if batch.global_state is None:
        return batch._replace(obs=obs)
    global_state = batch.global_state.astype(jnp.float32)
    return batch._replace(
        obs=obs, global_state=normalize_global_state(stats, global_state)
    )


def next_alive(batch: EpisodeBatch, valid: Bool[Array, "T B"]) -> Bool[Array, "T B N"]:
    """Agents that are alive in the step after each; after the last one, as in it."""
    none = jnp.zeros_like(valid[:1])
    has_next = jnp.concatenate([valid[1:], none])[..., None]
    later = jnp.concatenate([batch.alive[1:], batch.alive[-1:]])
    return jnp.where(has_next, later, batch.alive)
