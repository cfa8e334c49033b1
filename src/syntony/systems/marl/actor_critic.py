"""Actor-critic with recurrent actors: IA2C, MAA2C, IPPO and MAPPO.

One step, of all four:

    collect one whole episode in each environment with the present policy
    normalize the team's rewards by the statistics of all rewards so far
    G ← n-step targets from the target critic; truncated episodes bootstrap
    critic: a gradient step on (G − V(s, i))²
    actors: a gradient step on −ln π(a | h) (G − V) − β_H H(π), or PPO's clipped loss
    target critic: follows by Polyak averaging

The algorithms differ in two choices, which no setting changes:

    algorithm   input of V_i                     actor loss
    IA2C        agent i's observation            A2C
    MAA2C       the state of the team            A2C
    IPPO        agent i's observation            PPO, several epochs
    MAPPO       the state of the team            PPO, several epochs

The state of the team is the task's global state, or else the observations of all
agents. IPPO and MAPPO are in `ppo.py`, with the update of Yu et al. (2022). MAA2C is
also the policy of SMPE² (`smpe.py`), which uses the functions below.

Sources: Papoudakis et al., "Benchmarking Multi-Agent Deep Reinforcement Learning
    Algorithms in Cooperative Tasks", NeurIPS 2021 (all four, and the constants of
    EPyMARL); Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", ICML
    2016 (A2C).
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import (
    ClassVar,
    Literal,
    NamedTuple,
    Protocol,
    TypeVar,
    cast,
    runtime_checkable,
)

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import above, at_least, between, field, pytree_dataclass, validate
from syntony.equations import distributions
from syntony.equations.returns import critic_loss, n_step_targets
from syntony.equations.running_stats import FeatureStats, ValueStats
from syntony.equations.score import actor_loss, clipped_actor_loss
from syntony.networks.actors import Actor
from syntony.networks.agents import (
    AnyCritic,
    agent_ids,
    init_per_agent,
    make_critic,
)
from syntony.networks.user_network import NetworkSpec
from syntony.pytrees import PyTree
from syntony.systems.marl.base import MultiAgentSystem
from syntony.systems.marl.input_normalization import (
    InputStats,
    NormalizeObs,
    init_input_stats,
    normalize_agent_obs,
    normalize_episodes,
    normalizes_inputs,
    stats_params,
    update_input_stats,
)
from syntony.systems.marl.rewards import (
    LearningReward,
    init_reward_stats,
    learning_reward,
)
from syntony.systems.marl.team_actors import (
    check_actor,
    init_actors,
    initial_hidden_state,
    recurrent_policy,
    unroll,
)
from syntony.systems.optimizers import (
    LearningRate,
    apply_gradients,
    init_opt_state,
    make_optimizer,
    update_target,
    validate_optimizer,
)
from syntony.systems.system import Metrics
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task, global_state_dim

State = TypeVar("State")
CriticInput = Literal["joint", "local"]
"""Input of V_i: the state of the team, or agent i's observation."""
CriticName = Literal["mlp", "layernorm_gru", "layernorm_tanh_gru"]


@pytree_dataclass
class ActorCriticConfig:
    """Constants of the actor-critic."""

    num_envs: int = field(10, static=True, limits=at_least(1))
    """Environments side by side; each update uses one episode of each."""
    hidden: int = field(128, static=True, limits=at_least(1))
    """Width of the actors and the critics."""
    actor: str = field("gru", static=True)
    """Network of the actors: gru (recurrent), mlp, layernorm_gru, layernorm_tanh_gru or
    python:MODULE:FUNCTION."""
    critic: CriticName = field("mlp", static=True)
    """Network of the critics; mlp has no memory."""
    shared_actor: bool = field(True, static=True)
    """One actor network for all agents, with a one-hot agent id; or one for each."""
    shared_critic: bool = field(True, static=True)
    """One critic network for all agents, with a one-hot agent id; or one for each."""
    gamma: float = field(0.99, limits=between(0, 1))
    """Discount factor per step."""
    n_step: int = field(5, static=True, limits=at_least(1))
    """Rewards in a target before it bootstraps."""
    entropy_coef: float = field(0.01, limits=at_least(0))
    """β_H, weight of the policy's entropy, per nat."""
    optimizer: str = field("adam", static=True)
    """Optimizer of actors and critics: adam, rmsprop, sgd or python:MODULE:FUNCTION."""
    adam_eps: float = field(1e-8, static=True, limits=above(0))
    """ε that Adam adds to its denominator."""
    actor_lr: float = field(5e-4, limits=above(0))
    """Learning rate of the actors."""
    critic_lr: float = field(5e-4, limits=above(0))
    """Learning rate of the critics."""
    max_grad_norm: float = field(10.0, limits=at_least(0))
    """Global norm to which gradients of the actors and of a critic are clipped."""
    target_tau: float = field(0.01, limits=between(0, 1))
    """Step size τ of the target critic towards the critic after each update."""
    reward: LearningReward = field("sum", static=True)
    """Reward that an agent learns from: the sum or the mean over all agents, or its
    own (individual)."""
    normalize_rewards: bool = field(True, static=True)
    """Normalize rewards to zero mean and unit variance."""
    normalize_obs: NormalizeObs = field("auto", static=True)
    """Normalize observations by their running statistics: on, off, or auto, which is
    off for the benchmarks with published constants."""

    def check(self) -> None:
        """Raises InvalidInputError where a constant is invalid."""
        validate(self)
        validate_optimizer(self.optimizer)

    @property
    def actor_optimizer(self) -> optax.GradientTransformation:
        return self._make_optimizer(self.actor_lr)

    @property
    def critic_optimizer(self) -> optax.GradientTransformation:
        return self._make_optimizer(self.critic_lr)

    def _make_optimizer(
        self, learning_rate: LearningRate
    ) -> optax.GradientTransformation:
        return make_optimizer(
            self.optimizer,
            learning_rate,
            max_grad_norm=self.max_grad_norm,
            adam_eps=self.adam_eps,
        )


@pytree_dataclass
class PPOConfig:
    """Constants of PPO's clipped objective."""

    ppo_epochs: int = field(4, static=True, limits=at_least(1))
    """Gradient steps on each batch."""
    clip_eps: float = field(0.2, limits=at_least(0))
    """ε, largest change of the probability ratio that the objective rewards."""


@runtime_checkable
class TakenSteps(Protocol):
    """Steps of a policy, time first, as its loss reads them."""

    @property
    def action_mask(self) -> Bool[Array, "T E N A"]: ...

    @property
    def action(self) -> Int[Array, "T E N"]: ...

    @property
    def log_prob(self) -> Float[Array, "T E N"]: ...

    @property
    def alive(self) -> Bool[Array, "T E N"]: ...


class CriticState(NamedTuple):
    """A critic, its target network and its optimizer state."""

    critic: AnyCritic
    target_critic: AnyCritic
    opt_state: PyTree


class ActorCriticState(NamedTuple):
    """State of a run."""

    actor: Actor
    actor_opt_state: PyTree
    critic_state: CriticState
    reward_stats: FeatureStats
    """Of one reward, or of each agent's own, [N]."""
    input_stats: InputStats | None
    """None if inputs are not normalized."""
    value_stats: ValueStats | None
    """None if values are not normalized."""
    key: Key[Array, ""]
    env_steps: Int[Array, ""]


class ActorCritic(MultiAgentSystem[ActorCriticState]):
    """The algorithm; its four final classes are below and in `ppo.py`."""

    task: Task
    actor_critic: ActorCriticConfig
    last_action: bool

    critic_input: ClassVar[CriticInput]

    @property
    @abstractmethod
    def ppo_config(self) -> PPOConfig | None:
        """Constants of PPO's clipped objective; None for A2C."""

    @abstractmethod
    def learn(
        self,
        state: ActorCriticState,
        trajectory: Trajectory,
        reward: Float[Array, "T E N"],
        key: Key[Array, ""],
    ) -> tuple[ActorCriticState, Metrics]:
        """State after the updates of critic, actors and target critic.

        Args:
            state: state before.
            trajectory: episodes with the inputs that the networks see.
            reward: what each agent learns from.
            key: random key; it is consumed.
        """

    @property
    def num_envs(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.actor_critic.num_envs

    @property
    def individual_reward(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.actor_critic.reward == "individual"

    @property
    def initial_value_stats(self) -> ValueStats | None:
        """Initial statistics of the critic's targets, if values are normalized."""
        return None

    def init(self, key: Key[Array, ""]) -> ActorCriticState:
        """Initial state; the key is consumed."""
        actor_key, critic_key, run_key = jax.random.split(key, 3)
        config, task = self.actor_critic, self.observed_task
        actor = init_actors(config, task, task.obs_dim, actor_key)
        critic_dim = task.obs_dim if self._is_local else central_state_dim(task)
        normalized = normalizes_inputs(config.normalize_obs, self.task)
        return ActorCriticState(
            actor=actor,
            actor_opt_state=init_opt_state(config.actor_optimizer, actor),
            critic_state=init_critic(config, task, critic_dim, critic_key),
            reward_stats=init_reward_stats(config.reward, task.num_agents),
            input_stats=init_input_stats(task) if normalized else None,
            value_stats=self.initial_value_stats,
            key=run_key,
            env_steps=jnp.zeros((), jnp.int32),
        )

    def policy(self, state: ActorCriticState) -> Policy:
        return recurrent_policy(
            self.actor_critic,
            state.actor,
            lambda obs: normalize_agent_obs(state.input_stats, obs),
        )

    def initial_hidden(self, episodes: int) -> PyTree[Array]:
        task = self.observed_task
        return initial_hidden_state(self.actor_critic, task, task.obs_dim, episodes)

    def update(
        self, state: ActorCriticState, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[ActorCriticState, Metrics]:
        """State after the updates of statistics, critic, actors and target critic."""
        config = self.actor_critic
        stats, reward = learning_reward(
            config.reward,
            state.reward_stats,
            trajectory,
            normalized=config.normalize_rewards,
        )
        state, metrics = self.learn(
            state._replace(reward_stats=stats),
            normalize_episodes(state.input_stats, trajectory),
            reward,
            key,
        )
        input_stats = update_input_stats(state.input_stats, trajectory)
        return state._replace(input_stats=input_stats), metrics

    def learn_in_epochs(
        self,
        state: ActorCriticState,
        trajectory: Trajectory,
        reward: Float[Array, "T E N"],
    ) -> tuple[ActorCriticState, Metrics]:
        """State after gradient steps on n-step targets, and of the target critic."""
        state, metrics = run_update_epochs(
            self.ppo_config,
            lambda state: self.update_networks(state, trajectory, reward),
            state,
        )
        critic_state = update_target_critic(self.actor_critic, state.critic_state)
        return state._replace(critic_state=critic_state), metrics

    def update_networks(
        self,
        state: ActorCriticState,
        trajectory: Trajectory,
        reward: Float[Array, "T E N"],
    ) -> tuple[ActorCriticState, Metrics]:
        """State after one gradient step of the critic and one of the actors."""
        config = self.actor_critic
        critic_state, advantage, loss = update_critic(
            config,
            state.critic_state,
            self.critic_inputs(trajectory),
            reward,
            trajectory,
        )
        actor, opt_state, metrics = update_actor(
            config,
            self.ppo_config,
            state.actor,
            state.actor_opt_state,
            trajectory.obs[:-1],
            advantage,
            trajectory,
        )
        state = state._replace(
            actor=actor, actor_opt_state=opt_state, critic_state=critic_state
        )
        return state, metrics | {"train/critic_loss": loss}

    def critic_inputs(self, trajectory: Trajectory) -> Float[Array, "T1 E #N S"]:
        """Inputs of the critics at all time steps."""
        if self._is_local:
            return trajectory.obs
        return central_state(trajectory.obs, trajectory.global_state)

    def weights(self, state: ActorCriticState) -> dict[str, PyTree[Array]]:
        """Weights of actors and critics, and all statistics."""
        return {
            "actor": state.actor,
            "critic": state.critic_state[:2],
            "reward_stats": state.reward_stats,
            "input_stats": state.input_stats,
            "value_stats": state.value_stats,
        }

    def with_weights(
        self, state: ActorCriticState, weights: Mapping[str, PyTree[Array]]
    ) -> ActorCriticState:
        """Initial state with these weights."""
        config, actor = self.actor_critic, cast(Actor, weights["actor"])
        return state._replace(
            actor=actor,
            actor_opt_state=init_opt_state(config.actor_optimizer, actor),
            critic_state=critic_from_weights(config, weights["critic"]),
            reward_stats=cast(FeatureStats, weights["reward_stats"]),
            input_stats=cast(InputStats | None, weights["input_stats"]),
            value_stats=cast(ValueStats | None, weights["value_stats"]),
        )

    @property
    def _is_local(self) -> bool:
        return self.critic_input == "local"

    def params(self, state: ActorCriticState) -> PyTree[Float[Array, "..."]]:
        networks = {"actor": state.actor, "critic": state.critic_state.critic}
        stats = stats_params(
            reward_stats=state.reward_stats,
            input_stats=state.input_stats,
            value_stats=state.value_stats,
        )
        return networks | stats


class A2C(ActorCritic):
    """Advantage actor-critic with n-step targets; its two final classes are below."""

    @property
    def ppo_config(self) -> None:
        return None

    def check(self) -> None:
        """Raises InvalidInputError where a setting is invalid."""
        self.actor_critic.check()
        check_actor(self.actor_critic, self.observed_task, self.observed_task.obs_dim)

    def learn(
        self,
        state: ActorCriticState,
        trajectory: Trajectory,
        reward: Float[Array, "T E N"],
        key: Key[Array, ""],
    ) -> tuple[ActorCriticState, Metrics]:
        del key  # The whole batch is used: nothing is random.
        return self.learn_in_epochs(state, trajectory, reward)


@pytree_dataclass
class IA2C(A2C):
    """Independent A2C: each agent's critic sees its own observation.

    Examples:
        >>> import syntony
        >>> system = syntony.IA2C(task=syntony.task("Foraging-2s-8x8-3p-2f-coop"))
        >>> run = syntony.train(system, steps=100_000)

    Source: Mnih et al., ICML 2016; constants of EPyMARL's `ia2c.yaml`.
    """

    task: Task
    """The task to train on; see: syntony list tasks."""
    actor_critic: ActorCriticConfig = ActorCriticConfig(entropy_coef=1e-3)
    last_action: bool = field(False, static=True)
    """Append each agent's last action to its observation."""

    critic_input: ClassVar[CriticInput] = "local"


@pytree_dataclass
class MAA2C(A2C):
    """A2C with a central critic, which sees the state of the team.

    Examples:
        >>> import syntony
        >>> system = syntony.MAA2C(task=syntony.task("Foraging-2s-8x8-3p-2f-coop"))
        >>> run = syntony.train(system, steps=100_000)

    Source: Papoudakis et al., NeurIPS 2021; constants of SMPE², Table 3.
    """

    task: Task
    """The task to train on; see: syntony list tasks."""
    actor_critic: ActorCriticConfig = ActorCriticConfig()
    last_action: bool = field(False, static=True)
    """Append each agent's last action to its observation."""

    critic_input: ClassVar[CriticInput] = "joint"


def init_critic(
    config: ActorCriticConfig, task: Task, input_dim: int, key: Key[Array, ""]
) -> CriticState:
    """Initial critic, its target network and its optimizer state."""
    in_size = input_dim + task.num_agents
    spec = NetworkSpec(config.critic, in_size, 1, config.hidden, task.num_agents)

    def init_network(key: Key[Array, ""]) -> AnyCritic:
        return make_critic(spec, key)

    critic = (
        init_network(key)
        if config.shared_critic
        else init_per_agent(init_network, task.num_agents, key)
    )
    # A copy, so that no buffer of a donated state appears twice.
    target_critic = jax.tree.map(jnp.copy, critic)
    opt_state = init_opt_state(config.critic_optimizer, critic)
    return CriticState(critic, target_critic, opt_state)


def critic_from_weights(
    config: ActorCriticConfig, weights: PyTree[Array]
) -> CriticState:
    """State of a critic with the weights of a critic and of its target network."""
    critic, target_critic = cast(tuple[AnyCritic, AnyCritic], weights)
    opt_state = init_opt_state(config.critic_optimizer, critic)
    return CriticState(critic, target_critic, opt_state)


def joint_state(obs: Float[Array, "*batch N O"]) -> Float[Array, "*batch 1 NO"]:
    """S = (o_1, …, o_N), once for all agents."""
    num_agents, obs_dim = obs.shape[-2:]
    return obs.reshape(*obs.shape[:-2], 1, num_agents * obs_dim)


def central_state(
    obs: Float[Array, "*batch N O"], global_state: Float[Array, "*batch S"] | None
) -> Float[Array, "*batch 1 _"]:
    """Input of central critics and mixers, once for all agents.

    The task's global state; the joint observation where it is None or of length 0.
    """
    if global_state is None or global_state.shape[-1] == 0:
        return joint_state(obs)
    return global_state[..., None, :]


def central_state_dim(task: Task) -> int:
    """Length of the input of central critics and mixers."""
    return global_state_dim(task) or task.num_agents * task.obs_dim


def run_update_epochs(
    ppo: PPOConfig | None,
    update_fn: Callable[[State], tuple[State, Metrics]],
    state: State,
) -> tuple[State, Metrics]:
    """State after one update for A2C, after `ppo_epochs` of them for PPO.

    Target networks do not change in between, so the targets do not either. Advantages
    G − V change with V, as in EPyMARL.
    """
    if ppo is None:
        return update_fn(state)

    def epoch(state: State, _: None) -> tuple[State, Metrics]:
        return update_fn(state)

    state, metrics = jax.lax.scan(epoch, state, length=ppo.ppo_epochs)
    return state, jax.tree.map(lambda m: m[-1], metrics)


def update_critic(
    config: ActorCriticConfig,
    critic_state: CriticState,
    inputs: Float[Array, "T1 E #N S"],
    reward: Float[Array, "T E N"],
    trajectory: Trajectory,
) -> tuple[CriticState, Float[Array, "T E N"], Float[Array, ""]]:
    """Critic after one gradient step, and advantages and loss before it."""
    (loss, advantage), grads = jax.value_and_grad(value_loss, argnums=1, has_aux=True)(
        config,
        critic_state.critic,
        critic_state.target_critic,
        inputs,
        reward,
        trajectory,
    )
    return apply_critic_gradients(config, critic_state, grads), advantage, loss


def apply_critic_gradients(
    config: ActorCriticConfig, critic_state: CriticState, grads: AnyCritic
) -> CriticState:
    """Critic and optimizer state after one optimizer step."""
    critic, opt_state = apply_gradients(
        config.critic_optimizer, grads, critic_state.opt_state, critic_state.critic
    )
    return critic_state._replace(critic=critic, opt_state=opt_state)


def update_target_critic(
    config: ActorCriticConfig, critic_state: CriticState
) -> CriticState:
    """Target critic ← (1 − τ) target critic + τ critic."""
    target_critic = update_target(
        critic_state.critic, critic_state.target_critic, config.target_tau
    )
    return critic_state._replace(target_critic=target_critic)


def value_loss(
    config: ActorCriticConfig,
    critic: AnyCritic,
    target_critic: AnyCritic,
    state: Float[Array, "T1 E #N S"],
    reward: Float[Array, "T E N"],
    trajectory: Trajectory,
) -> tuple[Float[Array, ""], Float[Array, "T E N"]]:
    """Mean of (G − V)², differentiable in critic and state, and advantages G − V."""
    num_agents = reward.shape[-1]
    bootstrap = jax.lax.stop_gradient(
        critic_values(config, target_critic, state, num_agents)
    )
    # Steps after an end count for nobody; only the released code of SMPE² uses them.
    valid = trajectory.valid[..., None]
    target = n_step_targets(
        jnp.where(valid, reward, 0.0),
        jnp.where(valid, bootstrap[:-1], 0.0),
        bootstrap[1:],
        jnp.broadcast_to(trajectory.terminated[..., None], reward.shape),
        jnp.broadcast_to(trajectory.truncated[..., None], reward.shape),
        gamma=config.gamma,
        n=config.n_step,
    )
    value = critic_values(config, critic, state[:-1], num_agents)
    # Agents that finished early count: what the team earns later follows from their
    # actions as well.
    loss = masked_mean(critic_loss(target, value), valid)
    return loss, jax.lax.stop_gradient(target - value)


def critic_values(
    config: ActorCriticConfig,
    critic: AnyCritic,
    state: Float[Array, "T E #N S"],
    num_agents: int,
    hidden: PyTree[Array] | None = None,
) -> Float[Array, "T E N"]:
    """V(s, i) of every agent, of one state for all or of each agent's own.

    Args:
        config: constants.
        critic: the critics.
        state: their inputs at consecutive steps.
        num_agents: N.
        hidden: hidden states before the first step; None: those of an episode's start.
    """
    ids = agent_ids(num_agents)
    if config.shared_critic:
        return critic.unroll(state, ids, hidden)
    state = jnp.broadcast_to(state, (*state.shape[:-2], num_agents, state.shape[-1]))

    def unroll_alone(
        critic: AnyCritic, state: Array, agent_id: Array, h: PyTree[Array] | None
    ) -> Array:
        return critic.unroll(state, agent_id, h)

    # The output of a vmap over agents has no feature axis to put agents before.
    return jax.vmap(unroll_alone, (0, -2, -2, 1), -1)(critic, state, ids, hidden)


def update_actor(
    config: ActorCriticConfig,
    ppo: PPOConfig | None,
    actor: Actor,
    opt_state: PyTree,
    features: Float[Array, "T E N F"],
    advantage: Float[Array, "T E N"],
    taken: TakenSteps,
    hidden: PyTree[Array] | None = None,
) -> tuple[Actor, PyTree, Metrics]:
    """Actors and optimizer state after one gradient step, and the metrics before it."""
    (loss, entropy), grads = jax.value_and_grad(policy_loss, argnums=2, has_aux=True)(
        config, ppo, actor, features, advantage, taken, hidden
    )
    actor, opt_state = apply_gradients(config.actor_optimizer, grads, opt_state, actor)
    return actor, opt_state, {"train/actor_loss": loss, "train/entropy": entropy}


def policy_loss(
    config: ActorCriticConfig,
    ppo: PPOConfig | None,
    actor: Actor,
    features: Float[Array, "T E N F"],
    advantage: Float[Array, "T E N"],
    taken: TakenSteps,
    hidden: PyTree[Array] | None = None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean actor loss, differentiable in the actor, and mean entropy.

    Args:
        config: constants.
        ppo: constants of PPO; None for A2C.
        actor: the actors.
        features: their inputs.
        advantage: A of each step; no gradient passes.
        taken: the actions, and what was available.
        hidden: hidden states before the first step; None: those of an episode's start.
    """
    logits = unroll(actor, features, hidden, shared=config.shared_actor)
    logits = distributions.masked_logits(logits, taken.action_mask)
    log_prob = distributions.categorical_log_prob(logits, taken.action)
    entropy = distributions.categorical_entropy(logits)
    if ppo is None:
        loss = actor_loss(
            log_prob, advantage, entropy, entropy_coef=config.entropy_coef
        )
    else:
        loss = clipped_actor_loss(
            log_prob,
            taken.log_prob,
            advantage,
            entropy,
            clip_eps=ppo.clip_eps,
            entropy_coef=config.entropy_coef,
        )
    alive = taken.alive
    return masked_mean(loss, alive), masked_mean(entropy, alive)


def masked_mean(
    x: Float[Array, "T E N"], mask: Bool[Array, "T E #N"]
) -> Float[Array, ""]:
    """Mean over the entries with a true mask; 0 if there is none."""
    mask = jnp.broadcast_to(mask, x.shape)
    return jnp.sum(jnp.where(mask, x, 0.0)) / jnp.maximum(jnp.sum(mask), 1)
