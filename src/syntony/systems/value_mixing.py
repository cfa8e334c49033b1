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

from syntony.equations import values
from syntony.equations.densities import chosen
from syntony.equations.moments import (
    Moments,
    initial_moments,
    standardise,
    update_moments,
)
from syntony.equations.returns import critic_loss
from syntony.errors import BadInput
from syntony.networks.agents import Actor, team
from syntony.networks.mixers import Additive, Mixer, Monotonic
from syntony.optim import Adam
from syntony.record import check_choices, record
from syntony.systems.actor_critic import act, masked_mean, unroll
from syntony.systems.recalling import RecallingTeam
from syntony.systems.replay import (
    Batch,
    Precision,
    Replay,
    blank_replay,
    draw,
    remember,
)
from syntony.systems.system import Metrics, Samples
from syntony.systems.team import Team
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task

Networks = tuple[Actor, Mixer]
"""The agents, whose numbers are values here, and the mixer."""
Memory = tuple[Float[Array, "E N H"], Int[Array, ""]]
"""The agents' hidden state, and the time."""


@record
class Learning:
    """Constants of the value learner."""

    environments: int = 10
    """Episodes lived side by side before each lesson."""
    hidden: int = 64
    """Width of the agents' networks."""
    shared_actor: bool = True
    """One network for all agents, told apart by a one-hot id; or one for each."""
    gamma: float = 0.99
    """Discount of a step."""
    learning_rate: float = 5e-4
    """Learning rate of the agents and the mixer (Adam)."""
    max_norm: float = 10.0
    """Largest gradient norm of the agents and the mixer."""
    standardise_rewards: bool = True
    """Learn from rewards of zero mean and unit variance."""
    epsilon_start: float = 1.0
    """Chance of a random action at the start."""
    epsilon_end: float = 0.05
    """Chance of a random action once annealed."""
    epsilon_anneal: int = 50_000
    """Environment steps from the one to the other."""
    evaluation_epsilon: float = 0.0
    """Chance of a random action while the team is measured."""
    replay: int = 5_000
    """Episodes that are remembered."""
    precision: Precision = "single"
    """Of the remembered observations; half takes half the memory."""
    batch: int = 32
    """Episodes in a step of descent; none before so many are remembered."""
    episodes_per_descent: int = 1
    """Episodes lived for each step of descent."""
    slow: Literal["hard", "soft"] = "hard"
    """Let the slow copy jump after the networks, or follow them."""
    slow_every: int = 200
    """Descents from copy to copy, if hard."""
    polyak: float = 0.01
    """Share of the networks that the slow copy takes over after each one, if soft."""
    mixer_width: int = 32
    """Hidden units of a monotonic mixer."""
    hyper_width: int = 64
    """Hidden units of its hypernetworks."""

    def check(self) -> None:
        """Raises BadInput where a constant makes no sense."""
        check_choices(self)
        counts = ("environments", "hidden", "epsilon_anneal", "replay", "batch")
        widths = ("episodes_per_descent", "slow_every", "mixer_width", "hyper_width")
        for name in (*counts, *widths):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} is {getattr(self, name)}; expected at least 1")
        chances = ("epsilon_start", "epsilon_end", "evaluation_epsilon")
        for name in (*chances, "gamma", "polyak"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise BadInput(f"{name} is {getattr(self, name)}; expected 0 to 1")
        for name in ("learning_rate", "max_norm"):
            if not getattr(self, name) >= 0.0:
                raise BadInput(f"{name} is {getattr(self, name)}; expected 0 or more")
        if self.environments % self.episodes_per_descent:
            raise BadInput(
                f"episodes_per_descent is {self.episodes_per_descent}; expected a "
                f"divisor of environments, which is {self.environments}"
            )
        if self.replay < max(self.batch, self.environments):
            raise BadInput(
                f"replay is {self.replay}; expected at least batch and environments, "
                f"{max(self.batch, self.environments)}"
            )

    @property
    def descents(self) -> int:
        """Steps of descent in a lesson."""
        return self.environments // self.episodes_per_descent

    @property
    def optimiser(self) -> Adam:
        return Adam(learning_rate=self.learning_rate, max_norm=self.max_norm)


class Learner(NamedTuple):
    """What a step of descent changes."""

    networks: Networks
    slow: Networks
    """The copy that targets are made of."""
    memory: PyTree
    """Adam's."""
    descents: Int[Array, ""]
    loss: Float[Array, ""]
    """The newest; zero before the first."""


class ValueState(NamedTuple):
    """All that training changes."""

    learner: Learner
    replay: Replay
    rewards: Moments
    epsilon: Float[Array, ""]
    """Chance of a random action in the next episodes."""
    coins: Key[Array, ""]
    """Says where in the next episodes actions are random."""
    key: Key[Array, ""]
    env_steps: Int[Array, ""]


@record
class ValueMixing(RecallingTeam):
    """Settings of a team that mixes values, and what it can do."""

    task: Task
    """The world to learn in; see: syntony list tasks."""
    learning: Learning = Learning()
    mixing: Literal["sum", "monotonic"] = "monotonic"
    """How the agents' values become the team's: VDN's way, or QMIX's."""
    last_action: bool = False
    """Show each agent, beside what it observes, what it did last."""

    def check(self) -> None:
        """Raises BadInput where a setting makes no sense."""
        self.learning.check()
        check_choices(self)

    @property
    def environments(self) -> int:
        return self.learning.environments

    def init(self, key: Key[Array, ""]) -> ValueState:
        agents_key, mixer_key, coins_key, run_key = jax.random.split(key, 4)
        networks = self.agents(agents_key), self.mixer(mixer_key)
        settings = self.learning
        return ValueState(
            learner=Learner(
                networks=networks,
                # A copy, so that no buffer of a donated state appears twice.
                slow=jax.tree.map(jnp.copy, networks),
                memory=settings.optimiser.init(networks),
                descents=jnp.zeros((), jnp.int32),
                loss=jnp.zeros(()),
            ),
            replay=blank_replay(self.world, settings.replay, settings.precision),
            rewards=initial_moments(()),
            epsilon=jnp.zeros(()) + settings.epsilon_start,
            coins=coins_key,
            key=run_key,
            env_steps=jnp.zeros((), jnp.int32),
        )

    def agents(self, key: Key[Array, ""]) -> Actor:
        """Returns new agents: one network, or one for each."""
        world, settings = self.world, self.learning

        def make(key: Key[Array, ""]) -> Actor:
            features = world.obs_size + world.agents
            return Actor(features, settings.hidden, world.actions, key=key)

        return make(key) if settings.shared_actor else team(make, world.agents, key)

    def mixer(self, key: Key[Array, ""]) -> Mixer:
        """Returns a new mixer of joint states."""
        if self.mixing == "sum":
            return Additive()
        agents, settings = self.world.agents, self.learning
        size = agents * self.world.obs_size
        widths = settings.mixer_width, settings.hyper_width
        return Monotonic(agents, size, *widths, key=key)

    def policy(self, state: ValueState) -> Policy:
        agents, _ = state.learner.networks
        shared = self.learning.shared_actor

        def policy(
            obs: Float[Array, "E N O"], memory: Memory
        ) -> tuple[Float[Array, "E N A"], Memory]:
            hidden, time = memory
            worth, hidden = act(agents, obs, hidden, shared=shared)
            luck = jax.random.fold_in(state.coins, time)
            explore = jax.random.bernoulli(luck, state.epsilon, worth.shape[:-1])
            return values.epsilon_greedy_logits(worth, explore), (hidden, time + 1)

        return policy

    def memory(self, episodes: int) -> Memory:
        hidden = jnp.zeros((episodes, self.world.agents, self.learning.hidden))
        return hidden, jnp.zeros((), jnp.int32)

    def learn(
        self, state: ValueState, episodes: Trajectory, key: Key[Array, ""]
    ) -> tuple[ValueState, Metrics]:
        coins_key, lesson_key = jax.random.split(key)
        settings, replay = self.learning, remember(state.replay, episodes)
        reward = jnp.sum(episodes.reward, axis=-1)
        rewards = update_moments(state.rewards, reward, episodes.mask)

        def descend(i: Int[Array, ""], learner: Learner) -> Learner:
            batch = draw(replay, jax.random.fold_in(lesson_key, i), settings.batch)
            if settings.standardise_rewards:
                batch = batch._replace(reward=standardise(rewards, batch.reward))
            return self.descend(learner, batch)

        enough = replay.filled >= settings.batch
        descents = jnp.where(enough, settings.descents, 0)
        learner = jax.lax.fori_loop(0, descents, descend, state.learner)
        epsilon = values.epsilon(
            state.env_steps + episodes.steps,
            start=settings.epsilon_start,
            end=settings.epsilon_end,
            anneal=settings.epsilon_anneal,
        )
        metrics = {"train/td_loss": learner.loss, "train/epsilon": state.epsilon}
        return state._replace(
            learner=learner,
            replay=replay,
            rewards=rewards,
            epsilon=epsilon,
            coins=coins_key,
        ), metrics

    def descend(self, learner: Learner, batch: Batch) -> Learner:
        """Returns wiser agents and mixer, and the slow copy where it should be."""
        settings = self.learning
        loss, grad = jax.value_and_grad(self.loss)(
            learner.networks, learner.slow, batch
        )
        networks, memory = settings.optimiser.descend(
            grad, learner.memory, learner.networks
        )
        descents = learner.descents + 1
        share = settings.polyak
        if settings.slow == "hard":
            share = jnp.where(descents % settings.slow_every == 0, 1.0, 0.0)
        slow = jax.tree.map(
            lambda s, n: (1.0 - share) * s + share * n, learner.slow, networks
        )
        return Learner(networks, slow, memory, descents, loss)

    def loss(
        self, networks: Networks, slow: Networks, batch: Batch
    ) -> Float[Array, ""]:
        """Returns the mean (y − Q_tot)² over all lived steps.

        Who has finished early adds nothing to Q_tot.
        """
        (agents, mixer), (slow_agents, slow_mixer) = networks, slow
        shared = self.learning.shared_actor
        worth = unroll(agents, batch.obs, shared=shared)
        slow_worth = unroll(slow_agents, batch.obs, shared=shared)
        joint = batch.obs.reshape(*batch.obs.shape[:2], -1)
        taken = jnp.where(batch.playing, chosen(worth[:-1], batch.action), 0.0)
        total = mixer(taken, joint[:-1])

        # What is available after the last step was never asked: take what was last.
        available = jnp.concatenate([batch.available[1:], batch.available[-1:]])
        best = values.double_q(worth[1:], slow_worth[1:], available)
        target = values.td_target(
            batch.reward,
            slow_mixer(jnp.where(playing_next(batch), best, 0.0), joint[1:]),
            batch.terminated,
            gamma=self.learning.gamma,
        )
        return masked_mean(critic_loss(target, total)[..., None], batch.mask[..., None])

    def evaluate(
        self, state: ValueState, key: Key[Array, ""], episodes: int
    ) -> Samples:
        chance = jnp.zeros_like(state.epsilon) + self.learning.evaluation_epsilon
        return Team.evaluate(self, state._replace(epsilon=chance), key, episodes)

    def weights(self, state: ValueState) -> PyTree[Float[Array, "..."]]:
        agents, mixer = state.learner.networks
        return {"agents": agents, "mixer": mixer}


def playing_next(batch: Batch) -> Bool[Array, "T B N"]:
    """Returns who plays in the step that follows each; after the last, as in that."""
    none = jnp.zeros_like(batch.mask[:1])
    follows = jnp.concatenate([batch.mask[1:], none])[..., None]
    later = jnp.concatenate([batch.playing[1:], batch.playing[-1:]])
    return jnp.where(follows, later, batch.playing)
