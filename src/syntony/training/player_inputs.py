"""Conversion of a user's observations and action masks to those that a team acts on."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from syntony.errors import InvalidInputError, raising_invalid_input
from syntony.tasks.task import HasActionCounts, Task

NUMBER_KINDS = "biuf"
"""NumPy's kinds of types that are numbers: bool, int, uint and float."""


class Inputs(NamedTuple):
    """Observations and action masks of the agents of E environments."""

    obs: Float[np.ndarray, "E N O"]
    action_mask: Bool[np.ndarray, "E N A"]

    @property
    def num_envs(self) -> int:
        """Number of environments E."""
        return len(self.obs)


class InputConverter:
    """Converts what a user's environment returns.

    Args:
        task: the task of the team.
    """

    def __init__(self, task: Task):
        self.num_agents, self.obs_dim = task.num_agents, task.obs_dim
        self.available = available_actions(task)
        self._all_alive = np.ones(task.num_agents, bool)

    def convert(self, obs: object, action_mask: object) -> Inputs:
        """Inputs of one environment.

        Args:
            obs: one vector per agent; None for one that has finished.
            action_mask: one mask per agent; None: all actions that an agent has.

        Raises:
            InvalidInputError: a shape is wrong, a number is not finite, or no action of
                an agent is available.
        """
        vectors, alive = self._vectors(obs)
        mask = self._mask(action_mask)
        return self._checked(vectors[None], mask[None], alive[None])

    def convert_batch(self, obs: object, action_mask: object) -> Inputs:
        """Inputs of several environments; arguments have a leading axis.

        Raises:
            InvalidInputError: as for `convert`, or the numbers of environments differ.
        """
        if is_array(obs) and (action_mask is None or is_array(action_mask)):
            return self._convert_arrays(obs, action_mask)
        envs = _as_sequence(obs, "observations", "one entry per environment")
        masks = [None] * len(envs)
        if action_mask is not None:
            masks = _as_sequence(action_mask, "action_mask", "one per environment")
        if not 0 < len(envs) == len(masks):
            raise InvalidInputError(
                f"there are observations of {len(envs)} environments and action masks "
                f"of {len(masks)}; expected as many of both, at least 1"
            )
        pairs = [self._vectors(each) for each in envs]
        vectors, alive = (np.stack(parts) for parts in zip(*pairs, strict=True))
        return self._checked(vectors, np.stack([*map(self._mask, masks)]), alive)

    def _convert_arrays(self, obs: object, action_mask: object) -> Inputs:
        vectors = self._to_float32(as_numbers(obs, "observations"))
        num_envs = len(vectors) if vectors.ndim == 3 else 0
        expected = num_envs or "environments", self.num_agents, self.obs_dim
        _require_shape(vectors, expected, "observations")
        shape = num_envs, *self.available.shape
        mask = np.broadcast_to(self.available, shape)
        if action_mask is not None:
            given = as_numbers(action_mask, "action_mask")
            _require_shape(given, shape, "action_mask")
            mask = mask & _as_mask(given)
        return self._checked(vectors, mask, np.ones(shape[:2], bool))

    def _vectors(
        self, obs: object
    ) -> tuple[Float[np.ndarray, "N O"], Bool[np.ndarray, " N"]]:
        """Observation of each agent, and which have not finished."""
        shape = self.num_agents, self.obs_dim
        if is_array(obs):
            array = as_numbers(obs, "observations")
            _require_shape(array, shape, "observations")
            return self._to_float32(array), self._all_alive
        rows = self._rows(obs, "observations")
        vectors = _pad_rows(rows, self.obs_dim, "observation")
        return self._to_float32(vectors), np.array([row is not None for row in rows])

    def _mask(self, action_mask: object) -> Bool[np.ndarray, "N A"]:
        """Available actions of each agent."""
        if action_mask is None:
            return self.available
        if is_array(action_mask):
            given = as_numbers(action_mask, "action_mask")
            _require_shape(given, self.available.shape, "action_mask")
            return self.available & _as_mask(given)
        rows = self._rows(action_mask, "action_mask")
        num_actions = self.available.shape[-1]
        given = _as_mask(_pad_rows(rows, num_actions, "action_mask"))
        given[[row is None for row in rows]] = True
        return self.available & given

    def _rows(self, value: object, what: str) -> list[np.ndarray | None]:
        expected = f"one vector for each of {self.num_agents} agents, in their order"
        rows = _as_sequence(value, what, expected)
        if len(rows) != self.num_agents:
            raise InvalidInputError(
                f"{what} has {len(rows)} entries; expected {expected}"
            )
        return [
            None if row is None else as_numbers(row, f"{what} of agent {i}").ravel()
            for i, row in enumerate(rows)
        ]

    def _to_float32(
        self, numbers: Shaped[np.ndarray, "..."]
    ) -> Float[np.ndarray, "..."]:
        # Numbers beyond the range of float32 become infinite, and are refused.
        with np.errstate(over="ignore"):
            return numbers.astype(np.float32)

    def _checked(
        self,
        obs: Float[np.ndarray, "E N O"],
        mask: Bool[np.ndarray, "E N A"],
        alive: Bool[np.ndarray, "E N"],
    ) -> Inputs:
        if not alive.all():
            # As in training: only the first action of a finished agent is available.
            first = np.arange(mask.shape[-1]) == 0
            mask = np.where(alive[..., None], mask, first)
        if not np.isfinite(obs).all():
            env, agent, _ = map(int, np.argwhere(~np.isfinite(obs))[0])
            raise InvalidInputError(
                f"observation of {_place(env, agent, len(obs))} holds numbers that are "
                "not finite in float32"
            )
        if not mask.any(axis=-1).all():
            env, agent = map(int, np.argwhere(~mask.any(axis=-1))[0])
            raise InvalidInputError(
                f"no action of {_place(env, agent, len(obs))} is available; expected "
                "at least one"
            )
        return Inputs(obs, np.ascontiguousarray(mask))


def available_actions(task: Task) -> Bool[np.ndarray, "N A"]:
    """Mask of the actions that each agent has, whatever the state."""
    counts = tuple(task.action_counts) if isinstance(task, HasActionCounts) else ()
    counts = counts or (task.num_actions,) * task.num_agents
    return np.arange(task.num_actions) < np.array(counts)[:, None]


def is_array(value: object) -> bool:
    """Whether a value is an array of any library."""
    return hasattr(value, "shape") and hasattr(value, "__array__")


def as_numbers(value: object, what: str) -> Shaped[np.ndarray, "..."]:
    """Value as an array of numbers.

    Raises:
        InvalidInputError: it is none.
    """
    with raising_invalid_input(f"{what} cannot be an array:", "numbers"):
        array = np.asarray(value)
    if array.dtype.kind not in NUMBER_KINDS:
        raise InvalidInputError(f"{what} is of type {array.dtype}; expected numbers")
    return array


def _as_mask(numbers: Shaped[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    mask = numbers.astype(bool)
    if (numbers != mask).any():
        example = numbers[numbers != mask][0]
        raise InvalidInputError(f"action_mask holds {example}; expected 0 and 1 alone")
    return mask


def _as_sequence(value: object, what: str, expected: str) -> list[object]:
    if is_array(value):
        return list(as_numbers(value, what))
    if not isinstance(value, list | tuple):
        raise InvalidInputError(
            f"{what} is a {type(value).__name__}; expected {expected}"
        )
    return list(value)


def _pad_rows(
    rows: list[np.ndarray | None], size: int, what: str
) -> Shaped[np.ndarray, "N size"]:
    """Vectors padded with zeros; one without a vector has zeros alone."""
    lengths = [0 if row is None else len(row) for row in rows]
    for i, length in enumerate(lengths):
        if length > size:
            raise InvalidInputError(
                f"{what} of agent {i} holds {length} numbers; expected {size}"
            )
    # Only the longest is never padded: with another length all of them are wrong.
    if max(lengths) < size and all(row is not None for row in rows):
        raise InvalidInputError(
            f"the longest {what} holds {max(lengths)} numbers; expected {size}"
        )
    padded = np.zeros((len(rows), size))
    for i, row in enumerate(rows):
        if row is not None:
            padded[i, : lengths[i]] = row
    return padded


def _require_shape(
    array: np.ndarray, expected: tuple[int | str, ...], what: str
) -> None:
    if array.shape != expected:
        shape = ", ".join(map(str, expected))
        raise InvalidInputError(
            f"{what} has the shape {array.shape}; expected ({shape})"
        )


def _place(env: int, agent: int, num_envs: int) -> str:
    return f"agent {agent}" + (f" in environment {env}" if num_envs > 1 else "")
