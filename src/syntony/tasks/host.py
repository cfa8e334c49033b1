"""Environments of other libraries, which are stepped on the host, copy by copy.

    pettingzoo:mpe2.simple_spread_v3?N=4&max_cycles=50
    gymnasium:lbforaging:Foraging-8x8-2p-3f-v3?max_player_level=3

Nothing is known of them but what they answer. They are called between compiled pieces,
never within one.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.errors import FAILURES, BadInput, one_line, unknown
from syntony.record import record
from syntony.tasks.family import Family
from syntony.tasks.host_gymnasium import open_gymnasium
from syntony.tasks.host_pettingzoo import open_pettingzoo
from syntony.tasks.host_views import Copy, widest
from syntony.tasks.task import Step

TIME_LIMIT = "time_limit"
"""The parameter that is ours; all others are the environment's."""
MOST_STEPS = 1_000_000

Open = Callable[[str, Mapping[str, Any]], Copy]
OPENERS: dict[str, Open] = {"pettingzoo": open_pettingzoo, "gymnasium": open_gymnasium}
WORDS = {"true": True, "false": False, "none": None, "null": None}


# No `record`: what it holds beside its fields, open copies, would get lost in JAX.
@jax.tree_util.register_static
@dataclass(frozen=True, kw_only=True)
class Host:
    """An environment of another library, as a team sees it.

    Observations are padded with zeros to the longest, actions to the most with some
    that are never available.
    """

    id: str
    agents: int
    actions: int
    obs_size: int
    time_limit: int

    opaque = True
    shared_reward = False

    @classmethod
    def parse(cls, id: str) -> "Host":
        """Returns what `id` names; it is opened for a moment, to see how it looks.

        Raises:
            BadInput: there is no such environment, or a team cannot live in it.
        """
        limit = read(id)[2].get(TIME_LIMIT)
        copy = open_copy(id)
        close([copy])
        obs_size, actions = widest(copy.views)
        return cls(
            id=id,
            agents=len(copy.views),
            actions=actions,
            obs_size=obs_size,
            time_limit=_time_limit(id, limit, copy),
        )

    @cached_property
    def shelf(self) -> "Shelf":
        """Its copies that nobody uses."""
        return Shelf(self.id)

    def blank(self) -> "Blank":
        """Returns a task of the same shapes that can be compiled."""
        return Blank(
            id=self.id,
            agents=self.agents,
            actions=self.actions,
            obs_size=self.obs_size,
            time_limit=self.time_limit,
        )

    def reset(self, key: Key[Array, ""]) -> NoReturn:
        """Fails: a team lives here by `live_on_host`."""
        del key
        raise self._not_compiled()

    def available(self, state: Any) -> NoReturn:
        """Fails: a team lives here by `live_on_host`."""
        del state
        raise self._not_compiled()

    def step(self, key: Key[Array, ""], state: Any, action: Any) -> NoReturn:
        """Fails: a team lives here by `live_on_host`."""
        del key, state, action
        raise self._not_compiled()

    def _not_compiled(self) -> BadInput:
        return BadInput(f"{self.id} is stepped on the host; expected a task in JAX")


class Shelf:
    """Copies of an environment between two batches of episodes."""

    def __init__(self, id: str):
        self._id = id
        self._idle: list[Copy] = []

    def put(self, copies: list[Copy]) -> None:
        """Takes copies back."""
        self._idle.extend(copies)

    @contextmanager
    def lent(self, count: int) -> Iterator[list[Copy]]:
        """Yields so many copies; seeds that learn side by side get their own.

        After a failure none of them is used again.
        """
        copies: list[Copy] = []
        try:
            for _ in range(count):
                copies.append(self._take())
            yield copies
        except BaseException:
            close(copies)
            raise
        self.put(copies)

    def close(self) -> None:
        """Closes what is on it; whoever needs copies later gets new ones."""
        idle, self._idle = self._idle, []
        close(idle)

    def _take(self) -> Copy:
        try:
            return self._idle.pop()
        except IndexError:
            return open_copy(self._id)


@record
class Blank:
    """A task that is nothing but shapes; all that is seen and earned is zero."""

    id: str
    agents: int
    actions: int
    obs_size: int
    time_limit: int
    shared_reward: bool = False

    def reset(self, key: Key[Array, ""]) -> tuple[Bool[Array, ""], Float[Array, "N O"]]:
        """Returns a state that says nothing, and zeros."""
        del key
        return jnp.zeros((), bool), jnp.zeros((self.agents, self.obs_size))

    def available(self, state: Any) -> Bool[Array, "N A"]:
        """All of them."""
        del state
        return jnp.ones((self.agents, self.actions), bool)

    def step(
        self, key: Key[Array, ""], state: Any, action: Int[Array, " N"]
    ) -> tuple[Any, Step]:
        """Returns zeros."""
        del key, action
        never = jnp.zeros((), bool)
        obs = jnp.zeros((self.agents, self.obs_size))
        return state, Step(obs, jnp.zeros(self.agents), never, never)


def open_copy(id: str) -> Copy:
    """Returns a new copy of the environment that `id` names.

    Raises:
        BadInput: there is none, or it does not open with these parameters.
    """
    kind, name, parameters = read(id)
    parameters.pop(TIME_LIMIT, None)
    try:
        return OPENERS[kind](name, parameters)
    except BadInput as failure:
        raise BadInput(f"{id}: {failure}") from failure.__cause__
    except FAILURES as error:
        raise BadInput(f"{id} cannot be opened: {one_line(error)}") from error


def close(copies: list[Copy]) -> None:
    """Lets go of copies; what they did is done, even if this fails."""
    for copy in copies:
        with suppress(*FAILURES):
            copy.close()


def read(id: str) -> tuple[str, str, dict[str, Any]]:
    """Returns the library, the environment's name, and its parameters' values.

    Values are JSON, as in `N=3`, `coop=true`, `sizes=[8,8]`, or `none`; all else is
    text.

    Raises:
        BadInput: a parameter has no value, or is given twice.
    """
    head, mark, query = id.partition("?")
    kind, _, name = head.partition(":")
    if kind not in OPENERS:
        raise unknown("kind of task", kind, OPENERS)
    if not name:
        raise BadInput(f"task {id!r} is incomplete; expected e.g. {_EXAMPLES[kind]}")
    parameters: dict[str, Any] = {}
    for assignment in query.split("&") if mark else []:
        field, equals, text = assignment.partition("=")
        if not (field and equals):
            raise BadInput(f"{assignment!r} sets nothing; expected PARAMETER=VALUE")
        if field in parameters:
            raise BadInput(f"{field} is given twice in {id!r}; expected once")
        parameters[field] = _value(text)
    return kind, name, parameters


def _value(text: str) -> Any:
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _time_limit(id: str, asked: Any, copy: Copy) -> int:
    limit = copy.time_limit if asked is None else asked
    sign = "&" if "?" in id else "?"
    if limit is None:
        raise BadInput(
            f"{id} does not say when an episode ends; expected {id}{sign}time_limit=N, "
            "N steps"
        )
    if type(limit) is not int or not 1 <= limit <= MOST_STEPS:
        raise BadInput(f"time_limit is {limit!r}; expected 1 to {MOST_STEPS:,}")
    return limit


_EXAMPLES = {
    "pettingzoo": "pettingzoo:mpe2.simple_spread_v3",
    "gymnasium": "gymnasium:lbforaging:Foraging-8x8-2p-3f-v3",
}
FAMILIES = (
    Family(
        prefix="pettingzoo:",
        pattern="pettingzoo:{module}[?{parameter}={value}&...]",
        example=_EXAMPLES["pettingzoo"],
        summary="any environment with PettingZoo's parallel API; stepped on the host",
        parse=Host.parse,
    ),
    Family(
        prefix="gymnasium:",
        pattern="gymnasium:[{module}:]{id}[?{parameter}={value}&...]",
        example=_EXAMPLES["gymnasium"],
        summary="any of Gymnasium's with a tuple of agents; stepped on the host",
        parse=Host.parse,
    ),
)
