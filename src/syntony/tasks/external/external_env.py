"""Environments of other libraries, which are stepped on the host, one by one.

    pettingzoo:mpe2.simple_spread_v3?N=4&max_cycles=50
    gymnasium:lbforaging:Foraging-8x8-2p-3f-v3?max_player_level=3

They are black boxes: called between compiled functions, never within one.
"""

import dataclasses
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NoReturn, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import field, pytree_dataclass
from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    InvalidInputError,
)
from syntony.plugins import ImportFn
from syntony.pytrees import HiddenT
from syntony.tasks.env_id import opening, parse_env_id
from syntony.tasks.external import batched
from syntony.tasks.external.adapter import AgentAdapter, MultiAgentEnv, max_sizes
from syntony.tasks.external.batched import BatchedPool
from syntony.tasks.external.env_batch import EnvBatch, SeparateEnvs
from syntony.tasks.external.env_methods import IMAGE_MODE
from syntony.tasks.external.frames import (
    RENDER_MODE_PARAMETER,
    FrameRecorder,
    RecordedEnvs,
)
from syntony.tasks.external.gymnasium import make_gymnasium_env
from syntony.tasks.external.limits import requested_limits
from syntony.tasks.external.originals import original_benchmark
from syntony.tasks.external.pettingzoo import make_pettingzoo_env
from syntony.tasks.external.process import (
    PYTHON_PARAMETER,
    ProcessEnv,
    starting_process,
)
from syntony.tasks.external.team import (
    OTHERS_PARAMETER,
    TEAM_PARAMETER,
    agent_name,
    opposing_sides,
    select_team,
)
from syntony.tasks.family import TaskFamily
from syntony.tasks.rollout import ActFn, Trajectory
from syntony.tasks.scene import Benchmark
from syntony.tasks.task import TimeStep

TIME_LIMIT_PARAMETER = "time_limit"
OWN_PARAMETERS = (TIME_LIMIT_PARAMETER, TEAM_PARAMETER, OTHERS_PARAMETER)
"""Parameters that are not passed to the environment."""
MAX_FEATURES = 10_000
"""Numbers of an observation above which there is a warning."""
MAX_TIME_LIMIT = 1_000_000
MAX_THREADS = 64
"""Processes of environments that are waited for at the same time."""

EnvFactory = Callable[..., MultiAgentEnv]
"""Opens an environment by its name and parameters; imports modules by an `ImportFn`."""
ENV_FACTORIES: dict[str, EnvFactory] = {
    "pettingzoo": make_pettingzoo_env,
    "gymnasium": make_gymnasium_env,
}
EXAMPLES = {
    "pettingzoo": "pettingzoo:mpe2.simple_spread_v3",
    "gymnasium": "gymnasium:lbforaging:Foraging-8x8-2p-3f-v3",
}


# Not a `pytree_dataclass`: JAX would lose the pool of open environments.
@jax.tree_util.register_static
@dataclass(frozen=True, kw_only=True)
class ExternalEnv:
    """An environment of another library as a task.

    Observations are padded with zeros to the longest of all agents. Agents with fewer
    actions than others have some that are never available.
    """

    id: str
    num_agents: int
    num_actions: int
    obs_dim: int
    time_limit: int
    global_state_dim: int = 0
    action_counts: tuple[int, ...] = ()
    """Number of actions of each agent."""

    shared_reward = False

    @classmethod
    def parse(cls, id: str) -> "ExternalEnv":
        """Task with this id; the environment is opened once to read its sizes.

        Raises:
            InvalidInputError: there is no such environment, or its spaces are not
                supported.
        """
        parameters = parse_env_id(id, EXAMPLES).parameters
        env = make_env(id)
        close_envs([env])
        obs_dim, num_actions = max_sizes(env.adapters)
        time_limit = _resolve_time_limit(id, parameters, env.time_limit)
        _warn_of_sizes_and_sides(id, parameters, env.adapters)
        return cls(
            id=id,
            num_agents=len(env.adapters),
            num_actions=num_actions,
            obs_dim=obs_dim,
            time_limit=time_limit,
            global_state_dim=env.global_state_dim,
            action_counts=tuple(v.num_actions for v in env.adapters),
        )

    @classmethod
    def parse_batched(cls, id: str) -> "ExternalEnv":
        """Task of a simulator that steps many environments in one call.

        Raises:
            InvalidInputError: there is no such simulator, or it lacks what is needed.
        """
        parameters = parse_env_id(id, {batched.LIBRARY: batched.EXAMPLE}).parameters
        envs = batched.open_batched_envs(id, 1)
        envs.close()
        return cls(
            id=id,
            num_agents=envs.num_agents,
            num_actions=envs.num_actions,
            obs_dim=envs.obs_dim,
            time_limit=_resolve_time_limit(id, parameters, envs.time_limit),
            global_state_dim=envs.global_state_dim,
        )

    @property
    def benchmark(self) -> Benchmark:
        """Benchmark that the environment is an original of."""
        return original_benchmark(self.id)

    @cached_property
    def env_pool(self) -> "EnvPool":
        """Pool of open environments that are not in use."""
        return EnvPool(self.id)

    @cached_property
    def batched_pool(self) -> BatchedPool:
        """Pool of simulators that are not in use."""
        return BatchedPool(self.id)

    @cached_property
    def warned(self) -> set[str]:
        """Kinds of warnings that have been given."""
        return set()

    @cached_property
    def episode_lengths(self) -> Counter[int]:
        """Number of episodes of each length so far."""
        return Counter()

    @property
    def is_batched(self) -> bool:
        """Whether one call steps all environments."""
        return self.id.startswith(f"{batched.LIBRARY}:")

    def acquire_batch(self, count: int) -> AbstractContextManager[EnvBatch]:
        """Context with `count` environments, stepped together, that no other uses."""
        pool = self.batched_pool if self.is_batched else self.env_pool
        return pool.acquire_batch(count)

    def recording(self, recorder: FrameRecorder) -> "ExternalEnv":
        """The same task; a recorder gets the images of its episodes.

        Raises:
            InvalidInputError: one call steps all environments, which has no images.
        """
        if self.is_batched:
            raise InvalidInputError(
                f"{self.id} cannot be drawn; expected a task with images of one episode"
            )
        task = dataclasses.replace(self)
        vars(task)["env_pool"] = EnvPool(self.id, recorder)
        return task

    def shape_only_task(self) -> "ShapeOnlyTask":
        """A task of the same shapes that can be compiled."""
        return ShapeOnlyTask(
            id=self.id,
            num_agents=self.num_agents,
            num_actions=self.num_actions,
            obs_dim=self.obs_dim,
            time_limit=self.time_limit,
            global_state_dim=self.global_state_dim,
        )

    def rollout(
        self,
        act_fn: ActFn[HiddenT],
        initial_hidden: HiddenT,
        key: Key[Array, ""],
        *,
        episodes: int,
        num_envs: int,
        greedy: Bool[Array, ""] | bool = False,
        last_action: bool = False,
    ) -> Trajectory:
        """Whole episodes; see `rollout_external`."""
        # Imported late: that module imports this one.
        from syntony.tasks.external.rollout import rollout_external

        return rollout_external(
            self,
            act_fn,
            initial_hidden,
            key,
            episodes=episodes,
            num_envs=num_envs,
            greedy=greedy,
            last_action=last_action,
        )

    def close(self) -> None:
        """Closes the open environments that are not in use."""
        self.env_pool.close()
        self.batched_pool.close()

    def reset(self, key: Key[Array, ""]) -> NoReturn:
        """Not available: episodes come from `rollout`."""
        del key
        raise self._not_jittable_error()

    def action_mask(self, state: object) -> NoReturn:
        """Not available: episodes come from `rollout`."""
        del state
        raise self._not_jittable_error()

    def global_state(self, state: object) -> NoReturn:
        """Not available: episodes come from `rollout`."""
        del state
        raise self._not_jittable_error()

    def step(self, key: Key[Array, ""], state: object, action: object) -> NoReturn:
        """Not available: episodes come from `rollout`."""
        del key, state, action
        raise self._not_jittable_error()

    def _not_jittable_error(self) -> InvalidInputError:
        return InvalidInputError(
            f"{self.id} is stepped on the host; expected a task in JAX"
        )


class EnvPool:
    """Open environments that are reused between batches of episodes.

    Args:
        id: id of the task.
        recorder: gets images of the episodes; by default there are none.
    """

    def __init__(self, id: str, recorder: FrameRecorder | None = None):
        self._id = id
        self._recorder = recorder
        self._idle: list[MultiAgentEnv] = []
        _, _, query = id.partition("?")
        has_processes = f"&{PYTHON_PARAMETER}=" in f"&{query}"
        self._executor = ThreadPoolExecutor(MAX_THREADS) if has_processes else None

    def release(self, envs: list[MultiAgentEnv]) -> None:
        """Puts environments back into the pool."""
        self._idle.extend(envs)

    @contextmanager
    def acquire(self, count: int) -> Generator[list[MultiAgentEnv], None, None]:
        """Context with `count` environments that no other context uses.

        After an exception all of them are closed.
        """
        envs: list[MultiAgentEnv] = []
        try:
            for _ in range(count):
                envs.append(self._pop_or_make())
            yield envs
        except BaseException:
            close_envs(envs)
            raise
        self.release(envs)

    @contextmanager
    def acquire_batch(self, count: int) -> Generator[EnvBatch, None, None]:
        """As `acquire`, with environments that are stepped together."""
        with self.acquire(count) as envs:
            batch = SeparateEnvs(self._id, envs, self._executor)
            recorder = self._recorder
            yield batch if recorder is None else RecordedEnvs(batch, envs, recorder)

    def close(self) -> None:
        """Closes the unused environments; new ones are made on demand."""
        idle, self._idle = self._idle, []
        close_envs(idle)

    def _pop_or_make(self) -> MultiAgentEnv:
        try:
            return self._idle.pop()
        except IndexError:
            make = make_env if self._recorder is None else make_env_with_images
            return make(self._id)


@pytree_dataclass
class ShapeOnlyTask:
    """A task with given shapes whose observations and rewards are zero."""

    id: str = field(static=True)
    num_agents: int = field(static=True)
    num_actions: int = field(static=True)
    obs_dim: int = field(static=True)
    time_limit: int = field(static=True)
    shared_reward: bool = field(False, static=True)
    global_state_dim: int = field(0, static=True)

    @property
    def benchmark(self) -> Benchmark:
        """Benchmark of the environment, as its id tells."""
        return original_benchmark(self.id)

    def reset(self, key: Key[Array, ""]) -> tuple[Bool[Array, ""], Float[Array, "N O"]]:
        """An empty state, and observations of zero."""
        del key
        return jnp.zeros((), bool), jnp.zeros((self.num_agents, self.obs_dim))

    def global_state(self, state: Bool[Array, ""]) -> Float[Array, " S"]:
        """A global state of zero."""
        del state
        return jnp.zeros(self.global_state_dim)

    def action_mask(self, state: Bool[Array, ""]) -> Bool[Array, "N A"]:
        """All actions are available."""
        del state
        return jnp.ones((self.num_agents, self.num_actions), bool)

    def step(
        self, key: Key[Array, ""], state: Bool[Array, ""], action: Int[Array, " N"]
    ) -> tuple[Bool[Array, ""], TimeStep]:
        """The same state, with observations and rewards of zero."""
        del key, action
        never = jnp.zeros((), bool)
        obs = jnp.zeros((self.num_agents, self.obs_dim))
        return state, TimeStep(obs, jnp.zeros(self.num_agents), never, never)


def make_env(id: str) -> MultiAgentEnv:
    """Opens a new environment with this id.

    Raises:
        InvalidInputError: there is none, or it cannot be opened with these parameters.
    """
    library, name, parameters = parse_env_id(id, EXAMPLES)
    of_env = {k: v for k, v in parameters.items() if k not in OWN_PARAMETERS}
    with opening(id):
        return select_team(_open_env(library, name, of_env), parameters)


def make_env_with_images(id: str) -> MultiAgentEnv:
    """Opens a new environment that draws images, where it has that render mode."""
    # No window is wanted, nor may there be a screen.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    if sys.platform == "linux" and "DISPLAY" not in os.environ:
        os.environ.setdefault("PYGLET_HEADLESS", "true")
    if RENDER_MODE_PARAMETER in parse_env_id(id, EXAMPLES).parameters:
        return make_env(id)
    separator = "&" if "?" in id else "?"
    try:
        with warnings.catch_warnings():
            # That it has other modes: then `render` is asked for an image.
            warnings.filterwarnings("ignore", f".*{RENDER_MODE_PARAMETER}")
            return make_env(f"{id}{separator}{RENDER_MODE_PARAMETER}={IMAGE_MODE}")
    except InvalidInputError:
        return make_env(id)


def _open_env(library: str, name: str, parameters: dict[str, object]) -> MultiAgentEnv:
    make = ENV_FACTORIES[library]
    if PYTHON_PARAMETER not in parameters:
        return make(name, parameters)
    with starting_process(parameters) as process:
        # Its modules have any attributes, as those of this process have.
        import_module = cast(ImportFn, process.import_module)
        return ProcessEnv(make(name, parameters, import_module), process)


def close_envs(envs: list[MultiAgentEnv]) -> None:
    """Closes environments; exceptions are ignored, as their results are complete."""
    for env in envs:
        with suppress(*USER_CODE_EXCEPTIONS):
            env.close()


def _resolve_time_limit(
    id: str, parameters: Mapping[str, object], of_env: int | None
) -> int:
    """Time limit of an id: the shorter of the requested one and the environment's."""
    requested = parameters.get(TIME_LIMIT_PARAMETER)
    limit = of_env if requested is None else requested
    separator = "&" if "?" in id else "?"
    if limit is None:
        raise InvalidInputError(
            f"{id} does not say when an episode ends; expected "
            f"{id}{separator}time_limit=N, N steps"
        )
    if type(limit) is not int or not 1 <= limit <= MAX_TIME_LIMIT:
        raise InvalidInputError(
            f"time_limit is {limit!r}; expected 1 to {MAX_TIME_LIMIT:,}"
        )
    if of_env is None:
        return limit
    for name, value in requested_limits(parameters):
        if value > of_env:
            _warn_once(
                f"{id}: episodes are truncated after {of_env} steps, the environment's "
                f"own limit; {name}={value} is longer and has no effect"
            )
    return min(limit, of_env)


def _warn_of_sizes_and_sides(
    id: str, parameters: Mapping[str, object], adapters: Sequence[AgentAdapter]
) -> None:
    """Warns of long observations, and of agents that play against each other."""
    obs_dim, _ = max_sizes(adapters)
    if obs_dim > MAX_FEATURES:
        _warn_once(
            f"{id}: observations have {obs_dim:,} features; all are inputs of one "
            "dense layer"
        )
    sides = opposing_sides(adapters)
    if sides and TEAM_PARAMETER not in parameters:
        example = ",".join(
            agent_name(v.agent_id)
            for v in adapters
            if agent_name(v.agent_id).startswith(sides[0])
        )
        _warn_once(
            f"{id}: rewards of {' and '.join(sides)} are added, as of one team; to "
            f"choose a side: team={example}"
        )


@cache
def _warn_once(message: str) -> None:
    """Warns, once in a process: ids are parsed several times."""
    warnings.warn(message, stacklevel=3)


FAMILIES = (
    TaskFamily(
        prefix="pettingzoo:",
        pattern="pettingzoo:{module}[?{parameter}={value}&...]",
        example=EXAMPLES["pettingzoo"],
        summary="any environment of PettingZoo; stepped on the host",
        parse=ExternalEnv.parse,
    ),
    TaskFamily(
        prefix="gymnasium:",
        pattern="gymnasium:[{module}:]{id}[?{parameter}={value}&...]",
        example=EXAMPLES["gymnasium"],
        summary="any Gymnasium environment with tuple spaces; stepped on the host",
        parse=ExternalEnv.parse,
    ),
    TaskFamily(
        prefix=f"{batched.LIBRARY}:",
        pattern="batched:{module}:{name}[?{parameter}={value}&...]",
        example=batched.EXAMPLE,
        summary="your own simulator of many environments; stepped on the host",
        parse=ExternalEnv.parse_batched,
    ),
)
