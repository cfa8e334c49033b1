"""What networks understand of other libraries' spaces: flat numbers, whole choices."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from syntony.errors import BadInput, HostFault, one_line
from syntony.modules import module

MASK = "action_mask"
"""Under this name an environment says which actions an agent may choose."""
LIMITS = (
    *("max_cycles", "max_episode_steps", "_max_episode_steps", "max_steps"),
    *("_max_steps", "max_num_steps", "episode_limit", "time_limit"),
)
"""Under these names environments keep the steps after which they end an episode."""


class Seen(NamedTuple):
    """What all agents see, what each may do, and which of them still play."""

    obs: Float[np.ndarray, "N O"]
    available: Bool[np.ndarray, "N A"]
    playing: Bool[np.ndarray, " N"]


class Answer(NamedTuple):
    """What an environment answers when all agents have acted once."""

    seen: Seen
    reward: Float[np.ndarray, " N"]
    terminated: bool
    truncated: bool


@runtime_checkable
class Copy(Protocol):
    """One environment, opened; it plays one episode after the other."""

    @property
    def views(self) -> "Sequence[View]":
        """How each agent sees it."""
        ...

    @property
    def time_limit(self) -> int | None:
        """Steps of an episode, if it says so."""
        ...

    def reset(self, seed: int) -> Seen:
        """Starts an episode, all of whose chance follows from `seed`."""
        ...

    def step(self, action: Int[np.ndarray, " N"]) -> Answer:
        """Moves all agents once."""
        ...

    def close(self) -> None:
        """Lets go of windows and processes."""
        ...


class View(NamedTuple):
    """How one agent sees its environment, and acts in it."""

    name: Any
    flatten: Callable[[Any], Any]
    """Turns an observation, without its mask, into numbers in a row."""
    size: int
    """Numbers in a flat observation."""
    actions: int
    first: int
    """What the environment calls the first action."""
    masked: bool
    """Whether observations are dictionaries with a mask in them."""

    def flat(self, obs: Any) -> Float[np.ndarray, " size"]:
        """Returns an observation as numbers in a row.

        Raises:
            HostFault: it is none of its space, or some number is not finite.
        """
        if self.masked:
            obs = {name: part for name, part in obs.items() if name != MASK}
        # What float32 cannot hold becomes infinite, and is refused for that.
        with np.errstate(over="ignore"):
            numbers = np.asarray(self.flatten(obs), np.float32)
        if numbers.shape != (self.size,):
            raise HostFault(
                f"observation of {self.name} holds {numbers.size} numbers; "
                f"expected {self.size}"
            )
        if not np.isfinite(numbers).all():
            raise HostFault(
                f"observation of {self.name} holds numbers that are not finite in "
                "float32"
            )
        return numbers

    def mask(self, obs: Any, info: Any) -> Bool[np.ndarray, " actions"] | bool:
        """Returns which actions it may choose: all (true), unless there is a mask.

        Raises:
            HostFault: the mask is none, or allows nothing.
        """
        found = obs[MASK] if self.masked else None
        if isinstance(info, Mapping) and MASK in info:
            found = info[MASK]
        if found is None:
            return True
        mask = np.asarray(found).astype(bool)
        if mask.shape != (self.actions,) or not mask.any():
            raise HostFault(
                f"{MASK} of {self.name} is {np.asarray(found).tolist()}; "
                f"expected {self.actions} values, not all 0"
            )
        return mask


def view(name: Any, observations: Any, actions: Any) -> View:
    """Returns how an agent of these spaces sees and acts.

    Raises:
        BadInput: observations cannot be made flat, or actions are not choices.
    """
    spaces = module("gymnasium.spaces")
    masked = isinstance(observations, spaces.Dict) and MASK in observations.spaces
    if masked:
        rest = {n: part for n, part in observations.spaces.items() if n != MASK}
        observations = spaces.Dict(rest)
    if not isinstance(actions, spaces.Discrete):
        kind = type(actions).__name__
        raise BadInput(f"actions of {name} are {kind}; expected Discrete")
    try:
        size = int(spaces.flatdim(observations))
    except (ValueError, NotImplementedError) as error:
        raise BadInput(f"observations of {name}: {one_line(error)}") from error
    # The general way is slow: what is an array already takes a short one.
    plain = isinstance(observations, spaces.Box)
    flatten = np.ravel if plain else partial(spaces.flatten, observations)
    return View(name, flatten, size, int(actions.n), int(actions.start), masked)


def widest(views: Sequence[View]) -> tuple[int, int]:
    """Returns the longest observation of all agents, and the most actions."""
    return max(v.size for v in views), max(v.actions for v in views)


def unseen(views: Sequence[View]) -> Seen:
    """Returns what agents see that are not there: zeros; they may do the first."""
    size, actions = widest(views)
    available = np.zeros((len(views), actions), bool)
    available[:, 0] = True
    blank = np.zeros((len(views), size), np.float32)
    return Seen(blank, available, np.zeros(len(views), bool))


def write(seen: Seen, agent: int, view: View, obs: Any, info: Any) -> None:
    """Writes down what an agent who plays sees and may do; behind that stay zeros."""
    seen.playing[agent] = True
    seen.obs[agent, : view.size] = view.flat(obs)
    seen.available[agent, : view.actions] = view.mask(obs, info)


def earned(name: Any, reward: Any) -> float:
    """Returns a reward as a number.

    Raises:
        HostFault: it is none, or not finite in float32.
    """
    try:
        number = float(reward)
    except (TypeError, ValueError):
        number = float("nan")
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.float32(number))
    if not finite:
        raise HostFault(
            f"reward of {name} is {reward!r}; expected a finite number in float32"
        )
    return number


def limit_of(env: Any, parameters: Mapping[str, Any]) -> int | None:
    """Returns the steps after which an environment ends an episode, if it says so."""
    inner = getattr(env, "unwrapped", env)
    for name in LIMITS:
        found = parameters.get(name, getattr(inner, name, None))
        if isinstance(found, int | np.integer) and found > 0:
            return int(found)
    return None
