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
    MAA2C       the observations of all agents   A2C
    IPPO        agent i's observation            PPO, several epochs
    MAPPO       the observations of all agents   PPO, several epochs

MAA2C is also the policy of SMPE² (`smpe.py`), which uses the functions below.

Sources: Papoudakis et al., "Benchmarking Multi-Agent Deep Reinforcement Learning
    Algorithms in Cooperative Tasks", NeurIPS 2021 (all four, and the constants of
    EPyMARL); Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", ICML
    2016 (A2C); de Witt et al., "Is Independent Learning All You Need in the StarCraft
    Multi-Agent Challenge?", 2020 (IPPO); Yu et al., "The Surprising Effectiveness of
    PPO in Cooperative Multi-Agent Games", NeurIPS 2022 (MAPPO; here in EPyMARL's form:
    whole batches, n-step targets, no value clipping).
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

from syntony.config import at_least, between, field, pytree_dataclass, validate
from syntony.equations import distributions
from syntony.equations.returns import critic_loss, n_step_targets
from syntony.equations.running_stats import (
    RunningMeanStd,
    init_running_mean_std,
    normalize,
    update_running_mean_std,
)
from syntony.equations.score import actor_loss, clipped_actor_loss
from syntony.networks.actors import (
    ACTORS,
    Actor,
    initial_actor_hidden,
    make_actor,
)
from syntony.networks.agents import (
    Critic,
    agent_ids,
    init_per_agent,
)
from syntony.networks.user_network import NetworkSpec, check_network
from syntony.pytrees import PyTree
from syntony.systems.marl.base import MultiAgentSystem
from syntony.systems.optimizers import (
    apply_gradients,
    init_opt_state,
    make_optimizer,
    update_target,
    validate_optimizer,
)
from syntony.systems.system import Metrics
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task

State = TypeVar("State")
FeatureFn = Callable[[Float[Array, "*batch N O"]], Float[Array, "*batch N F"]]
"""Observations to the inputs of the actors."""
CriticInput = Literal["joint", "local"]
"""Input of V_i: the observations of all agents, or agent i's alone."""


@runtime_checkable
class ActorConfig(Protocol):
    """Part of a config that describes the actors."""

    @property
    def actor(self) -> str: ...

    @property
    def hidden(self) -> int: ...

    @property
    def shared_actor(self) -> bool: ...


@pytree_dataclass
class ActorCriticConfig:
    """Constants of the actor-critic."""

    num_envs: int = field(10, static=True, limits=at_least(1))
    """Environments side by side; each update uses one episode of each."""
    hidden: int = field(128, static=True, limits=at_least(1))
    """Width of the actors and the critics."""
    actor: str = field("gru", static=True)
    """Network of the actors: gru (recurrent), mlp or python:MODULE:FUNCTION."""
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
    actor_lr: float = field(5e-4, limits=at_least(0))
    """Learning rate of the actors."""
    critic_lr: float = field(5e-4, limits=at_least(0))
    """Learning rate of the critics."""
    max_grad_norm: float = field(10.0, limits=at_least(0))
    """Global norm to which gradients of the actors and of a critic are clipped."""
    target_tau: float = field(0.01, limits=between(0, 1))
    """Step size τ of the target critic towards the critic after each update."""
    normalize_rewards: bool = field(True, static=True)
    """Normalize rewards to zero mean and unit variance."""

    def check(self) -> None:
        """Raises InvalidInputError where a constant is invalid."""
        validate(self)
        validate_optimizer(self.optimizer)

    @property
    def actor_optimizer(self) -> optax.GradientTransformation:
        return make_optimizer(
            self.optimizer, self.actor_lr, max_grad_norm=self.max_grad_norm
        )

    @property
    def critic_optimizer(self) -> optax.GradientTransformation:
        return make_optimizer(
            self.optimizer, self.critic_lr, max_grad_norm=self.max_grad_norm
        )


@pytree_dataclass
class PPOConfig:
    """Constants of PPO's clipped objective."""

    ppo_epochs: int = field(4, static=True, limits=at_least(1))
    """Gradient steps on each batch."""
    clip_eps: float = field(0.2, limits=at_least(0))
    """ε, largest change of the probability ratio that the objective rewards."""


class CriticState(NamedTuple):
    """A critic, its target network and its optimizer state."""

    critic: Critic
    target_critic: Critic
    opt_state: PyTree


class ActorCriticState(NamedTuple):
    """State of a run."""

    actor: Actor
    actor_opt_state: PyTree
    critic_state: CriticState
    reward_stats: RunningMeanStd
    key: Key[Array, ""]
    env_steps: Int[Array, ""]


class ActorCritic(MultiAgentSystem[ActorCriticState]):
    """The algorithm; its four final classes are below."""

    task: Task
    actor_critic: ActorCriticConfig
    last_action: bool

    critic_input: ClassVar[CriticInput]

    @property
    @abstractmethod
    def ppo_config(self) -> PPOConfig | None:
        """Constants of PPO; None for A2C."""

    def check(self) -> None:
        """Raises InvalidInputError where a setting is invalid."""
        self.actor_critic.check()
        check_actor(self.actor_critic, self.observed_task, self.observed_task.obs_dim)
        if self.ppo_config is not None:
            validate(self.ppo_config)

    @property
    def num_envs(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.actor_critic.num_envs

    def init(self, key: Key[Array, ""]) -> ActorCriticState:
        """Initial state; the key is consumed."""
        actor_key, critic_key, run_key = jax.random.split(key, 3)
        config, task = self.actor_critic, self.observed_task
        actor = init_actors(config, task, task.obs_dim, actor_key)
        critic_dim = task.obs_dim * (1 if self._is_local else task.num_agents)
        return ActorCriticState(
            actor=actor,
            actor_opt_state=init_opt_state(config.actor_optimizer, actor),
            critic_state=init_critic(config, task, critic_dim, critic_key),
            reward_stats=init_running_mean_std(()),
            key=run_key,
            env_steps=jnp.zeros((), jnp.int32),
        )

    def policy(self, state: ActorCriticState) -> Policy:
        return recurrent_policy(self.actor_critic, state.actor, lambda obs: obs)

    def initial_hidden(self, episodes: int) -> PyTree[Array]:
        task = self.observed_task
        return initial_hidden_state(self.actor_critic, task, task.obs_dim, episodes)

    def update(
        self, state: ActorCriticState, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[ActorCriticState, Metrics]:
        """State after the updates of critic, actors and target critic."""
        del key  # The whole batch is used: nothing is random.
        config = self.actor_critic
        reward = jnp.sum(trajectory.reward, axis=-1, keepdims=True)
        stats = update_running_mean_std(
            state.reward_stats, reward[..., 0], trajectory.valid
        )
        if config.normalize_rewards:
            reward = normalize(stats, reward)
        reward = jnp.broadcast_to(reward, trajectory.reward.shape)
        state, metrics = run_update_epochs(
            self.ppo_config,
            lambda state: self.update_networks(state, trajectory, reward),
            state._replace(reward_stats=stats),
        )
        critic_state = update_target_critic(config, state.critic_state)
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
        return trajectory.obs if self._is_local else joint_state(trajectory.obs)

    def weights(self, state: ActorCriticState) -> dict[str, PyTree[Array]]:
        """Weights of actors and critics, and the statistics of the rewards."""
        return {
            "actor": state.actor,
            "critic": critic_weights(state.critic_state),
            "reward_stats": state.reward_stats,
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
            reward_stats=cast(RunningMeanStd, weights["reward_stats"]),
        )

    @property
    def _is_local(self) -> bool:
        return self.critic_input == "local"

    def params(self, state: ActorCriticState) -> PyTree[Float[Array, "..."]]:
        return {"actor": state.actor, "critic": state.critic_state.critic}


PPO_DEFAULTS = ActorCriticConfig(actor_lr=3e-4, critic_lr=3e-4, entropy_coef=1e-3)


@pytree_dataclass
class IA2C(ActorCritic):
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

    @property
    def ppo_config(self) -> None:
        return None


@pytree_dataclass
class MAA2C(ActorCritic):
    """A2C with a central critic, which sees the observations of all agents.

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

    @property
    def ppo_config(self) -> None:
        return None


@pytree_dataclass
class IPPO(ActorCritic):
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
    last_action: bool = field(False, static=True)
    """Append each agent's last action to its observation."""

    critic_input: ClassVar[CriticInput] = "local"

    @property
    def ppo_config(self) -> PPOConfig:
        return self.ppo


@pytree_dataclass
class MAPPO(ActorCritic):
    """PPO with a central critic, which sees the observations of all agents.

    Examples:
        >>> import syntony
        >>> system = syntony.MAPPO(task=syntony.task("Foraging-2s-8x8-3p-2f-coop"))
        >>> run = syntony.train(system, steps=100_000)

    Source: Yu et al., NeurIPS 2022; constants of EPyMARL's `mappo.yaml`.
    """

    task: Task
    """The task to train on; see: syntony list tasks."""
    actor_critic: ActorCriticConfig = PPO_DEFAULTS
    ppo: PPOConfig = PPOConfig()
    last_action: bool = field(False, static=True)
    """Append each agent's last action to its observation."""

    critic_input: ClassVar[CriticInput] = "joint"

    @property
    def ppo_config(self) -> PPOConfig:
        return self.ppo


def actor_spec(config: ActorConfig, task: Task, feature_dim: int) -> NetworkSpec:
    """Name and sizes of the actors; their inputs are features and a one-hot agent id.

    Args:
        config: name, width.
        task: the task with the observations that the networks see.
        feature_dim: number of features without the agent id.
    """
    in_size = feature_dim + task.num_agents
    return NetworkSpec(config.actor, in_size, task.num_actions, config.hidden)


def check_actor(config: ActorConfig, task: Task, feature_dim: int) -> None:
    """Raises InvalidInputError if there is no such actor, or a user's does not fit."""
    spec = actor_spec(config, task, feature_dim)
    check_network("actor", spec, ACTORS, recurrent=True)


def init_actors(
    config: ActorConfig, task: Task, feature_dim: int, key: Key[Array, ""]
) -> Actor:
    """Initial actors: one network for all agents, or one for each."""
    spec = actor_spec(config, task, feature_dim)
    if config.shared_actor:
        return make_actor(spec, key)
    return init_per_agent(lambda key: make_actor(spec, key), task.num_agents, key)


def init_critic(
    config: ActorCriticConfig, task: Task, input_dim: int, key: Key[Array, ""]
) -> CriticState:
    """Initial critic, its target network and its optimizer state."""

    def init_network(key: Key[Array, ""]) -> Critic:
        return Critic(input_dim + task.num_agents, config.hidden, key=key)

    critic = (
        init_network(key)
        if config.shared_critic
        else init_per_agent(init_network, task.num_agents, key)
    )
    # A copy, so that no buffer of a donated state appears twice.
    target_critic = jax.tree.map(jnp.copy, critic)
    opt_state = init_opt_state(config.critic_optimizer, critic)
    return CriticState(critic, target_critic, opt_state)


def critic_weights(critic_state: CriticState) -> tuple[Critic, Critic]:
    """A critic and its target network."""
    return critic_state.critic, critic_state.target_critic


def critic_from_weights(
    config: ActorCriticConfig, weights: PyTree[Array]
) -> CriticState:
    """State of a critic with given weights, as `critic_weights` returns them."""
    critic, target_critic = cast(tuple[Critic, Critic], weights)
    opt_state = init_opt_state(config.critic_optimizer, critic)
    return CriticState(critic, target_critic, opt_state)


def recurrent_policy(
    config: ActorCriticConfig, actor: Actor, feature_fn: FeatureFn
) -> Policy:
    """Policy of all agents; its hidden state is the actors'."""

    def policy(
        obs: Float[Array, "E N O"], hidden: PyTree[Array]
    ) -> tuple[Float[Array, "E N A"], PyTree[Array]]:
        return act(actor, feature_fn(obs), hidden, shared=config.shared_actor)

    return policy


def act(
    actor: Actor,
    features: Float[Array, "E N F"],
    hidden: PyTree[Array],
    *,
    shared: bool,
) -> tuple[Float[Array, "E N A"], PyTree[Array]]:
    """Outputs of the actors (logits, or Q-values) and their next hidden states."""

    def act_alone(
        actor: Actor, features: Array, agent_id: Array, h: PyTree[Array]
    ) -> tuple[Array, PyTree[Array]]:
        return actor(features, agent_id, h)

    # A leaf of a user's hidden state may have any number of axes after the agents'.
    apply = act_alone if shared else jax.vmap(act_alone, (0, -2, -2, 1), (-2, 1))
    return apply(actor, features, agent_ids(features.shape[-2]), hidden)


def unroll(
    actor: Actor, features: Float[Array, "T E N F"], *, shared: bool
) -> Float[Array, "T E N A"]:
    """Outputs of the actors over whole episodes."""

    def unroll_alone(actor: Actor, features: Array, agent_id: Array) -> Array:
        return actor.unroll(features, agent_id)

    apply = unroll_alone if shared else jax.vmap(unroll_alone, (0, -2, -2), -2)
    return apply(actor, features, agent_ids(features.shape[-2]))


def initial_hidden_state(
    config: ActorConfig, task: Task, feature_dim: int, episodes: int
) -> PyTree[Array]:
    """Hidden state of the actors at the start of episodes, [E, N, ...] each leaf."""
    spec = actor_spec(config, task, feature_dim)
    return initial_actor_hidden(spec, (episodes, task.num_agents))


def joint_state(obs: Float[Array, "*batch N O"]) -> Float[Array, "*batch 1 NO"]:
    """S = (o_1, …, o_N), once for all agents."""
    num_agents, obs_dim = obs.shape[-2:]
    return obs.reshape(*obs.shape[:-2], 1, num_agents * obs_dim)


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
    config: ActorCriticConfig, critic_state: CriticState, grads: Critic
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
    critic: Critic,
    target_critic: Critic,
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
    critic: Critic,
    state: Float[Array, "T E #N S"],
    num_agents: int,
) -> Float[Array, "T E N"]:
    """V(s, i) of every agent, of one state for all or of each agent's own."""
    ids = agent_ids(num_agents)
    if config.shared_critic:
        return critic(state, ids)
    state = jnp.broadcast_to(state, (*state.shape[:-2], num_agents, state.shape[-1]))
    # The output of a vmap over agents has no feature axis to put agents before.
    return jax.vmap(Critic.__call__, (0, -2, -2), -1)(critic, state, ids)


def update_actor(
    config: ActorCriticConfig,
    ppo: PPOConfig | None,
    actor: Actor,
    opt_state: PyTree,
    features: Float[Array, "T E N F"],
    advantage: Float[Array, "T E N"],
    trajectory: Trajectory,
) -> tuple[Actor, PyTree, Metrics]:
    """Actors and optimizer state after one gradient step, and the metrics before it."""
    (loss, entropy), grads = jax.value_and_grad(policy_loss, argnums=2, has_aux=True)(
        config, ppo, actor, features, advantage, trajectory
    )
    actor, opt_state = apply_gradients(config.actor_optimizer, grads, opt_state, actor)
    return actor, opt_state, {"train/actor_loss": loss, "train/entropy": entropy}


def policy_loss(
    config: ActorCriticConfig,
    ppo: PPOConfig | None,
    actor: Actor,
    features: Float[Array, "T E N F"],
    advantage: Float[Array, "T E N"],
    trajectory: Trajectory,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean actor loss, differentiable in the actor, and mean entropy."""
    logits = unroll(actor, features, shared=config.shared_actor)
    logits = distributions.masked_logits(logits, trajectory.action_mask)
    log_prob = distributions.categorical_log_prob(logits, trajectory.action)
    entropy = distributions.categorical_entropy(logits)
    if ppo is None:
        loss = actor_loss(
            log_prob, advantage, entropy, entropy_coef=config.entropy_coef
        )
    else:
        loss = clipped_actor_loss(
            log_prob,
            trajectory.log_prob,
            advantage,
            entropy,
            clip_eps=ppo.clip_eps,
            entropy_coef=config.entropy_coef,
        )
    alive = trajectory.alive
    return masked_mean(loss, alive), masked_mean(entropy, alive)


def masked_mean(
    x: Float[Array, "T E N"], mask: Bool[Array, "T E #N"]
) -> Float[Array, ""]:
    """Mean over the entries with a true mask; 0 if there is none."""
    mask = jnp.broadcast_to(mask, x.shape)
    return jnp.sum(jnp.where(mask, x, 0.0)) / jnp.maximum(jnp.sum(mask), 1)
