"""Whole episodes where the environment is on the host and the policy is compiled."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from syntony.errors import FAILURES, HostFault, one_line
from syntony.tasks.host import Host
from syntony.tasks.host_views import Answer, Copy, Seen
from syntony.tasks.rollout import Trajectory

Act = Callable[..., tuple[Int[Array, "E N"], Float[Array, "E N"], PyTree]]
"""Observations, what is available, Gumbel noise and memory to actions, ln π, memory."""


def live_on_host(
    task: Host,
    act: Act,
    memory: PyTree,
    key: Key[Array, ""],
    *,
    episodes: int,
    abreast: int,
    greedy: Bool[Array, ""] | bool = False,
    last_action: bool = False,
) -> Trajectory:
    """Returns whole episodes, lived in lock-step; their states are nobody's to see.

    Args:
        memory: what the policy starts `abreast` episodes with.
        episodes: how many, E.
        abreast: how many copies there are; the episodes are lived in rounds.
        greedy: take the most likely actions, instead of drawing them.
        last_action: show each agent its last action as well, as `LastAction` does.

    Raises:
        HostFault: a copy failed, or answered what cannot be used.
    """
    rounds = -(-episodes // abreast)
    live = partial(_live, task, act, memory, abreast=abreast, greedy=bool(greedy))
    keys = jax.random.split(key, rounds)
    parts = [live(round_key, last_action=last_action) for round_key in keys]
    return jax.tree.map(
        lambda *x: jnp.asarray(np.concatenate(x, axis=1)[:, :episodes]), *parts
    )


def _live(
    task: Host,
    act: Act,
    memory: PyTree,
    key: Key[Array, ""],
    *,
    abreast: int,
    greedy: bool,
    last_action: bool,
) -> Trajectory:
    seeds, noise = jax.device_get(_chance(task, key, abreast))
    noise = np.zeros_like(noise) if greedy else noise
    diary = Diary(task, abreast, last_action=last_action)
    with task.shelf.lent(abreast) as copies:
        for e, copy in enumerate(copies):
            diary.begin(e, _reset(task, e, copy, int(seeds[e])))
        for t in range(task.time_limit):
            going = diary.going(t)
            if not going.any():
                break
            seen = diary.obs[t], diary.available[t]
            action, log_prob, memory = act(*seen, noise[t], memory)
            diary.act(t, np.asarray(action), np.asarray(log_prob))
            for e in np.flatnonzero(going):
                answer = _step(task, t, int(e), copies[e], diary.action[t, e])
                diary.write(t, int(e), answer)
    return diary.trajectory()


@partial(jax.jit, static_argnums=(0, 2))
def _chance(
    task: Host, key: Key[Array, ""], episodes: int
) -> tuple[Int[Array, " E"], Float[Array, "T E N A"]]:
    """Returns a seed for each episode, and the luck of all actions."""
    seed_key, noise_key = jax.random.split(key)
    # Of 31 bits: some libraries take no more.
    seeds = jax.random.randint(seed_key, (episodes,), 0, np.iinfo(np.int32).max)
    shape = (task.time_limit, episodes, task.agents, task.actions)
    return seeds, jax.random.gumbel(noise_key, shape)


def _reset(task: Host, e: int, copy: Copy, seed: int) -> Seen:
    try:
        return copy.reset(seed)
    except FAILURES as error:
        raise _fault(task, e, f"reset with seed {seed}", error) from error


def _step(
    task: Host, t: int, e: int, copy: Copy, action: Int[np.ndarray, " N"]
) -> Answer:
    try:
        return copy.step(action)
    except FAILURES as error:
        raise _fault(task, e, f"step {t + 1}", error) from error


def _fault(task: Host, e: int, when: str, error: BaseException) -> HostFault:
    known = isinstance(error, HostFault)
    said = str(error) if known else f"it raised {one_line(error)}"
    return HostFault(f"environment {task.id}, copy {e}, {when}: {said}")


class Diary:
    """Episodes that are written down step by step, as `Trajectory` holds them.

    With `last_action` each agent's, one-hot, stands behind its observation.
    """

    def __init__(self, task: Host, episodes: int, *, last_action: bool):
        steps = task.time_limit
        shape = (steps, episodes, task.agents)
        obs_size = task.obs_size + last_action * task.actions
        self.obs = np.zeros((steps + 1, *shape[1:], obs_size), np.float32)
        # Behind an episode's end all are: no row of a softmax may be empty.
        self.available = np.ones((*shape, task.actions), bool)
        self.action = np.zeros(shape, np.int32)
        self.log_prob = np.zeros(shape, np.float32)
        self.reward = np.zeros(shape, np.float32)
        self.terminated = np.zeros(shape[:2], bool)
        self.truncated = np.zeros(shape[:2], bool)
        self.mask = np.ones(shape[:2], bool)
        self.playing = np.zeros(shape, bool)

    def going(self, t: int) -> Bool[np.ndarray, " E"]:
        """Returns which episodes have not ended before a step."""
        return self.mask[t]

    def begin(self, e: int, seen: Seen) -> None:
        """Writes down what an episode begins with."""
        self._see(0, e, seen.obs)
        self.available[0, e], self.playing[0, e] = seen.available, seen.playing

    def act(
        self, t: int, action: Int[np.ndarray, "E N"], log_prob: Float[np.ndarray, "E N"]
    ) -> None:
        """Writes down what was chosen in those episodes that still play."""
        going = self.going(t)[:, None]
        self.action[t] = np.where(going, action, 0)
        self.log_prob[t] = np.where(going, log_prob, 0.0)

    def write(self, t: int, e: int, answer: Answer) -> None:
        """Writes down what came of it."""
        steps = len(self.mask)
        self.reward[t, e] = answer.reward
        self.terminated[t, e] = answer.terminated
        self.truncated[t, e] = not answer.terminated and (
            answer.truncated or t + 1 == steps
        )
        self._see(t + 1, e, answer.seen.obs)
        if self.terminated[t, e] or self.truncated[t, e]:
            self.mask[t + 1 :, e] = False
            self.obs[t + 2 :, e] = self.obs[t + 1, e]
        else:
            self.available[t + 1, e] = answer.seen.available
            self.playing[t + 1, e] = answer.seen.playing

    def _see(self, t: int, e: int, obs: Float[np.ndarray, "N O"]) -> None:
        size, actions = obs.shape[-1], self.available.shape[-1]
        self.obs[t, e, :, :size] = obs
        # Nothing was done before the start: it stays zero.
        if t > 0 and size < self.obs.shape[-1]:
            self.obs[t, e, :, size:] = np.eye(actions)[self.action[t - 1, e]]

    def trajectory(self) -> Trajectory:
        """Returns all of it."""
        parts: dict[str, Any] = vars(self)
        return Trajectory(state=(), **parts)
