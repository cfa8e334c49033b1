"""Action masks and global states that environments give by methods of their own.

PyMARL's environments, as SMAC, SMACv2 and SMAClite, have `get_avail_actions()` and
`get_state()`; PettingZoo's have `state()` with a `state_space`.
"""

import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float

from syntony.errors import EnvironmentStepError
from syntony.plugins import import_user_module
from syntony.tasks.external.adapter import AgentAdapter

IMAGE_MODE = "rgb_array"
"""Render mode in which `render()` returns an image as an array."""
MAX_GLOBAL_STATE = 10_000
"""Numbers of the largest global state that is used; larger ones are images."""


class ActionMaskMethod:
    """Masks of available actions by `get_avail_actions()` of an environment.

    Without it, or where it is not implemented, by `get_avail_agent_actions(index)`.

    Args:
        env: the environment.
        adapters: adapters of its agents.
    """

    def __init__(self, env: object, adapters: Sequence[AgentAdapter]):
        env = getattr(env, "unwrapped", env)
        self._adapters = adapters
        self._of_all = getattr(env, "get_avail_actions", None)
        self._of_one = getattr(env, "get_avail_agent_actions", None)

    def read(self) -> list[object]:
        """Mask of each agent as the environment gives it; None without one.

        Raises:
            EnvironmentStepError: there is not one for each agent.
        """
        given = self._call()
        if given is None:
            return [None] * len(self._adapters)
        if isinstance(given, Mapping):
            by_agent = cast(Mapping[Hashable, object], given)
            masks = [by_agent.get(v.agent_id) for v in self._adapters]
        else:
            masks = list(cast(Sequence[object], given))
        if len(masks) != len(self._adapters):
            raise EnvironmentStepError(
                f"get_avail_actions has {len(masks)} entries; expected "
                f"{len(self._adapters)}"
            )
        # Agents with fewer actions than others have some that are never available.
        pairs = zip(self._adapters, masks, strict=True)
        return [m if m is None else np.asarray(m)[: v.num_actions] for v, m in pairs]

    def _call(self) -> object:
        if callable(self._of_all):
            try:
                return self._of_all()
            except NotImplementedError:
                self._of_all = None
        if callable(self._of_one):
            try:
                return [self._of_one(i) for i in range(len(self._adapters))]
            except NotImplementedError:
                self._of_one = None
        return None


class GlobalState(NamedTuple):
    """Global state of an environment, of S numbers; S = 0 where it gives none."""

    dim: int = 0
    """Number of values S."""
    read_fn: Callable[[], object] | None = None
    flatten_fn: Callable[..., object] = np.ravel

    def read(self) -> Float[np.ndarray, " S"]:
        """The present global state.

        Raises:
            EnvironmentStepError: its length is wrong, or a number is not finite.
        """
        if self.read_fn is None:
            return np.zeros(0, np.float32)
        with np.errstate(over="ignore"):
            numbers = np.asarray(self.flatten_fn(self.read_fn()), np.float32)
        if numbers.shape != (self.dim,) or not np.isfinite(numbers).all():
            raise EnvironmentStepError(
                f"global state holds {numbers.size} numbers; expected {self.dim}, all "
                "finite in float32"
            )
        return numbers


def find_global_state(env: object, reset: Callable[[], object]) -> GlobalState:
    """Global state of an environment; one of size 0 where it gives none.

    Args:
        env: the environment.
        reset: starts an episode, before which there may be no state.
    """
    for candidate in (env, getattr(env, "unwrapped", env)):
        if callable(getattr(candidate, "state", None)):
            space = getattr(candidate, "state_space", None)
            if space is not None:
                return _state_in_space(candidate, space, reset)
        if callable(getattr(candidate, "get_state", None)):
            return _state_of_pymarl(candidate, reset)
    return GlobalState()


def _state_in_space(
    env: object, space: object, reset: Callable[[], object]
) -> GlobalState:
    spaces = import_user_module("gymnasium.spaces")
    dim = int(spaces.flatdim(space))
    read_fn = cast(Callable[[], object], getattr(env, "state", None))
    if dim > MAX_GLOBAL_STATE or not _is_implemented(read_fn, reset):
        return GlobalState()
    if isinstance(space, spaces.Box):
        return GlobalState(dim, read_fn)
    return GlobalState(dim, read_fn, partial(spaces.flatten, space))


def _state_of_pymarl(env: object, reset: Callable[[], object]) -> GlobalState:
    read_fn = cast(Callable[[], object], getattr(env, "get_state", None))
    if not _is_implemented(read_fn, reset):
        return GlobalState()
    dim = np.size(np.asarray(read_fn()))
    return GlobalState(dim, read_fn) if dim <= MAX_GLOBAL_STATE else GlobalState()


def _is_implemented(read_fn: Callable[[], object], reset: Callable[[], object]) -> bool:
    """Whether a method works; PettingZoo's base class has one that does not."""
    reset()
    try:
        return read_fn() is not None
    except NotImplementedError:
        return False


def draw_image(env: object) -> object:
    """Image of an environment's present state, by its `render()`.

    Older environments, as lbforaging and rware, take the mode as an argument of it.

    Args:
        env: the environment, opened in the render mode `rgb_array` if it has that.
    """
    inner = getattr(env, "unwrapped", env)
    render = cast(Callable[..., object], getattr(inner, "render", None))
    parameters: Mapping[str, object] = {}
    with suppress(TypeError, ValueError):
        parameters = inspect.signature(render).parameters
    if "mode" in parameters:
        return render(mode=IMAGE_MODE)
    return cast(Callable[[], object], getattr(env, "render"))()  # noqa: B009
