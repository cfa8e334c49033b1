"""Time limits of other libraries' environments."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from numbers import Integral
from typing import cast

from syntony.errors import USER_CODE_EXCEPTIONS

TIME_LIMIT_NAMES = (
    *("max_cycles", "max_episode_steps", "_max_episode_steps", "max_steps"),
    *("_max_steps", "max_num_steps", "episode_limit", "time_limit", "ep_length"),
    *("episode_length", "max_episode_length"),
)
"""Attributes and parameters in which environments keep the steps of an episode."""
INNER_ENV_NAMES = ("unwrapped", "aec_env", "env", "_env", "par_env")
"""Attributes in which environments keep the one that they wrap."""
MAX_NESTING = 8


def own_time_limit(
    env: object,
    parameters: Mapping[str, object],
    factory: Callable[..., object] | None = None,
) -> int | None:
    """Steps after which an environment ends an episode by itself; None if unknown.

    It is the shortest of what the environment and those within it hold and of what it
    was given, as it may ignore a parameter. Without any, it is a parameter's default.

    Args:
        env: the environment.
        parameters: those with which it was made.
        factory: the function that made it.
    """
    envs = _nested_envs(env)
    told = [read(x) for x in envs for read in (_attributes, _env_info)]
    limits = [limit for x in (*told, parameters) if (limit := _limit_in(x)) is not None]
    if limits:
        return min(limits)
    makers = [factory, *(type(inner).__init__ for inner in envs)]
    defaults = [_limit_in(_defaults(maker)) for maker in makers if maker]
    return next((limit for limit in defaults if limit is not None), None)


def _nested_envs(env: object) -> list[object]:
    """The environment and those that it wraps."""
    found = [env]
    for outer in found:
        inner = [getattr(outer, name, None) for name in INNER_ENV_NAMES]
        known = {id(x) for x in found}
        found += [x for x in inner if x is not None and id(x) not in known]
        if len(found) > MAX_NESTING:
            break
    return found


def _attributes(env: object) -> Mapping[str, object]:
    return {name: getattr(env, name, None) for name in TIME_LIMIT_NAMES}


def _env_info(env: object) -> Mapping[str, object]:
    """Result of PyMARL's `get_env_info`; empty without it."""
    get_env_info = getattr(env, "get_env_info", None)
    with suppress(*USER_CODE_EXCEPTIONS):
        info = get_env_info() if callable(get_env_info) else None
        return cast(Mapping[str, object], info) if isinstance(info, Mapping) else {}
    return {}


def _defaults(function: Callable[..., object]) -> Mapping[str, object]:
    with suppress(TypeError, ValueError):
        parameters = inspect.signature(function).parameters
        return {name: x.default for name, x in parameters.items()}
    return {}


def _limit_in(source: Mapping[str, object]) -> int | None:
    for name in TIME_LIMIT_NAMES:
        value = source.get(name)
        if isinstance(value, bool) or not isinstance(value, Integral):
            continue
        if int(value) > 0:
            return int(value)
    return None


def requested_limits(parameters: Mapping[str, object]) -> Iterator[tuple[str, int]]:
    """Limits among an id's parameters, with their names."""
    for name in TIME_LIMIT_NAMES:
        limit = _limit_in({name: parameters.get(name)})
        if limit is not None:
            yield name, limit
