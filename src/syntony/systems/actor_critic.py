"""The actor-critic that the learners share: how a team acts, judges and improves."""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from syntony.equations import densities
from syntony.equations.returns import critic_loss, n_step_targets
from syntony.equations.score import actor_loss, clipped_actor_loss
from syntony.errors import BadInput
from syntony.networks.agents import Actor, Critic, agent_ids, each, team
from syntony.optim import Adam
from syntony.record import check_choices, record
from syntony.systems.system import Metrics
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task

State = TypeVar("State")
Features = Callable[[Float[Array, "*batch N O"]], Float[Array, "*batch N F"]]
"""What the actors see: from observations, whatever else is known."""


@record
class Backbone:
    """Constants of the actor-critic."""

    environments: int = 10
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
    max_norm: float = 10.0
    """Largest gradient norm of the actors and the critics."""
    polyak: float = 0.01
    """Share of a critic that its slow copy takes over after each update."""
    standardise_rewards: bool = True
    """Learn from rewards of zero mean and unit variance."""
    objective: Literal["a2c", "ppo"] = "a2c"
    """Learn once from each batch, or several times with a clipped objective."""
    epochs: int = 4
    """Times that PPO learns from each batch."""
    clip: float = 0.2
    """ε, how far from 1 the ratio of probabilities may lead PPO."""

    def check(self) -> None:
        """Raises BadInput where a constant makes no sense."""
        check_choices(self)
        for name in ("environments", "hidden", "n_step", "epochs"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} is {getattr(self, name)}; expected at least 1")
        for name in ("gamma", "polyak"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise BadInput(f"{name} is {getattr(self, name)}; expected 0 to 1")
        for name in ("actor_lr", "critic_lr", "max_norm", "entropy_coef", "clip"):
            if not getattr(self, name) >= 0.0:
                raise BadInput(f"{name} is {getattr(self, name)}; expected 0 or more")

    def actors(self, task: Task, features: int, key: Key[Array, ""]) -> Actor:
        """Returns new actors: one network, or one for each agent."""

        def make(key: Key[Array, ""]) -> Actor:
            return Actor(features + task.agents, self.hidden, task.actions, key=key)

        return make(key) if self.shared_actor else team(make, task.agents, key)

    def judge(
        self, task: Task, key: Key[Array, ""], size: int | None = None
    ) -> "Judge":
        """Returns a new critic of joint states, its slow copy and its memory.

        Args:
            size: of what the critic sees instead, where that is no joint state.
        """
        seen = task.agents * task.obs_size if size is None else size

        def make(key: Key[Array, ""]) -> Critic:
            return Critic(seen + task.agents, self.hidden, key=key)

        critic = make(key) if self.shared_critic else team(make, task.agents, key)
        # A copy, so that no buffer of a donated state appears twice.
        slow = jax.tree.map(jnp.copy, critic)
        return Judge(critic, slow, self.critic_optimiser.init(critic))

    @property
    def actor_optimiser(self) -> Adam:
        return Adam(learning_rate=self.actor_lr, max_norm=self.max_norm)

    @property
    def critic_optimiser(self) -> Adam:
        return Adam(learning_rate=self.critic_lr, max_norm=self.max_norm)


class Judge(NamedTuple):
    """A critic, the slow copy that its targets bootstrap from, and Adam's memory."""

    critic: Critic
    slow: Critic
    memory: PyTree

    def improve(self, backbone: Backbone, grad: Critic) -> "Judge":
        """Returns the judge one step wiser, with a slow copy that has followed."""
        critic, memory = backbone.critic_optimiser.descend(
            grad, self.memory, self.critic
        )
        return Judge(critic, self.slow, memory).follow(backbone)

    def follow(self, backbone: Backbone) -> "Judge":
        """Returns the judge with slow' = (1 − τ) slow + τ critic."""
        tau = backbone.polyak
        slow = jax.tree.map(
            lambda s, c: (1.0 - tau) * s + tau * c, self.slow, self.critic
        )
        return self._replace(slow=slow)


def recurrent_policy(backbone: Backbone, actor: Actor, features: Features) -> Policy:
    """Returns the team's policy; its memory is the actors' hidden state."""

    def policy(
        obs: Float[Array, "E N O"], memory: Float[Array, "E N H"]
    ) -> tuple[Float[Array, "E N A"], Float[Array, "E N H"]]:
        return act(actor, features(obs), memory, shared=backbone.shared_actor)

    return policy


def act(
    actor: Actor,
    features: Float[Array, "E N F"],
    memory: Float[Array, "E N H"],
    *,
    shared: bool,
) -> tuple[Float[Array, "E N A"], Float[Array, "E N H"]]:
    """Returns one number an action, at one time step, and the next hidden state."""
    seen = features, agent_ids(features.shape[-2]), memory
    return actor(*seen) if shared else each(actor, *seen)


def unroll(
    actor: Actor, features: Float[Array, "T E N F"], *, shared: bool
) -> Float[Array, "T E N A"]:
    """Returns what `act` gives over whole episodes."""
    seen = features, agent_ids(features.shape[-2])
    return actor.unroll(*seen) if shared else each(actor, *seen, apply=Actor.unroll)


def blank_memory(
    backbone: Backbone, task: Task, episodes: int
) -> Float[Array, "E N H"]:
    """Returns the hidden state in which every episode starts."""
    return jnp.zeros((episodes, task.agents, backbone.hidden))


def joint_state(obs: Float[Array, "*batch N O"]) -> Float[Array, "*batch 1 NO"]:
    """Returns s = (o_1, …, o_N), once for all agents."""
    agents, size = obs.shape[-2:]
    return obs.reshape(*obs.shape[:-2], 1, agents * size)


def value_loss(
    backbone: Backbone,
    critic: Critic,
    slow: Critic,
    state: Float[Array, "T1 E #N S"],
    reward: Float[Array, "T E N"],
    episodes: Trajectory,
) -> tuple[Float[Array, ""], Float[Array, "T E N"]]:
    """Returns the mean (G − V)², differentiable in critic and state, and G − V."""
    agents = reward.shape[-1]
    bootstrap = jax.lax.stop_gradient(values(backbone, slow, state, agents))
    # What is behind an end counts for nobody; only the released code looks there.
    lived = episodes.mask[..., None]
    target = n_step_targets(
        jnp.where(lived, reward, 0.0),
        jnp.where(lived, bootstrap[:-1], 0.0),
        bootstrap[1:],
        jnp.broadcast_to(episodes.terminated[..., None], reward.shape),
        jnp.broadcast_to(episodes.truncated[..., None], reward.shape),
        gamma=backbone.gamma,
        n=backbone.n_step,
    )
    value = values(backbone, critic, state[:-1], agents)
    # Also of who has finished: its last actions are judged by what its team earns yet.
    loss = masked_mean(critic_loss(target, value), lived)
    return loss, jax.lax.stop_gradient(target - value)


def values(
    backbone: Backbone, critic: Critic, state: Float[Array, "T E #N S"], agents: int
) -> Float[Array, "T E N"]:
    """Returns V of a state that is one for all, or of each agent's own."""
    ids = agent_ids(agents)
    if backbone.shared_critic:
        return critic(state, ids)
    state = jnp.broadcast_to(state, (*state.shape[:-2], agents, state.shape[-1]))
    # What a vmap over agents gives back has no feature axis to put agents before.
    judge = jax.vmap(lambda one, x, id: one(x, id), in_axes=(0, -2, -2), out_axes=-1)
    return judge(critic, state, ids)


def policy_loss(
    backbone: Backbone,
    actor: Actor,
    features: Float[Array, "T E N F"],
    advantage: Float[Array, "T E N"],
    episodes: Trajectory,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Returns the mean actor loss, differentiable in the actor, and the entropy."""
    logits = unroll(actor, features, shared=backbone.shared_actor)
    logits = densities.masked_logits(logits, episodes.available)
    log_prob = densities.categorical_log_prob(logits, episodes.action)
    entropy = densities.categorical_entropy(logits)
    if backbone.objective == "ppo":
        loss = clipped_actor_loss(
            log_prob,
            episodes.log_prob,
            advantage,
            entropy,
            clip=backbone.clip,
            entropy_coef=backbone.entropy_coef,
        )
    else:
        loss = actor_loss(
            log_prob, advantage, entropy, entropy_coef=backbone.entropy_coef
        )
    playing = episodes.playing
    return masked_mean(loss, playing), masked_mean(entropy, playing)


def masked_mean(
    x: Float[Array, "T E N"], mask: Bool[Array, "T E #N"]
) -> Float[Array, ""]:
    """Returns the mean over what counts: steps that were lived, agents that played."""
    lived = jnp.broadcast_to(mask, x.shape)
    return jnp.sum(jnp.where(lived, x, 0.0)) / jnp.maximum(jnp.sum(lived), 1)


def improve(
    backbone: Backbone, learn: Callable[[State], tuple[State, Metrics]], state: State
) -> tuple[State, Metrics]:
    """Learns from a batch: once with A2C, `epochs` times with PPO.

    Over the epochs the slow critics stand still, and so do the targets; they follow
    once, at the end. Advantages G − V move with V, as in EPyMARL.
    """
    if backbone.objective == "a2c":
        return learn(state)

    def epoch(now: State, _: None) -> tuple[State, Metrics]:
        wiser, metrics = learn(now)
        held = _judges(lambda old, new: new._replace(slow=old.slow), now, wiser)
        return held, metrics

    state, metrics = jax.lax.scan(epoch, state, length=backbone.epochs)
    state = _judges(lambda judge: judge.follow(backbone), state)
    return state, jax.tree.map(lambda m: m[-1], metrics)


def _judges(change: Callable[..., Judge], *states: State) -> State:
    """Returns the last of the states, with its judges changed by those of all."""

    def leaf(*found: PyTree) -> PyTree:
        return change(*found) if isinstance(found[-1], Judge) else found[-1]

    return jax.tree.map(leaf, *states, is_leaf=lambda x: isinstance(x, Judge))


def improve_actor(
    backbone: Backbone,
    actor: Actor,
    memory: PyTree,
    features: Float[Array, "T E N F"],
    advantage: Float[Array, "T E N"],
    episodes: Trajectory,
) -> tuple[Actor, PyTree, Metrics]:
    """Returns the actors one step wiser, Adam's memory, and what was measured."""
    (loss, entropy), grad = jax.value_and_grad(policy_loss, argnums=1, has_aux=True)(
        backbone, actor, features, advantage, episodes
    )
    actor, memory = backbone.actor_optimiser.descend(grad, memory, actor)
    return actor, memory, {"train/actor_loss": loss, "train/entropy": entropy}
