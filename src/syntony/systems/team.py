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

from syntony.systems.system import Metrics, Samples
from syntony.tasks.host import Host
from syntony.tasks.host_rollout import live_on_host
from syntony.tasks.last_action import LastAction
from syntony.tasks.rollout import Policy, Trajectory, choose, rollout
from syntony.tasks.task import Task


@runtime_checkable
class TeamState(Protocol):
    """What a team's state holds, whatever else: its chance, and its clock."""

    @property
    def key(self) -> Key[Array, ""]: ...

    @property
    def env_steps(self) -> Int[Array, ""]: ...


class Team(ABC):
    """A system of agents that learns in rounds: whole episodes first, then a lesson.

    A learner says how it acts and what it learns; the rest is here.
    """

    task: Task

    @property
    def world(self) -> Task:
        """The task as the team sees it."""
        return self.task

    @property
    @abstractmethod
    def environments(self) -> int:
        """Episodes lived side by side before each lesson."""

    @abstractmethod
    def policy(self, state: Any) -> Policy:
        """Returns how the team acts."""

    @abstractmethod
    def memory(self, episodes: int) -> PyTree[Array]:
        """Returns what the policy starts every episode with."""

    @abstractmethod
    def learn(
        self, state: Any, episodes: Trajectory, key: Key[Array, ""]
    ) -> tuple[Any, Metrics]:
        """Returns the state after a lesson; `env_steps` still is that before it."""

    def step(self, state: Any) -> tuple[Any, Metrics]:
        key, rollout_key, lesson_key = jax.random.split(state.key, 3)
        episodes = self.live(state, rollout_key, self.environments)
        learn = learned if self.on_host else type(self).learn
        state, metrics = learn(self, state, episodes, lesson_key)
        env_steps = state.env_steps + episodes.steps
        metrics |= {"train/return": jnp.mean(episodes.returns)}
        return state._replace(key=key, env_steps=env_steps), metrics

    def fault(self, state: Any) -> str:
        """Returns what the task does wrong in the next `step`, in words; '' if nothing.

        For a task in JAX, whose numbers nobody looks at while it is lived in.
        """
        _, rollout_key, _ = jax.random.split(state.key, 3)
        episodes = self.live(state, rollout_key, self.environments)
        return not_finite(self.task, episodes)

    def live(
        self,
        state: Any,
        key: Key[Array, ""],
        episodes: int,
        greedy: Bool[Array, ""] | bool = False,
    ) -> Trajectory:
        """Returns whole episodes of the team as it is."""
        if isinstance(self.task, Host):
            abreast = min(episodes, self.environments)
            return live_on_host(
                self.task,
                partial(acted, self, state),
                self.memory(abreast),
                key,
                episodes=episodes,
                abreast=abreast,
                greedy=greedy,
                last_action=isinstance(self.world, LastAction),
            )
        return rollout(
            self.world,
            self.policy(state),
            self.memory(episodes),
            key,
            episodes=episodes,
            greedy=greedy,
        )

    def evaluate(self, state: Any, key: Key[Array, ""], episodes: int) -> Samples:
        """Returns the returns of episodes with sampled and with most likely actions."""

        def lived(chance: tuple[Key[Array, ""], Bool[Array, ""]]) -> tuple[Array, ...]:
            key, greedy = chance
            found = self.live(state, key, episodes, greedy)
            return found.returns, jnp.sum(found.mask, axis=0, dtype=jnp.float32)

        chances = jax.random.split(key), jnp.array([False, True])
        if self.on_host:
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
            scores["eval/return_mean_per_agent"] = returns[0] / self.task.agents
        return scores

    def progress(self, state: TeamState) -> Int[Array, ""]:
        return state.env_steps

    def done(self, state: TeamState) -> Bool[Array, ""]:
        return jnp.zeros_like(state.env_steps, bool)

    @property
    def on_host(self) -> bool:
        """Whether the task is another library's, so that `step` cannot be compiled."""
        return isinstance(self.task, Host)

    def stand_in(self) -> Any:
        if not isinstance(self.task, Host):
            return self
        team: Any = self
        return dataclasses.replace(team, task=self.task.blank())


def not_finite(task: Task, episodes: Trajectory) -> str:
    """Returns where episodes first hold what is no finite number, in words, or ''."""
    obs, reward, mask = map(np.asarray, (episodes.obs, episodes.reward, episodes.mask))
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
def closing(system: Any) -> Iterator[None]:
    """Lets go, in the end, of what the task of a team has opened."""
    try:
        yield
    finally:
        if isinstance(system, Team) and isinstance(system.task, Host):
            system.task.shelf.close()


@jax.jit
def acted(
    team: Team,
    state: Any,
    obs: Float[Array, "E N O"],
    available: Bool[Array, "E N A"],
    noise: Float[Array, "E N A"],
    memory: PyTree,
) -> tuple[Int[Array, "E N"], Float[Array, "E N"], PyTree]:
    """Returns the team's actions, ln π of them, and its memory."""
    logits, memory = team.policy(state)(obs, memory)
    return *choose(logits, available, noise), memory


@jax.jit
def learned(
    team: Team, state: Any, episodes: Trajectory, key: Key[Array, ""]
) -> tuple[Any, Metrics]:
    """Returns what `team.learn` does, compiled: it crosses no host."""
    return team.learn(state, episodes, key)
