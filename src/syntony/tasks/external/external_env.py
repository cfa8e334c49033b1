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

from syntony.config import pytree_dataclass
from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    InvalidInputError,
    summarize_exception,
    unknown_name_error,
)
from syntony.tasks.external.adapter import MultiAgentEnv, max_sizes
from syntony.tasks.external.gymnasium import make_gymnasium_env
from syntony.tasks.external.pettingzoo import make_pettingzoo_env
from syntony.tasks.family import TaskFamily
from syntony.tasks.task import TimeStep

TIME_LIMIT_PARAMETER = "time_limit"
"""The parameter that is ours; all others are the environment's."""
MAX_TIME_LIMIT = 1_000_000

EnvFactory = Callable[[str, Mapping[str, Any]], MultiAgentEnv]
ENV_FACTORIES: dict[str, EnvFactory] = {
    "pettingzoo": make_pettingzoo_env,
    "gymnasium": make_gymnasium_env,
}
LITERALS = {"true": True, "false": False, "none": None, "null": None}


# No `record`: what it holds beside its fields, open copies, would get lost in JAX.
@jax.tree_util.register_static
@dataclass(frozen=True, kw_only=True)
class ExternalEnv:
    """An environment of another library, as a team sees it.

    Observations are padded with zeros to the longest, actions to the most with some
    that are never available.
    """

    id: str
    num_agents: int
    num_actions: int
    obs_dim: int
    time_limit: int

    is_black_box = True
    shared_reward = False

    @classmethod
    def parse(cls, id: str) -> "ExternalEnv":
        """Returns what `id` names; it is opened for a moment, to see how it looks.

        Raises:
            BadInput: there is no such environment, or a team cannot live in it.
        """
        limit = parse_env_id(id)[2].get(TIME_LIMIT_PARAMETER)
        copy = make_env(id)
        close_envs([copy])
        obs_size, actions = max_sizes(copy.adapters)
        return cls(
            id=id,
            num_agents=len(copy.adapters),
            num_actions=actions,
            obs_dim=obs_size,
            time_limit=_resolve_time_limit(id, limit, copy),
        )

    @cached_property
    def env_pool(self) -> "EnvPool":
        """Its copies that nobody uses."""
        return EnvPool(self.id)

    def shape_only_task(self) -> "ShapeOnlyTask":
        """Returns a task of the same shapes that can be compiled."""
        return ShapeOnlyTask(
            id=self.id,
            num_agents=self.num_agents,
            num_actions=self.num_actions,
            obs_dim=self.obs_dim,
            time_limit=self.time_limit,
        )

    def reset(self, key: Key[Array, ""]) -> NoReturn:
        """Fails: a team lives here by `live_on_host`."""
        del key
        raise self._not_jittable_error()

    def action_mask(self, state: Any) -> NoReturn:
        """Fails: a team lives here by `live_on_host`."""
        del state
        raise self._not_jittable_error()

    def step(self, key: Key[Array, ""], state: Any, action: Any) -> NoReturn:
        """Fails: a team lives here by `live_on_host`."""
        del key, state, action
        raise self._not_jittable_error()

    def _not_jittable_error(self) -> InvalidInputError:
        return InvalidInputError(
            f"{self.id} is stepped on the host; expected a task in JAX"
        )


class EnvPool:
    """Copies of an environment between two batches of episodes."""

    def __init__(self, id: str):
        self._id = id
        self._idle: list[MultiAgentEnv] = []

    def release(self, envs: list[MultiAgentEnv]) -> None:
        """Takes copies back."""
        self._idle.extend(envs)

    @contextmanager
    def acquire(self, count: int) -> Iterator[list[MultiAgentEnv]]:
        """Yields so many copies; seeds that learn side by side get their own.

        After a failure none of them is used again.
        """
        copies: list[MultiAgentEnv] = []
        try:
            for _ in range(count):
                copies.append(self._pop_or_make())
            yield copies
        except BaseException:
            close_envs(copies)
            raise
        self.release(copies)

    def close(self) -> None:
        """Closes what is on it; whoever needs copies later gets new ones."""
        idle, self._idle = self._idle, []
        close_envs(idle)

    def _pop_or_make(self) -> MultiAgentEnv:
        try:
            return self._idle.pop()
        except IndexError:
            return make_env(self._id)


@pytree_dataclass
class ShapeOnlyTask:
    """A task that is nothing but shapes; all that is seen and earned is zero."""

    id: str
    num_agents: int
    num_actions: int
    obs_dim: int
    time_limit: int
    shared_reward: bool = False

    def reset(self, key: Key[Array, ""]) -> tuple[Bool[Array, ""], Float[Array, "N O"]]:
        """Returns a state that says nothing, and zeros."""
        del key
        return jnp.zeros((), bool), jnp.zeros((self.num_agents, self.obs_dim))

    def action_mask(self, state: Any) -> Bool[Array, "N A"]:
        """All of them."""
        del state
        return jnp.ones((self.num_agents, self.num_actions), bool)

    def step(
        self, key: Key[Array, ""], state: Any, action: Int[Array, " N"]
    ) -> tuple[Any, TimeStep]:
        """Returns zeros."""
        del key, action
        never = jnp.zeros((), bool)
        obs = jnp.zeros((self.num_agents, self.obs_dim))
        return state, TimeStep(obs, jnp.zeros(self.num_agents), never, never)


def make_env(id: str) -> MultiAgentEnv:
    """Returns a new copy of the environment that `id` names.

    Raises:
        BadInput: there is none, or it does not open with these parameters.
    """
    kind, name, parameters = parse_env_id(id)
    parameters.pop(TIME_LIMIT_PARAMETER, None)
    try:
        return ENV_FACTORIES[kind](name, parameters)
    except InvalidInputError as failure:
        raise InvalidInputError(f"{id}: {failure}") from failure.__cause__
    except USER_CODE_EXCEPTIONS as error:
        raise InvalidInputError(
            f"{id} cannot be opened: {summarize_exception(error)}"
        ) from error


def close_envs(envs: list[MultiAgentEnv]) -> None:
    """Lets go of copies; what they did is done, even if this fails."""
    for copy in envs:
        with suppress(*USER_CODE_EXCEPTIONS):
            copy.close()


def parse_env_id(id: str) -> tuple[str, str, dict[str, Any]]:
    """Returns the library, the environment's name, and its parameters' values.

    Values are JSON, as in `N=3`, `coop=true`, `sizes=[8,8]`, or `none`; all else is
    text.

    Raises:
        BadInput: a parameter has no value, or is given twice.
    """
    head, mark, query = id.partition("?")
    kind, _, name = head.partition(":")
    if kind not in ENV_FACTORIES:
        raise unknown_name_error("kind of task", kind, ENV_FACTORIES)
    if not name:
        raise InvalidInputError(
            f"task {id!r} is incomplete; expected e.g. {_EXAMPLES[kind]}"
        )
    parameters: dict[str, Any] = {}
    for assignment in query.split("&") if mark else []:
        field, equals, text = assignment.partition("=")
        if not (field and equals):
            raise InvalidInputError(
                f"{assignment!r} sets nothing; expected PARAMETER=VALUE"
            )
        if field in parameters:
            raise InvalidInputError(f"{field} is given twice in {id!r}; expected once")
        parameters[field] = _parse_value(text)
    return kind, name, parameters


def _parse_value(text: str) -> Any:
    if text.lower() in LITERALS:
        return LITERALS[text.lower()]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _resolve_time_limit(id: str, requested: Any, env: MultiAgentEnv) -> int:
    limit = env.time_limit if requested is None else requested
    sign = "&" if "?" in id else "?"
    if limit is None:
        raise InvalidInputError(
            f"{id} does not say when an episode ends; expected {id}{sign}time_limit=N, "
            "N steps"
        )
    if type(limit) is not int or not 1 <= limit <= MAX_TIME_LIMIT:
        raise InvalidInputError(
            f"time_limit is {limit!r}; expected 1 to {MAX_TIME_LIMIT:,}"
        )
    return limit


_EXAMPLES = {
    "pettingzoo": "pettingzoo:mpe2.simple_spread_v3",
    "gymnasium": "gymnasium:lbforaging:Foraging-8x8-2p-3f-v3",
}
FAMILIES = (
    TaskFamily(
        prefix="pettingzoo:",
        pattern="pettingzoo:{module}[?{parameter}={value}&...]",
        example=_EXAMPLES["pettingzoo"],
        summary="any environment with PettingZoo's parallel API; stepped on the host",
        parse=ExternalEnv.parse,
    ),
    TaskFamily(
        prefix="gymnasium:",
        pattern="gymnasium:[{module}:]{id}[?{parameter}={value}&...]",
        example=_EXAMPLES["gymnasium"],
        summary="any of Gymnasium's with a tuple of agents; stepped on the host",
        parse=ExternalEnv.parse,
    ),
)
