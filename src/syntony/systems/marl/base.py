"""Base of the multi-agent systems: rollouts, evaluation, step counter.

A task in JAX is stepped inside compiled code. An environment of another library is
stepped on the host, between two compiled functions: the policy and the update.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any, Generic, NamedTuple, Protocol, cast, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key
from typing_extensions import TypeVar

from syntony.config import replace_fields
from syntony.errors import InvalidInputError
from syntony.pytrees import HiddenT, PyTree
from syntony.systems.system import EvalSamples, Metrics, start_hidden
from syntony.tasks.last_action import LastAction, LastActionState
from syntony.tasks.rollout import (
    ActFn,
    Policy,
    SteppedOnHost,
    Trajectory,
    rollout,
    sample_actions,
)
from syntony.tasks.task import Task

HUGE_REWARD = 1e15
"""Reward whose square, summed over a batch, comes near the largest 32-bit number."""

StateT = TypeVar("StateT")
HIDDEN_STREAM = 2**31
"""Number by which the key of a hidden state is derived from that of its rollout."""


@runtime_checkable
class MultiAgentState(Protocol):
    """State of a multi-agent system: at least a random key and a step counter."""

    @property
    def key(self) -> Key[Array, ""]: ...

    @property
    def env_steps(self) -> Int[Array, ""]: ...

    def _replace(self: StateT, **changes: object) -> StateT: ...


# `MultiAgentSystem` alone is one of any state: an algorithm need not name its own.
TeamStateT = TypeVar("TeamStateT", bound=MultiAgentState, default=Any)
"""State of a multi-agent system: a NamedTuple."""
SystemT = TypeVar("SystemT", bound="MultiAgentSystem")


class ScoredEpisodes(NamedTuple):
    """Numbers of E evaluated episodes."""

    returns: Float[Array, "*mode E"]
    lengths: Float[Array, "*mode E"]
    own: Float[Array, "*mode E N"]
    """Return of each agent."""
    more: dict[str, Float[Array, "*mode E"]]
    """Further metrics by name."""


class MultiAgentSystem(ABC, Generic[TeamStateT]):
    """A team of agents that alternates rollouts of whole episodes and updates.

    Base of an algorithm of one's own: a subclass is a `pytree_dataclass` with a field
    `task` that says how the agents act (`policy`) and how they learn (`update`). Its
    state is a NamedTuple with at least `key`, a random key, and `env_steps`, an int32
    counter. See docs/how-to/add-an-algorithm.md.
    """

    task: Task
    num_envs: int
    """Environments side by side; each update uses one episode of each."""
    last_action: bool = False
    """Append each agent's last action to its observation."""
    has_black_box_policy: bool = False
    """Whether the policy contains a black box, so that policy and update are called in
    Python: a user's channel."""
    individual_reward: bool = False
    """Whether each agent learns from its own reward: evaluations report them all."""

    step_unit = "environment steps"

    @abstractmethod
    def check(self) -> None:
        """Raises InvalidInputError where a setting is invalid."""

    @abstractmethod
    def init(self, key: Key[Array, ""]) -> TeamStateT:
        """Initial state; the key is consumed."""

    @abstractmethod
    def update(
        self, state: TeamStateT, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[TeamStateT, Metrics]:
        """State after the updates on a batch of episodes; counters do not change."""

    @abstractmethod
    def policy(self, state: TeamStateT) -> Policy:
        """Policy of all agents."""

    @abstractmethod
    def initial_hidden(self, episodes: int) -> PyTree[Array]:
        """Hidden state of the policy at the start of so many episodes."""

    @abstractmethod
    def params(self, state: TeamStateT) -> PyTree[Float[Array, "..."]]:
        """Learned parameters by name."""

    def evaluation_state(self, state: TeamStateT) -> TeamStateT:
        """State whose policy is evaluated, e.g. one with less exploration."""
        return state

    @property
    def observed_task(self) -> Task:
        """The task with the observations that the networks see."""
        return LastAction(task=self.task) if self.last_action else self.task

    def step(self, state: TeamStateT) -> tuple[TeamStateT, Metrics]:
        """State after a rollout of whole episodes and `update`; metrics of both."""
        next_key, rollout_key, update_key = split_step_key(state)
        trajectory = self.collect_episodes(state, rollout_key, self.num_envs)
        state, metrics = self.apply_update(state, trajectory, update_key)
        env_steps = state.env_steps + trajectory.num_steps
        metrics = metrics | {"train/return_mean": jnp.mean(trajectory.returns)}
        # Public in a NamedTuple, whatever its underscore.
        state = state._replace(key=next_key, env_steps=env_steps)  # pyright: ignore[reportPrivateUsage]
        return state, metrics

    def collect_episodes(
        self,
        state: TeamStateT,
        key: Key[Array, ""],
        episodes: int,
        greedy: Bool[Array, ""] | bool = False,
    ) -> Trajectory:
        """Whole episodes of the present policy.

        Args:
            state: state of the system.
            key: random key; it is consumed.
            episodes: E, number of episodes.
            greedy: take the most likely actions instead of sampled ones.
        """
        hidden_key = jax.random.fold_in(key, HIDDEN_STREAM)
        if isinstance(self.task, SteppedOnHost):
            num_envs = min(episodes, self.num_envs)
            return self.task.rollout(
                self.act_fn(state),
                start_hidden(self, hidden_key, num_envs),
                key,
                episodes=episodes,
                num_envs=num_envs,
                greedy=greedy,
                last_action=self.last_action,
            )
        trajectory = rollout(
            self.observed_task,
            self.policy(state),
            start_hidden(self, hidden_key, episodes),
            key,
            episodes=episodes,
            greedy=greedy,
            on_host=not self.jittable,
        )
        # Readers of a trajectory know the states of the task alone.
        if self.last_action:
            wrapped = cast(LastActionState, trajectory.state)
            trajectory = trajectory._replace(state=wrapped.task_state)
        return trajectory

    def act_fn(self, state: TeamStateT) -> ActFn[PyTree[Array]]:
        """Acting beside an environment on the host, compiled if that is possible."""
        if not self.has_black_box_policy:
            return partial(jitted_act, self, state)
        policy = self.policy(state)

        def act(
            obs: Array, action_mask: Array, noise: Array, hidden: PyTree[Array]
        ) -> tuple[Array, Array, PyTree[Array]]:
            logits, hidden = policy(jnp.asarray(obs), hidden)
            return *jitted_sample(logits, action_mask, noise), hidden

        return act

    def apply_update(
        self, state: TeamStateT, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[TeamStateT, Metrics]:
        """`update`, compiled by itself where only the task is a black box."""
        if not (self.jittable or self.has_black_box_policy):
            return jitted_update(self, state, trajectory, key)
        return self.update(state, trajectory, key)

    def evaluate(
        self, state: TeamStateT, key: Key[Array, ""], episodes: int
    ) -> EvalSamples:
        """Episode returns and lengths, with sampled and with greedy actions.

        Returns are the team's, and with individual rewards also each agent's.
        """
        state = self.evaluation_state(state)

        def score(mode: tuple[Key[Array, ""], Bool[Array, ""]]) -> ScoredEpisodes:
            key, greedy = mode
            trajectory = self.collect_episodes(state, key, episodes, greedy)
            return ScoredEpisodes(
                returns=trajectory.returns,
                lengths=jnp.sum(trajectory.valid, axis=0, dtype=jnp.float32),
                own=jnp.sum(trajectory.reward, axis=0),
                more=self.episode_metrics(state, trajectory),
            )

        modes = jax.random.split(key), jnp.array([False, True])
        if not self.jittable:
            both = [score(mode) for mode in zip(*modes, strict=True)]
            scored = jax.tree.map(lambda *x: jnp.stack(x), *both)
        else:
            # A loop of two, so that the rollout is compiled once.
            scored = jax.lax.map(score, modes)
        returns, lengths, own, more = scored
        samples = {
            "eval/return_mean": returns[0],
            "eval/return_mean_greedy": returns[1],
            "eval/length_mean": lengths[0],
        }
        if self.task.shared_reward:
            samples["eval/return_mean_per_agent"] = returns[0] / self.task.num_agents
        if self.individual_reward:
            names = [f"eval/return_mean_agent_{i}" for i in range(own.shape[-1])]
            samples |= dict(zip(names, jnp.moveaxis(own[0], -1, 0), strict=True))
        return samples | {name: x[0] for name, x in more.items()}

    def episode_metrics(
        self, state: TeamStateT, trajectory: Trajectory
    ) -> dict[str, Float[Array, " E"]]:
        """More metrics of an evaluation, one value for each episode; none by default.

        Args:
            state: the state that acted.
            trajectory: episodes with sampled actions.
        """
        del state, trajectory
        return {}

    def diagnose(self, state: TeamStateT) -> str:
        """Error of the task in the next `step`, in words; empty if there is none.

        For tasks in JAX, whose numbers are not looked at during a rollout; those of an
        external environment are.
        """
        if not self.jittable:
            return ""
        _, rollout_key, _ = split_step_key(state)
        trajectory = self.collect_episodes(state, rollout_key, self.num_envs)
        return find_nonfinite(self.task, trajectory) or find_huge_reward(
            self.task, trajectory
        )

    def num_steps(self, state: MultiAgentState) -> Int[Array, ""]:
        """Environment steps so far."""
        return state.env_steps

    def is_done(self, state: MultiAgentState) -> Bool[Array, ""]:
        """Always false: training ends at `--steps`."""
        return jnp.zeros_like(state.env_steps, bool)

    @property
    def jittable(self) -> bool:
        """Whether `step` can be compiled: task and policy contain no black box."""
        return not (isinstance(self.task, SteppedOnHost) or self.has_black_box_policy)

    def close(self) -> None:
        """Closes the open environments of an external task."""
        if isinstance(self.task, SteppedOnHost):
            self.task.close()

    def with_task(self: SystemT, task: Task) -> SystemT:
        """The same team in another task.

        Raises:
            InvalidInputError: the task has other shapes.
        """
        shapes = ("num_agents", "num_actions", "obs_dim")
        old, new = ([getattr(t, name) for name in shapes] for t in (self.task, task))
        if old != new:
            description = "{} agents, {} actions and observations of {}"
            raise InvalidInputError(
                f"{task.id} has {description.format(*new)}; "
                f"expected those of {self.task.id}: {description.format(*old)}"
            )
        return replace_fields(self, task=task)

    def as_jittable(self: SystemT) -> SystemT:
        """System of the same shapes whose `step` can be compiled."""
        if self.jittable:
            return self
        task = self.task
        if isinstance(task, SteppedOnHost):
            task = task.shape_only_task()
        return replace_fields(self, task=task, **self.jittable_fields())

    def jittable_fields(self) -> Mapping[str, object]:
        """Fields of the policy without its black boxes, for `as_jittable`."""
        return {}


def split_step_key(
    state: MultiAgentState,
) -> tuple[Key[Array, ""], Key[Array, ""], Key[Array, ""]]:
    """Keys of the next state, of a step's rollout and of its update."""
    next_key, rollout_key, update_key = jax.random.split(state.key, 3)
    return next_key, rollout_key, update_key


def find_nonfinite(task: Task, trajectory: Trajectory) -> str:
    """Place of the first non-finite number, in words; empty if there is none."""
    obs, reward, valid = map(
        np.asarray, (trajectory.obs, trajectory.reward, trajectory.valid)
    )
    # Index t holds what step t has led to, index 0 what the reset has.
    valid = np.concatenate([np.ones_like(valid[:1]), valid])
    values = {
        "observation": obs,
        "reward": np.concatenate([np.zeros_like(reward[:1]), reward]),
    }
    nonfinite = {
        name: ~np.isfinite(x).reshape(*valid.shape, -1).all(-1) & valid
        for name, x in values.items()
    }
    places = np.argwhere(nonfinite["observation"] | nonfinite["reward"])
    if not len(places):
        return ""
    t, e = places[0]
    what = "reward" if nonfinite["reward"][t, e] else "observation"
    when = f"step {t}" if t else "reset"
    return f"environment {task.id}, copy {e}, {when}: {what} is not finite"


def find_huge_reward(task: Task, trajectory: Trajectory) -> str:
    """The largest reward, in words, if numbers of that size overflow; else empty."""
    counts = np.asarray(trajectory.valid)[..., None]
    largest = float(
        np.max(np.abs(np.asarray(trajectory.reward)), where=counts, initial=0)
    )
    if largest < HUGE_REWARD:
        return ""
    return (
        f"environment {task.id}: the largest reward is {largest:.3g}, too large for "
        f"32-bit numbers; expected less than {HUGE_REWARD:.0e}, e.g. after a division "
        "by a constant"
    )


@jax.jit
def jitted_act(
    system: MultiAgentSystem[TeamStateT],
    state: TeamStateT,
    obs: Float[Array, "E N O"],
    action_mask: Bool[Array, "E N A"],
    noise: Float[Array, "E N A"],
    hidden: HiddenT,
) -> tuple[Int[Array, "E N"], Float[Array, "E N"], HiddenT]:
    """Actions of all agents, ln π of them, and the next hidden state."""
    logits, hidden = system.policy(state)(obs, hidden)
    return *sample_actions(logits, action_mask, noise), hidden


jitted_sample = jax.jit(sample_actions)


@jax.jit
def jitted_update(
    system: MultiAgentSystem[TeamStateT],
    state: TeamStateT,
    trajectory: Trajectory,
    key: Key[Array, ""],
) -> tuple[TeamStateT, Metrics]:
    """`system.update`, compiled; it steps no environment."""
    return system.update(state, trajectory, key)
