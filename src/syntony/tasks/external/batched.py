"""Simulators that step many environments in one call, on the host.

    batched:my_simulator:make_env?agents=4

`make_env(num_envs=E, agents=4)` returns an object that steps E environments at once, in
NumPy, PyTorch or anything else whose arrays NumPy can convert. It is a black box:
called between compiled functions, never within one.
"""

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from contextlib import contextmanager, suppress
from numbers import Integral
from typing import Protocol, cast, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import ArrayLike

from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    EnvironmentStepError,
    InvalidInputError,
    raising_invalid_input,
)
from syntony.plugins import PREFIX, import_user_object
from syntony.tasks.env_id import parse_env_id
from syntony.tasks.external.adapter import ACTION_MASK_KEY
from syntony.tasks.external.env_batch import BatchObservation, BatchStep, step_error

LIBRARY = "batched"
EXAMPLE = "batched:your_own_simulator:Meeting"
TIME_LIMIT_PARAMETER = "time_limit"
ALIVE_KEY = "alive"
GLOBAL_STATE_KEY = "global_state"
SIZES = ("num_agents", "num_actions", "obs_dim", "time_limit")
"""Attributes that an environment must have; all are at least 1."""
GLOBAL_STATE_DIM = "global_state_dim"
"""Attribute of an environment with a global state: its length."""


@runtime_checkable
class BatchedHostEnv(Protocol):
    """E environments of N agents, which one call steps together.

    Both methods end with a dictionary. What is read of it, all optional:
    `action_mask` (bool, [E, N, A]), the available actions; `alive` (bool, [E, N]), the
    agents that still act; `global_state` (float, [E, S]), where there is an attribute
    `global_state_dim`. An optional method `close()` is called at the end.
    """

    @property
    def num_agents(self) -> int:
        """Number of agents N."""
        ...

    @property
    def num_actions(self) -> int:
        """Number of discrete actions A of each agent."""
        ...

    @property
    def obs_dim(self) -> int:
        """Length O of an agent's observation."""
        ...

    @property
    def time_limit(self) -> int:
        """Steps T after which an episode is truncated."""
        ...

    def reset_batch(
        self, seeds: Int[np.ndarray, " E"], /
    ) -> tuple[ArrayLike, Mapping[str, ArrayLike]]:
        """Starts an episode in each environment.

        Args:
            seeds: a seed for each. One seed for all may be made of them.

        Returns:
            Observations [E, N, O], and a dictionary.
        """
        ...

    def step_batch(
        self, actions: Int[np.ndarray, "E N"], /
    ) -> tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike, Mapping[str, ArrayLike]]:
        """Applies the joint actions.

        Environments whose episode has ended are stepped as well, with actions 0, until
        all have ended; what they return is not read.

        Args:
            actions: index of each agent's action, less than A.

        Returns:
            Observations [E, N, O], after the last step the true final ones; rewards
            [E, N] of the agents, or [E] of the team; whether the episodes terminated,
            and whether they were truncated, both [E]; and a dictionary.
        """
        ...


class BatchedEnvs:
    """E environments that one call steps, with what they return validated.

    Finished agents observe zeros and earn nothing, and only their first action is
    available. An episode also terminates when no agent acts any more.

    Args:
        id: id of the task, for error messages.
        env: the environments.
        num_envs: number of environments E.

    Raises:
        InvalidInputError: a size is missing or is no number, or so is a method.
    """

    def __init__(self, id: str, env: object, num_envs: int):
        self._id = id
        if not isinstance(env, BatchedHostEnv):
            members = (*SIZES, "reset_batch", "step_batch")
            missing = [name for name in members if not hasattr(env, name)]
            raise InvalidInputError(
                f"{id}: {type(env).__name__} lacks {', '.join(missing)}"
            )
        self._env = env
        sizes = [_read_size(id, env, name) for name in SIZES]
        self.num_agents, self.num_actions, self.obs_dim, self.time_limit = sizes
        has_state = hasattr(env, GLOBAL_STATE_DIM)
        self.global_state_dim = (
            _read_size(id, env, GLOBAL_STATE_DIM) if has_state else 0
        )
        self.agent_ids: Sequence[Hashable] = range(self.num_agents)
        self._alive = np.zeros((num_envs, self.num_agents), bool)
        self._step_count = 0

    def reset(self, seeds: Int[np.ndarray, " E"]) -> BatchObservation:
        """Starts an episode in each environment, with its seed."""
        self._step_count = 0
        try:
            (obs,), info = _unpack("reset_batch", self._env.reset_batch(seeds), 2)
            every = np.ones(len(seeds), bool)
            self._alive = self._read_alive(info)
            return self._observation(obs, info, every, self._alive)
        except USER_CODE_EXCEPTIONS as error:
            raise step_error(self._id, f"reset of {len(seeds)}", error) from error

    def step(
        self, action: Int[np.ndarray, "E N"], active: Bool[np.ndarray, " E"]
    ) -> BatchStep:
        """Applies the joint actions."""
        self._step_count += 1
        try:
            return self._step(action, active)
        except USER_CODE_EXCEPTIONS as error:
            raise step_error(self._id, f"step {self._step_count}", error) from error

    def close(self) -> None:
        """Closes the environments; exceptions are ignored, as results are complete."""
        close = getattr(self._env, "close", None)
        if callable(close):
            with suppress(*USER_CODE_EXCEPTIONS):
                close()

    def _step(
        self, action: Int[np.ndarray, "E N"], active: Bool[np.ndarray, " E"]
    ) -> BatchStep:
        values, info = _unpack("step_batch", self._env.step_batch(action), 5)
        obs, rewards, terminated, truncated = values
        count, agents = action.shape
        acted = self._alive
        self._alive = acted & self._read_alive(info)
        given = np.asarray(cast(ArrayLike, rewards))
        if given.shape == (count,):
            # A team reward is divided equally, as the sum over agents is used.
            given = given[:, None] / np.maximum(acted.sum(axis=1, keepdims=True), 1)
            given = np.broadcast_to(given, (count, agents))
        reward = _read("rewards", given, (count, agents), active)
        ends = [
            _read_flags(name, value, (count,))
            for name, value in (("terminated", terminated), ("truncated", truncated))
        ]
        none_acts = ~self._alive.any(axis=1) & ~ends[1]
        return BatchStep(
            # An agent that has just finished still sees what it led to.
            self._observation(obs, info, active, acted),
            np.where(acted, reward, 0.0),
            ends[0] | none_acts,
            ends[1],
        )

    def _observation(
        self,
        obs: object,
        info: Mapping[str, object],
        active: Bool[np.ndarray, " E"],
        seen: Bool[np.ndarray, "E N"],
    ) -> BatchObservation:
        count = len(active)
        shape = (count, self.num_agents, self.obs_dim)
        numbers = _read("observations", obs, shape, active)
        return BatchObservation(
            np.where(seen[..., None], numbers, 0.0),
            self._read_mask(info, active),
            self._alive,
            self._read_global_state(info, active),
        )

    def _read_alive(self, info: Mapping[str, object]) -> Bool[np.ndarray, "E N"]:
        if ALIVE_KEY not in info:
            return np.ones(self._alive.shape, bool)
        return _read_flags(ALIVE_KEY, info[ALIVE_KEY], self._alive.shape)

    def _read_mask(
        self, info: Mapping[str, object], active: Bool[np.ndarray, " E"]
    ) -> Bool[np.ndarray, "E N A"]:
        shape = (*self._alive.shape, self.num_actions)
        mask = np.ones(shape, bool)
        if ACTION_MASK_KEY in info:
            mask = _read_flags(ACTION_MASK_KEY, info[ACTION_MASK_KEY], shape)
        available = np.any(mask, axis=-1)
        stuck = np.argwhere(active[:, None] & self._alive & ~available)
        if len(stuck):
            e, agent = stuck[0]
            raise EnvironmentStepError(
                f"{ACTION_MASK_KEY} of copy {e}, agent {agent} is all 0; expected at "
                "least one available action"
            )
        only_first = np.arange(self.num_actions) == 0
        return np.where(self._alive[..., None], mask, only_first)

    def _read_global_state(
        self, info: Mapping[str, object], active: Bool[np.ndarray, " E"]
    ) -> np.ndarray:
        shape = (len(active), self.global_state_dim)
        if not self.global_state_dim:
            return np.zeros(shape, np.float32)
        if GLOBAL_STATE_KEY not in info:
            raise EnvironmentStepError(
                f"there is no {GLOBAL_STATE_KEY}; expected one of {shape[1]} numbers"
            )
        return _read(GLOBAL_STATE_KEY, info[GLOBAL_STATE_KEY], shape, active)


def _unpack(
    method: str, result: object, count: int
) -> tuple[list[object], Mapping[str, object]]:
    """Items of a method's result, and the dictionary at their end."""
    items = list(cast(tuple[object, ...], result)) if isinstance(result, tuple) else []
    if len(items) != count or not isinstance(items[-1], Mapping):
        names = ("obs", "reward", "terminated", "truncated", "info")
        expected = names if count == len(names) else (names[0], names[-1])
        raise EnvironmentStepError(
            f"{method} returned no tuple of {count}, with a dictionary at its end; "
            f"expected {', '.join(expected)}"
        )
    return items[:-1], cast(Mapping[str, object], items[-1])


def _read(
    name: str, value: object, shape: tuple[int, ...], active: Bool[np.ndarray, " E"]
) -> np.ndarray:
    """Numbers of all environments, those of the active ones finite."""
    with np.errstate(over="ignore"):
        numbers = np.asarray(cast(ArrayLike, value)).astype(np.float32)
    _validate_shape(name, numbers, shape)
    finite = np.all(np.isfinite(numbers).reshape(len(active), -1), axis=1)
    if len(wrong := np.flatnonzero(active & ~finite)):
        raise EnvironmentStepError(
            f"{name} of copy {wrong[0]} are not finite in float32"
        )
    return numbers


def _read_flags(name: str, value: object, shape: tuple[int, ...]) -> np.ndarray:
    given = np.asarray(cast(ArrayLike, value))
    _validate_shape(name, given, shape)
    flags = given.astype(bool)
    if not np.array_equal(given, flags):
        raise EnvironmentStepError(f"{name} holds other numbers than 0 and 1")
    return flags


def _validate_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise EnvironmentStepError(
            f"{name} have the shape {list(array.shape)}; expected {list(shape)}"
        )


def _read_size(id: str, env: object, name: str) -> int:
    value: object = getattr(env, name)
    if not isinstance(value, Integral) or int(value) < 1:
        raise InvalidInputError(f"{id}: {name} is {value!r}; expected at least 1")
    return int(value)


def open_batched_envs(id: str, num_envs: int) -> BatchedEnvs:
    """Opens environments of an id, which are stepped together.

    Args:
        id: `batched:MODULE:NAME?PARAMETER=VALUE&...`.
        num_envs: number of environments.

    Raises:
        InvalidInputError: there is no such class or function, or what it makes is no
            `BatchedHostEnv`.
    """
    _, name, parameters = parse_env_id(id, {LIBRARY: EXAMPLE})
    parameters.pop(TIME_LIMIT_PARAMETER, None)
    make: Callable[..., object] = import_user_object(
        PREFIX + name, "class or function", callable
    )
    with raising_invalid_input(f"{id} cannot be opened:"):
        return BatchedEnvs(id, make(num_envs=num_envs, **parameters), num_envs)


class BatchedPool:
    """Open environments that are reused between batches of the same size.

    Args:
        id: id of the task.
    """

    def __init__(self, id: str):
        self._id = id
        self._idle: dict[int, list[BatchedEnvs]] = {}

    @contextmanager
    def acquire_batch(self, count: int) -> Generator[BatchedEnvs, None, None]:
        """Context with environments that no other context uses.

        After an exception they are closed.
        """
        idle = self._idle.setdefault(count, [])
        envs = idle.pop() if idle else open_batched_envs(self._id, count)
        try:
            yield envs
        except BaseException:
            envs.close()
            raise
        idle.append(envs)

    def close(self) -> None:
        """Closes the unused environments; new ones are made on demand."""
        idle, self._idle = self._idle, {}
        for envs in (envs for same_size in idle.values() for envs in same_size):
            envs.close()
