"""Environments of one task that are stepped together, on the host."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Executor
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    EnvironmentStepError,
    summarize_exception,
)
from syntony.tasks.external.adapter import (
    MultiAgentEnv,
    Observation,
    StepResult,
    max_sizes,
)

T = TypeVar("T")


class BatchObservation(NamedTuple):
    """Observations of E environments; see `Observation`."""

    obs: Float[np.ndarray, "E N O"]
    action_mask: Bool[np.ndarray, "E N A"]
    alive: Bool[np.ndarray, "E N"]
    global_state: Float[np.ndarray, "E S"]


class BatchStep(NamedTuple):
    """Result of a step of E environments; of those that are not active, anything."""

    observation: BatchObservation
    reward: Float[np.ndarray, "E N"]
    terminated: Bool[np.ndarray, " E"]
    truncated: Bool[np.ndarray, " E"]


@runtime_checkable
class EnvBatch(Protocol):
    """E open environments, each of which runs one episode at a time."""

    @property
    def agent_ids(self) -> Sequence[Hashable]:
        """Names of the N agents."""
        ...

    @property
    def time_limit(self) -> int | None:
        """Steps after which an environment ends an episode by itself, if known."""
        ...

    def reset(self, seeds: Int[np.ndarray, " E"]) -> BatchObservation:
        """Starts an episode in each environment, with its seed.

        Raises:
            EnvironmentStepError: an environment failed.
        """
        ...

    def step(
        self, action: Int[np.ndarray, "E N"], active: Bool[np.ndarray, " E"]
    ) -> BatchStep:
        """Applies the joint actions.

        Args:
            action: actions of all agents.
            active: environments whose episode has not ended.

        Raises:
            EnvironmentStepError: an environment failed, or returned an invalid value.
        """
        ...


class SeparateEnvs:
    """Environments that are stepped one by one, or each in a thread of its own.

    Args:
        id: id of the task, for error messages.
        envs: open environments of the same task.
        executor: runs the threads; for environments in processes of their own, which
            can work at the same time.
    """

    def __init__(
        self, id: str, envs: Sequence[MultiAgentEnv], executor: Executor | None = None
    ):
        self._id = id
        self._envs = envs
        self._executor = executor
        self._step_count = 0
        adapters = envs[0].adapters
        self.agent_ids = [v.agent_id for v in adapters]
        self.time_limit = envs[0].time_limit
        obs_dim, num_actions = max_sizes(adapters)
        shape = (len(envs), len(adapters))
        self._observation = BatchObservation(
            np.zeros((*shape, obs_dim), np.float32),
            np.ones((*shape, num_actions), bool),
            np.zeros(shape, bool),
            np.zeros((len(envs), envs[0].global_state_dim), np.float32),
        )

    def reset(self, seeds: Int[np.ndarray, " E"]) -> BatchObservation:
        """Starts an episode in each environment, with its seed."""
        self._step_count = 0

        def reset(e: int) -> Observation:
            seed = int(seeds[e])
            when = f"copy {e}, reset with seed {seed}"
            return self._call(when, lambda: self._envs[e].reset(seed))

        for e, observation in enumerate(self._map(reset, range(len(self._envs)))):
            self._set_observation(e, observation)
        return self._observation

    def step(
        self, action: Int[np.ndarray, "E N"], active: Bool[np.ndarray, " E"]
    ) -> BatchStep:
        """Applies the joint actions, in the active environments."""
        self._step_count += 1

        def step(e: int) -> StepResult:
            when = f"copy {e}, step {self._step_count}"
            return self._call(when, lambda: self._envs[e].step(action[e]))

        reward = np.zeros(action.shape, np.float32)
        terminated, truncated = np.zeros((2, len(active)), bool)
        indices = [int(e) for e in np.flatnonzero(active)]
        for e, result in zip(indices, self._map(step, indices), strict=True):
            self._set_observation(e, result.observation)
            reward[e] = result.reward
            terminated[e], truncated[e] = result.terminated, result.truncated
        return BatchStep(self._observation, reward, terminated, truncated)

    def _map(self, function: Callable[[int], T], indices: Iterable[int]) -> list[T]:
        if self._executor is None:
            return [function(e) for e in indices]
        return list(self._executor.map(function, indices))

    def _set_observation(self, e: int, observation: Observation) -> None:
        self._observation.obs[e] = observation.obs
        self._observation.action_mask[e] = observation.action_mask
        self._observation.alive[e] = observation.alive
        self._observation.global_state[e] = observation.global_state

    def _call(self, when: str, function: Callable[[], T]) -> T:
        try:
            return function()
        except USER_CODE_EXCEPTIONS as error:
            raise step_error(self._id, when, error) from error


def step_error(id: str, when: str, error: BaseException) -> EnvironmentStepError:
    """Error of an environment in one line.

    Args:
        id: id of the task.
        when: which environment, and in which step.
        error: what it raised.
    """
    is_ours = isinstance(error, EnvironmentStepError)
    cause = str(error) if is_ours else f"it raised {summarize_exception(error)}"
    return EnvironmentStepError(f"environment {id}, {when}: {cause}")
