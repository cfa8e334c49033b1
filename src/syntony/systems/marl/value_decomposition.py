"""Value mixing: agents that value their actions, and a mixer that makes them a team's.

VDN and QMIX are this record with one mixer or the other. One step of learning:

    live whole episodes; each agent takes its best action, or any with probability ε
    remember them; then, once for each episode lived, with 32 episodes of the replay:
        y ← r + γ Q'_tot(s', a'), a'_i = argmax_a Q_i(h'_i, a); r alone at a terminal
        descend (y − Q_tot(s, a))² in the agents and in the mixer
    every 200 descents: Q' ← Q

Source: Sunehag et al., AAMAS 2018; Rashid et al., ICML 2018; as benchmarked by
    Papoudakis et al., NeurIPS 2021. Constants: EPyMARL's `vdn.yaml` and `qmix.yaml`.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from syntony.config import check_literals, pytree_dataclass
from syntony.equations import values
from syntony.equations.distributions import take_along_action
from syntony.equations.returns import critic_loss
from syntony.equations.running_stats import (
    RunningMeanStd,
    init_running_mean_std,
    normalize,
    update_running_mean_std,
)
from syntony.errors import InvalidInputError
from syntony.networks.agents import Actor, init_per_agent
from syntony.networks.mixers import Mixer, QMIXMixer, VDNMixer
from syntony.optim import Adam
from syntony.systems.marl.actor_critic import act, masked_mean, unroll
from syntony.systems.marl.base import MultiAgentSystem
from syntony.systems.marl.recalling import LastActionSystem
from syntony.systems.marl.replay_buffer import (
    EpisodeBatch,
    ObsDtype,
    ReplayBuffer,
    add_episodes,
    init_buffer,
    sample_episodes,
)
from syntony.systems.system import EvalSamples, Metrics
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task

Networks = tuple[Actor, Mixer]
"""The agents, whose numbers are values here, and the mixer."""
RecurrentState = tuple[Float[Array, "E N H"], Int[Array, ""]]
"""The agents' hidden state, and the time."""


@pytree_dataclass
class QLearningConfig:
    """Constants of the value learner."""

    num_envs: int = 10
    """Episodes lived side by side before each lesson."""
    hidden: int = 64
    """Width of the agents' networks."""
    shared_actor: bool = True
    """One network for all agents, told apart by a one-hot id; or one for each."""
    gamma: float = 0.99
    """Discount of a step."""
    learning_rate: float = 5e-4
    """Learning rate of the agents and the mixer (Adam)."""
    max_grad_norm: float = 10.0
    """Largest gradient norm of the agents and the mixer."""
    normalize_rewards: bool = True
    """Learn from rewards of zero mean and unit variance."""
    epsilon_start: float = 1.0
    """Chance of a random action at the start."""
    epsilon_end: float = 0.05
    """Chance of a random action once annealed."""
    epsilon_anneal_steps: int = 50_000
    """Environment steps from the one to the other."""
    evaluation_epsilon: float = 0.0
    """Chance of a random action while the team is measured."""
    buffer_size: int = 5_000
    """Episodes that are remembered."""
    obs_dtype: ObsDtype = "float32"
    """Of the remembered observations; half takes half the memory."""
    batch_size: int = 32
    """Episodes in a step of descent; none before so many are remembered."""
    episodes_per_update: int = 1
    """Episodes lived for each step of descent."""
    target_update: Literal["hard", "soft"] = "hard"
    """Let the slow copy jump after the networks, or follow them."""
    target_update_interval: int = 200
    """Descents from copy to copy, if hard."""
    target_tau: float = 0.01
    """Share of the networks that the slow copy takes over after each one, if soft."""
    mixing_embed_dim: int = 32
    """Hidden units of a monotonic mixer."""
    hypernet_embed_dim: int = 64
    """Hidden units of its hypernetworks."""

    def check(self) -> None:
        """Raises BadInput where a constant makes no sense."""
        check_literals(self)
        counts = (
            "num_envs",
            "hidden",
            "epsilon_anneal_steps",
            "buffer_size",
            "batch_size",
        )
        widths = (
            "episodes_per_update",
            "target_update_interval",
            "mixing_embed_dim",
            "hypernet_embed_dim",
        )
        for name in (*counts, *widths):
            if getattr(self, name) < 1:
                raise InvalidInputError(
                    f"{name} is {getattr(self, name)}; expected at least 1"
                )
        chances = ("epsilon_start", "epsilon_end", "evaluation_epsilon")
        for name in (*chances, "gamma", "target_tau"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidInputError(
                    f"{name} is {getattr(self, name)}; expected 0 to 1"
                )
        for name in ("learning_rate", "max_grad_norm"):
            if not getattr(self, name) >= 0.0:
                raise InvalidInputError(
                    f"{name} is {getattr(self, name)}; expected 0 or more"
                )
        if self.num_envs % self.episodes_per_update:
            raise InvalidInputError(
                f"episodes_per_update is {self.episodes_per_update}; expected a "
                f"divisor of num_envs, which is {self.num_envs}"
            )
        if self.buffer_size < max(self.batch_size, self.num_envs):
            raise InvalidInputError(
                f"buffer_size is {self.buffer_size}; expected at least batch_size and num_envs, "
                f"{max(self.batch_size, self.num_envs)}"
            )

    @property
    def updates_per_step(self) -> int:
        """Steps of descent in a lesson."""
        return self.num_envs // self.episodes_per_update

    @property
    def optimizer(self) -> Adam:
        return Adam(learning_rate=self.learning_rate, max_grad_norm=self.max_grad_norm)


class LearnerState(NamedTuple):
    """What a step of descent changes."""

    networks: Networks
    target_networks: Networks
    """The copy that targets are made of."""
    opt_state: PyTree
    """Adam's."""
    num_updates: Int[Array, ""]
    loss: Float[Array, ""]
    """The newest; zero before the first."""


class ValueDecompositionState(NamedTuple):
    """All that training changes."""

    learner: LearnerState
    replay_buffer: ReplayBuffer
    reward_stats: RunningMeanStd
    epsilon: Float[Array, ""]
    """Chance of a random action in the next episodes."""
    explore_key: Key[Array, ""]
    """Says where in the next episodes actions are random."""
    key: Key[Array, ""]
    env_steps: Int[Array, ""]


@pytree_dataclass
class ValueDecomposition(LastActionSystem):
    """Settings of a team that mixes values, and what it can do."""

    task: Task
    """The world to learn in; see: syntony list tasks."""
    q_learning: QLearningConfig = QLearningConfig()
    mixing: Literal["sum", "monotonic"] = "monotonic"
    """How the agents' values become the team's: VDN's way, or QMIX's."""
    last_action: bool = False
    """Show each agent, beside what it observes, what it did last."""

    def check(self) -> None:
        """Raises BadInput where a setting makes no sense."""
        self.q_learning.check()
        check_literals(self)

    @property
    def num_envs(self) -> int:
        return self.q_learning.num_envs

    def init(self, key: Key[Array, ""]) -> ValueDecompositionState:
        agents_key, mixer_key, coins_key, run_key = jax.random.split(key, 4)
        networks = self.init_agents(agents_key), self.init_mixer(mixer_key)
        settings = self.q_learning
        return ValueDecompositionState(
            learner=LearnerState(
                networks=networks,
                # A copy, so that no buffer of a donated state appears twice.
                target_networks=jax.tree.map(jnp.copy, networks),
                opt_state=settings.optimizer.init(networks),
                num_updates=jnp.zeros((), jnp.int32),
                loss=jnp.zeros(()),
            ),
            replay_buffer=init_buffer(
                self.wrapped_task, settings.buffer_size, settings.obs_dtype
            ),
            reward_stats=init_running_mean_std(()),
            epsilon=jnp.zeros(()) + settings.epsilon_start,
            explore_key=coins_key,
            key=run_key,
            env_steps=jnp.zeros((), jnp.int32),
        )

    def init_agents(self, key: Key[Array, ""]) -> Actor:
        """Returns new agents: one network, or one for each."""
        world, settings = self.wrapped_task, self.q_learning

        def make(key: Key[Array, ""]) -> Actor:
            features = world.obs_dim + world.num_agents
            return Actor(features, settings.hidden, world.num_actions, key=key)

        return (
            make(key)
            if settings.shared_actor
            else init_per_agent(make, world.num_agents, key)
        )

    def init_mixer(self, key: Key[Array, ""]) -> Mixer:
        """Returns a new mixer of joint states."""
        if self.mixing == "sum":
            return VDNMixer()
        agents, settings = self.wrapped_task.num_agents, self.q_learning
        size = agents * self.wrapped_task.obs_dim
        widths = settings.mixing_embed_dim, settings.hypernet_embed_dim
        return QMIXMixer(agents, size, *widths, key=key)

    def policy(self, state: ValueDecompositionState) -> Policy:
        agents, _ = state.learner.networks
        shared = self.q_learning.shared_actor

        def policy(
            obs: Float[Array, "E N O"], memory: RecurrentState
        ) -> tuple[Float[Array, "E N A"], RecurrentState]:
            hidden, time = memory
            worth, hidden = act(agents, obs, hidden, shared=shared)
            luck = jax.random.fold_in(state.explore_key, time)
            explore = jax.random.bernoulli(luck, state.epsilon, worth.shape[:-1])
            return values.epsilon_greedy_logits(worth, explore), (hidden, time + 1)

        return policy

    def initial_hidden(self, episodes: int) -> RecurrentState:
        hidden = jnp.zeros(
            (episodes, self.wrapped_task.num_agents, self.q_learning.hidden)
        )
        return hidden, jnp.zeros((), jnp.int32)

    def update(
        self,
        state: ValueDecompositionState,
        trajectory: Trajectory,
        key: Key[Array, ""],
    ) -> tuple[ValueDecompositionState, Metrics]:
        coins_key, lesson_key = jax.random.split(key)
        settings, replay = (
            self.q_learning,
            add_episodes(state.replay_buffer, trajectory),
        )
        reward = jnp.sum(trajectory.reward, axis=-1)
        rewards = update_running_mean_std(state.reward_stats, reward, trajectory.valid)

        def descend(i: Int[Array, ""], learner: LearnerState) -> LearnerState:
            batch = sample_episodes(
                replay, jax.random.fold_in(lesson_key, i), settings.batch_size
            )
            if settings.normalize_rewards:
                batch = batch._replace(reward=normalize(rewards, batch.reward))
            return self.gradient_step(learner, batch)

        enough = replay.size >= settings.batch_size
        descents = jnp.where(enough, settings.updates_per_step, 0)
        learner = jax.lax.fori_loop(0, descents, descend, state.learner)
        epsilon = values.linear_epsilon(
            state.env_steps + trajectory.num_steps,
            start=settings.epsilon_start,
            end=settings.epsilon_end,
            anneal_steps=settings.epsilon_anneal_steps,
        )
        metrics = {"train/td_loss": learner.loss, "train/epsilon": state.epsilon}
        return state._replace(
            learner=learner,
            replay_buffer=replay,
            reward_stats=rewards,
            epsilon=epsilon,
            explore_key=coins_key,
        ), metrics

    def gradient_step(self, learner: LearnerState, batch: EpisodeBatch) -> LearnerState:
        """Returns wiser agents and mixer, and the slow copy where it should be."""
        settings = self.q_learning
        loss, grad = jax.value_and_grad(self.td_loss)(
            learner.networks, learner.target_networks, batch
        )
        networks, memory = settings.optimizer.apply_gradients(
            grad, learner.opt_state, learner.networks
        )
        descents = learner.num_updates + 1
        share = settings.target_tau
        if settings.target_update == "hard":
            share = jnp.where(descents % settings.target_update_interval == 0, 1.0, 0.0)
        slow = jax.tree.map(
            lambda s, n: (1.0 - share) * s + share * n,
            learner.target_networks,
            networks,
        )
        return LearnerState(networks, slow, memory, descents, loss)

    def td_loss(
        self, networks: Networks, target_networks: Networks, batch: EpisodeBatch
    ) -> Float[Array, ""]:
        """Returns the mean (y − Q_tot)² over all lived steps.

        Who has finished early adds nothing to Q_tot.
        """
        (agents, mixer), (slow_agents, slow_mixer) = networks, target_networks
        shared = self.q_learning.shared_actor
        worth = unroll(agents, batch.obs, shared=shared)
        slow_worth = unroll(slow_agents, batch.obs, shared=shared)
        joint = batch.obs.reshape(*batch.obs.shape[:2], -1)
        taken = jnp.where(batch.alive, take_along_action(worth[:-1], batch.action), 0.0)
        total = mixer(taken, joint[:-1])

        # What is available after the last step was never asked: take what was last.
        available = jnp.concatenate([batch.action_mask[1:], batch.action_mask[-1:]])
        best = values.double_q_value(worth[1:], slow_worth[1:], available)
        target = values.td_target(
            batch.reward,
            slow_mixer(jnp.where(next_alive(batch), best, 0.0), joint[1:]),
            batch.terminated,
            gamma=self.q_learning.gamma,
        )
        return masked_mean(
            critic_loss(target, total)[..., None], batch.valid[..., None]
        )

    def evaluate(
        self, state: ValueDecompositionState, key: Key[Array, ""], episodes: int
    ) -> EvalSamples:
        chance = jnp.zeros_like(state.epsilon) + self.q_learning.evaluation_epsilon
        return MultiAgentSystem.evaluate(
            self, state._replace(epsilon=chance), key, episodes
        )

    def params(self, state: ValueDecompositionState) -> PyTree[Float[Array, "..."]]:
        agents, mixer = state.learner.networks
        return {"agents": agents, "mixer": mixer}


def next_alive(batch: EpisodeBatch) -> Bool[Array, "T B N"]:
    """Returns who plays in the step that follows each; after the last, as in that."""
    none = jnp.zeros_like(batch.valid[:1])
    follows = jnp.concatenate([batch.valid[1:], none])[..., None]
    later = jnp.concatenate([batch.alive[1:], batch.alive[-1:]])
    return jnp.where(follows, later, batch.alive)
