"""What all teams share: they live through episodes, learn from them, are measured.

Where the task is in JAX all of it is pure. Where it is another library's, episodes are
lived on the host, between compiled pieces: what the team does, and the lesson.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from syntony.systems.system import EvalSamples, Metrics
from syntony.tasks.external.external_env import ExternalEnv
from syntony.tasks.external.rollout import rollout_external
from syntony.tasks.last_action import LastAction
from syntony.tasks.rollout import Policy, Trajectory, rollout, sample_actions
from syntony.tasks.task import Task


@runtime_checkable
class MultiAgentState(Protocol):
    """What a team's state holds, whatever else: its chance, and its clock."""

    @property
    def key(self) -> Key[Array, ""]: ...

    @property
    def env_steps(self) -> Int[Array, ""]: ...


class MultiAgentSystem(ABC):
    """A system of agents that learns in rounds: whole episodes first, then a lesson.

    A learner says how it acts and what it learns; the rest is here.
    """

    task: Task

    @property
    def wrapped_task(self) -> Task:
        """The task as the team sees it."""
        return self.task

    @property
    @abstractmethod
    def num_envs(self) -> int:
        """Episodes lived side by side before each lesson."""

    @abstractmethod
    def policy(self, state: Any) -> Policy:
        """Returns how the team acts."""

    @abstractmethod
    def initial_hidden(self, episodes: int) -> PyTree[Array]:
        """Returns what the policy starts every episode with."""

    @abstractmethod
    def update(
        self, state: Any, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[Any, Metrics]:
        """Returns the state after a lesson; `env_steps` still is that before it."""

    def step(self, state: Any) -> tuple[Any, Metrics]:
        key, rollout_key, lesson_key = jax.random.split(state.key, 3)
        episodes = self.collect_episodes(state, rollout_key, self.num_envs)
        learn = jitted_update if self.has_external_env else type(self).update
        state, metrics = learn(self, state, episodes, lesson_key)
        env_steps = state.env_steps + episodes.num_steps
        metrics |= {"train/return": jnp.mean(episodes.returns)}
        return state._replace(key=key, env_steps=env_steps), metrics

    def diagnose(self, state: Any) -> str:
        """Returns what the task does wrong in the next `step`, in words; '' if nothing.

        For a task in JAX, whose numbers nobody looks at while it is lived in.
        """
        _, rollout_key, _ = jax.random.split(state.key, 3)
        episodes = self.collect_episodes(state, rollout_key, self.num_envs)
        return find_nonfinite(self.task, episodes)

    def collect_episodes(
        self,
        state: Any,
        key: Key[Array, ""],
        episodes: int,
        greedy: Bool[Array, ""] | bool = False,
    ) -> Trajectory:
        """Returns whole episodes of the team as it is."""
        if isinstance(self.task, ExternalEnv):
            abreast = min(episodes, self.num_envs)
            return rollout_external(
                self.task,
                partial(jitted_act, self, state),
                self.initial_hidden(abreast),
                key,
                episodes=episodes,
                num_envs=abreast,
                greedy=greedy,
                last_action=isinstance(self.wrapped_task, LastAction),
            )
        return rollout(
            self.wrapped_task,
            self.policy(state),
            self.initial_hidden(episodes),
            key,
            episodes=episodes,
            greedy=greedy,
        )

    def evaluate(self, state: Any, key: Key[Array, ""], episodes: int) -> EvalSamples:
        """Returns the returns of episodes with sampled and with most likely actions."""

        def lived(chance: tuple[Key[Array, ""], Bool[Array, ""]]) -> tuple[Array, ...]:
            key, greedy = chance
            found = self.collect_episodes(state, key, episodes, greedy)
            return found.returns, jnp.sum(found.valid, axis=0, dtype=jnp.float32)

        chances = jax.random.split(key), jnp.array([False, True])
        if self.has_external_env:
            both = map(lived, zip(*chances, strict=True))
            returns, lengths = map(jnp.stack, zip(*both, strict=True))
        else:
            # A loop of two, so that the rollout is compiled once.
            returns, lengths = jax.lax.map(lived, chances)
        scores = {
            "eval/return_mean": returns[0],
            "eval/return_mean_greedy": returns[1],
            "eval/length_mean": lengths[0],
        }
        if self.task.shared_reward:
            scores["eval/return_mean_per_agent"] = returns[0] / self.task.num_agents
        return scores

    def num_steps(self, state: MultiAgentState) -> Int[Array, ""]:
        return state.env_steps

    def is_done(self, state: MultiAgentState) -> Bool[Array, ""]:
        return jnp.zeros_like(state.env_steps, bool)

    @property
    def has_external_env(self) -> bool:
        """Whether the task is another library's, so that `step` cannot be compiled."""
        return isinstance(self.task, ExternalEnv)

    def as_jittable(self) -> Any:
        if not isinstance(self.task, ExternalEnv):
            return self
        team: Any = self
        return dataclasses.replace(team, task=self.task.shape_only_task())


def find_nonfinite(task: Task, trajectory: Trajectory) -> str:
    """Returns where episodes first hold what is no finite number, in words, or ''."""
    obs, reward, mask = map(
        np.asarray, (trajectory.obs, trajectory.reward, trajectory.valid)
    )
    # At time t stands what step t has led to; at 0, the reset.
    lived = np.concatenate([np.ones_like(mask[:1]), mask])
    wrong = {
        "observation": obs,
        "reward": np.concatenate([np.zeros_like(reward[:1]), reward]),
    }
    wrong = {
        name: ~np.isfinite(x).reshape(*lived.shape, -1).all(-1) & lived
        for name, x in wrong.items()
    }
    found = np.argwhere(wrong["observation"] | wrong["reward"])
    if not len(found):
        return ""
    t, e = found[0]
    what = "reward" if wrong["reward"][t, e] else "observation"
    when = f"step {t}" if t else "reset"
    return f"environment {task.id}, copy {e}, {when}: {what} is not finite"


@contextmanager
def closing_envs(system: Any) -> Iterator[None]:
    """Lets go, in the end, of what the task of a team has opened."""
    try:
        yield
    finally:
        if isinstance(system, MultiAgentSystem) and isinstance(
            system.task, ExternalEnv
        ):
            system.task.env_pool.close()


@jax.jit
def jitted_act(
    system: MultiAgentSystem,
    state: Any,
    obs: Float[Array, "E N O"],
    action_mask: Bool[Array, "E N A"],
    noise: Float[Array, "E N A"],
    hidden: PyTree,
) -> tuple[Int[Array, "E N"], Float[Array, "E N"], PyTree]:
    """Returns the team's actions, ln π of them, and its memory."""
    logits, hidden = system.policy(state)(obs, hidden)
    return *sample_actions(logits, action_mask, noise), hidden


@jax.jit
def jitted_update(
    system: MultiAgentSystem, state: Any, trajectory: Trajectory, key: Key[Array, ""]
) -> tuple[Any, Metrics]:
    """Returns what `team.learn` does, compiled: it crosses no host."""
    return system.update(state, trajectory, key)
