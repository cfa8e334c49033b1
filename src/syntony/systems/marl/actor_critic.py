"""The actor-critic that the learners share: how a team acts, judges and improves."""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from syntony.config import check_literals, pytree_dataclass
from syntony.equations import distributions
from syntony.equations.returns import critic_loss, n_step_targets
from syntony.equations.score import actor_loss, clipped_actor_loss
from syntony.errors import InvalidInputError
from syntony.networks.agents import (
    Actor,
    Critic,
    agent_ids,
    apply_per_agent,
    init_per_agent,
)
from syntony.optim import Adam
from syntony.systems.system import Metrics
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task

State = TypeVar("State")
FeatureFn = Callable[[Float[Array, "*batch N O"]], Float[Array, "*batch N F"]]
"""What the actors see: from observations, whatever else is known."""


@pytree_dataclass
class ActorCriticConfig:
    """Constants of the actor-critic."""

    num_envs: int = 10
    """Episodes lived side by side before each update."""
    hidden: int = 128
    """Width of the actors and the critics."""
    shared_actor: bool = True
    """One actor for all agents, told apart by a one-hot id; or one for each."""
    shared_critic: bool = True
    """One critic for all agents, told by a one-hot id for whom; or one for each."""
    gamma: float = 0.99
    """Discount of a step."""
    n_step: int = 5
    """Rewards in a target before it bootstraps."""
    entropy_coef: float = 0.01
    """β_H, the weight of the policy's entropy, per nat."""
    actor_lr: float = 5e-4
    """Learning rate of the actors (Adam)."""
    critic_lr: float = 5e-4
    """Learning rate of the critics (Adam)."""
    max_grad_norm: float = 10.0
    """Largest gradient norm of the actors and the critics."""
    target_tau: float = 0.01
    """Share of a critic that its slow copy takes over after each update."""
    normalize_rewards: bool = True
    """Learn from rewards of zero mean and unit variance."""
    objective: Literal["a2c", "ppo"] = "a2c"
    """Learn once from each batch, or several times with a clipped objective."""
    ppo_epochs: int = 4
    """Times that PPO learns from each batch."""
    clip_eps: float = 0.2
    """ε, how far from 1 the ratio of probabilities may lead PPO."""

    def check(self) -> None:
        """Raises BadInput where a constant makes no sense."""
        check_literals(self)
        for name in ("num_envs", "hidden", "n_step", "ppo_epochs"):
            if getattr(self, name) < 1:
                raise InvalidInputError(
                    f"{name} is {getattr(self, name)}; expected at least 1"
                )
        for name in ("gamma", "target_tau"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidInputError(
                    f"{name} is {getattr(self, name)}; expected 0 to 1"
                )
        for name in (
            "actor_lr",
            "critic_lr",
            "max_grad_norm",
            "entropy_coef",
            "clip_eps",
        ):
            if not getattr(self, name) >= 0.0:
                raise InvalidInputError(
                    f"{name} is {getattr(self, name)}; expected 0 or more"
                )

    def init_actors(self, task: Task, feature_dim: int, key: Key[Array, ""]) -> Actor:
        """Returns new actors: one network, or one for each agent."""

        def make(key: Key[Array, ""]) -> Actor:
            return Actor(
                feature_dim + task.num_agents, self.hidden, task.num_actions, key=key
            )

        return (
            make(key)
            if self.shared_actor
            else init_per_agent(make, task.num_agents, key)
        )

    def init_critic(
        self, task: Task, key: Key[Array, ""], input_dim: int | None = None
    ) -> "CriticState":
        """Returns a new critic of joint states, its slow copy and its memory.

        Args:
            size: of what the critic sees instead, where that is no joint state.
        """
        seen = task.num_agents * task.obs_dim if input_dim is None else input_dim

        def make(key: Key[Array, ""]) -> Critic:
            return Critic(seen + task.num_agents, self.hidden, key=key)

        critic = (
            make(key)
            if self.shared_critic
            else init_per_agent(make, task.num_agents, key)
        )
        # A copy, so that no buffer of a donated state appears twice.
        slow = jax.tree.map(jnp.copy, critic)
        return CriticState(critic, slow, self.critic_optimizer.init(critic))

    @property
    def actor_optimizer(self) -> Adam:
        return Adam(learning_rate=self.actor_lr, max_grad_norm=self.max_grad_norm)

    @property
    def critic_optimizer(self) -> Adam:
        return Adam(learning_rate=self.critic_lr, max_grad_norm=self.max_grad_norm)


class CriticState(NamedTuple):
    """A critic, the slow copy that its targets bootstrap from, and Adam's memory."""

    critic: Critic
    target_critic: Critic
    opt_state: PyTree

    def apply_gradients(self, config: ActorCriticConfig, grad: Critic) -> "CriticState":
        """Returns the judge one step wiser, with a slow copy that has followed."""
        critic, memory = config.critic_optimizer.apply_gradients(
            grad, self.opt_state, self.critic
        )
        return CriticState(critic, self.target_critic, memory).update_target(config)

    def update_target(self, config: ActorCriticConfig) -> "CriticState":
        """Returns the judge with slow' = (1 − τ) slow + τ critic."""
        tau = config.target_tau
        slow = jax.tree.map(
            lambda s, c: (1.0 - tau) * s + tau * c, self.target_critic, self.critic
        )
        return self._replace(target_critic=slow)


def recurrent_policy(
    config: ActorCriticConfig, actor: Actor, feature_fn: FeatureFn
) -> Policy:
    """Returns the team's policy; its memory is the actors' hidden state."""

    def policy(
        obs: Float[Array, "E N O"], memory: Float[Array, "E N H"]
    ) -> tuple[Float[Array, "E N A"], Float[Array, "E N H"]]:
        return act(actor, feature_fn(obs), memory, shared=config.shared_actor)

    return policy


def act(
    actor: Actor,
    features: Float[Array, "E N F"],
    hidden: Float[Array, "E N H"],
    *,
    shared: bool,
) -> tuple[Float[Array, "E N A"], Float[Array, "E N H"]]:
    """Returns one number an action, at one time step, and the next hidden state."""
    seen = features, agent_ids(features.shape[-2]), hidden
    return actor(*seen) if shared else apply_per_agent(actor, *seen)


def unroll(
    actor: Actor, features: Float[Array, "T E N F"], *, shared: bool
) -> Float[Array, "T E N A"]:
    """Returns what `act` gives over whole episodes."""
    seen = features, agent_ids(features.shape[-2])
    return (
        actor.unroll(*seen)
        if shared
        else apply_per_agent(actor, *seen, apply_fn=Actor.unroll)
    )


def zero_hidden_state(
    config: ActorCriticConfig, task: Task, episodes: int
) -> Float[Array, "E N H"]:
    """Returns the hidden state in which every episode starts."""
    return jnp.zeros((episodes, task.num_agents, config.hidden))


def joint_state(obs: Float[Array, "*batch N O"]) -> Float[Array, "*batch 1 NO"]:
    """Returns s = (o_1, …, o_N), once for all agents."""
    agents, size = obs.shape[-2:]
    return obs.reshape(*obs.shape[:-2], 1, agents * size)


def value_loss(
    config: ActorCriticConfig,
    critic: Critic,
    target_critic: Critic,
    state: Float[Array, "T1 E #N S"],
    reward: Float[Array, "T E N"],
    trajectory: Trajectory,
) -> tuple[Float[Array, ""], Float[Array, "T E N"]]:
    """Returns the mean (G − V)², differentiable in critic and state, and G − V."""
    agents = reward.shape[-1]
    bootstrap = jax.lax.stop_gradient(
        critic_values(config, target_critic, state, agents)
    )
    # What is behind an end counts for nobody; only the released code looks there.
    lived = trajectory.valid[..., None]
    target = n_step_targets(
        jnp.where(lived, reward, 0.0),
        jnp.where(lived, bootstrap[:-1], 0.0),
        bootstrap[1:],
        jnp.broadcast_to(trajectory.terminated[..., None], reward.shape),
        jnp.broadcast_to(trajectory.truncated[..., None], reward.shape),
        gamma=config.gamma,
        n=config.n_step,
    )
    value = critic_values(config, critic, state[:-1], agents)
    # Also of who has finished: its last actions are judged by what its team earns yet.
    loss = masked_mean(critic_loss(target, value), lived)
    return loss, jax.lax.stop_gradient(target - value)


def critic_values(
    config: ActorCriticConfig,
    critic: Critic,
    state: Float[Array, "T E #N S"],
    num_agents: int,
) -> Float[Array, "T E N"]:
    """Returns V of a state that is one for all, or of each agent's own."""
    ids = agent_ids(num_agents)
    if config.shared_critic:
        return critic(state, ids)
    state = jnp.broadcast_to(state, (*state.shape[:-2], num_agents, state.shape[-1]))
    # What a vmap over agents gives back has no feature axis to put agents before.
    judge = jax.vmap(lambda one, x, id: one(x, id), in_axes=(0, -2, -2), out_axes=-1)
    return judge(critic, state, ids)


def policy_loss(
    config: ActorCriticConfig,
    actor: Actor,
    features: Float[Array, "T E N F"],
    advantage: Float[Array, "T E N"],
    trajectory: Trajectory,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Returns the mean actor loss, differentiable in the actor, and the entropy."""
    logits = unroll(actor, features, shared=config.shared_actor)
    logits = distributions.masked_logits(logits, trajectory.action_mask)
    log_prob = distributions.categorical_log_prob(logits, trajectory.action)
    entropy = distributions.categorical_entropy(logits)
    if config.objective == "ppo":
        loss = clipped_actor_loss(
            log_prob,
            trajectory.log_prob,
            advantage,
            entropy,
            clip_eps=config.clip_eps,
            entropy_coef=config.entropy_coef,
        )
    else:
        loss = actor_loss(
            log_prob, advantage, entropy, entropy_coef=config.entropy_coef
        )
    playing = trajectory.alive
    return masked_mean(loss, playing), masked_mean(entropy, playing)


def masked_mean(
    x: Float[Array, "T E N"], mask: Bool[Array, "T E #N"]
) -> Float[Array, ""]:
    """Returns the mean over what counts: steps that were lived, agents that played."""
    lived = jnp.broadcast_to(mask, x.shape)
    return jnp.sum(jnp.where(lived, x, 0.0)) / jnp.maximum(jnp.sum(lived), 1)


def run_update_epochs(
    config: ActorCriticConfig,
    update_fn: Callable[[State], tuple[State, Metrics]],
    state: State,
) -> tuple[State, Metrics]:
    """Learns from a batch: once with A2C, `epochs` times with PPO.

    Over the epochs the slow critics stand still, and so do the targets; they follow
    once, at the end. Advantages G − V move with V, as in EPyMARL.
    """
    if config.objective == "a2c":
        return update_fn(state)

    def epoch(now: State, _: None) -> tuple[State, Metrics]:
        wiser, metrics = update_fn(now)
        held = _map_critic_states(
            lambda old, new: new._replace(target_critic=old.target_critic), now, wiser
        )
        return held, metrics

    state, metrics = jax.lax.scan(epoch, state, length=config.ppo_epochs)
    state = _map_critic_states(lambda judge: judge.update_target(config), state)
    return state, jax.tree.map(lambda m: m[-1], metrics)


def _map_critic_states(fn: Callable[..., CriticState], *states: State) -> State:
    """Returns the last of the states, with its judges changed by those of all."""

    def leaf(*found: PyTree) -> PyTree:
        return fn(*found) if isinstance(found[-1], CriticState) else found[-1]

    return jax.tree.map(leaf, *states, is_leaf=lambda x: isinstance(x, CriticState))


def update_actor(
    config: ActorCriticConfig,
    actor: Actor,
    opt_state: PyTree,
    features: Float[Array, "T E N F"],
    advantage: Float[Array, "T E N"],
    trajectory: Trajectory,
) -> tuple[Actor, PyTree, Metrics]:
    """Returns the actors one step wiser, Adam's memory, and what was measured."""
    (loss, entropy), grad = jax.value_and_grad(policy_loss, argnums=1, has_aux=True)(
        config, actor, features, advantage, trajectory
    )
    actor, opt_state = config.actor_optimizer.apply_gradients(grad, opt_state, actor)
    return actor, opt_state, {"train/actor_loss": loss, "train/entropy": entropy}
