"""Environments of Jumanji with several agents: one observation and one time step.

Source: Bonnet et al., "Jumanji: a Diverse Suite of Scalable Reinforcement Learning
    Environments in JAX", ICLR 2024.
"""

from collections.abc import Callable, Mapping
from operator import methodcaller
from typing import NamedTuple, Protocol, cast, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.errors import InvalidInputError, unknown_name_error
from syntony.plugins import import_user_module, quiet
from syntony.pytrees import PyTree
from syntony.tasks.jax_envs.adapter import (
    UNREACHABLE_LIMIT,
    EnvStep,
    accepted_parameters,
    flatten,
    require_known_parameters,
    split_reward,
)

GENERATOR_ATTRIBUTES = ("_generator", "generator")
"""Attributes in which environments keep the generator of their initial states."""


@runtime_checkable
class Observation(Protocol):
    """Observation of all agents; a named tuple that has other fields as well."""

    @property
    def action_mask(self) -> Bool[Array, "N A"]: ...


@runtime_checkable
class LibraryTimeStep(Protocol):
    """Time step of Jumanji, as of dm_env."""

    @property
    def observation(self) -> Observation: ...

    @property
    def reward(self) -> Array: ...

    def last(self) -> Bool[Array, ""]: ...


@runtime_checkable
class Environment(Protocol):
    """An environment of Jumanji."""

    def reset(
        self, key: Key[Array, ""], /
    ) -> tuple[PyTree[Array], LibraryTimeStep]: ...

    def step(
        self, state: PyTree[Array], action: Int[Array, " N"], /
    ) -> tuple[PyTree[Array], LibraryTimeStep]: ...


class JumanjiState(NamedTuple):
    """The environment's state, and the action mask of its last observation."""

    env_state: PyTree[Array]
    action_mask: Bool[Array, "N A"]


class JumanjiEnv:
    """A multi-agent environment of Jumanji.

    Its limit of steps is lifted, as some environments call an end by it a termination.
    """

    ends_at_time_limit = False
    shared_reward = False

    def __init__(self, env: object, observe: "ObserveFn"):
        self._env = cast(Environment, env)
        self._observe = observe
        self.time_limit = int(vars(env)["time_limit"])
        vars(env)["time_limit"] = UNREACHABLE_LIMIT
        _, first = jax.eval_shape(self._env.reset, jax.random.key(0))
        agents, actions = first.observation.action_mask.shape
        self.action_counts = (actions,) * agents

    def reset(self, key: Key[Array, ""]) -> tuple[JumanjiState, Float[Array, "N O"]]:
        """Initial state and observations of an episode."""
        state, step = self._env.reset(key)
        observation = step.observation
        return JumanjiState(state, observation.action_mask), self._observe(observation)

    def action_mask(self, state: JumanjiState) -> Bool[Array, "N A"]:
        """Mask of the available actions; the first if an agent has none."""
        has_none = ~jnp.any(state.action_mask, axis=-1)
        return state.action_mask.at[:, 0].set(state.action_mask[:, 0] | has_none)

    def alive(self, state: JumanjiState) -> Bool[Array, " N"]:
        """All agents act until the end."""
        del state
        return jnp.ones(len(self.action_counts), bool)

    def global_state(self, state: JumanjiState) -> Float[Array, " S"]:
        """Empty: Jumanji has none."""
        del state
        return jnp.zeros(0)

    def step(
        self, key: Key[Array, ""], state: JumanjiState, action: Int[Array, " N"]
    ) -> tuple[JumanjiState, EnvStep]:
        """Applies the joint action."""
        del key  # Jumanji keeps its own in the state.
        env_state, step = self._env.step(state.env_state, action)
        observation, reward = step.observation, step.reward
        if reward.ndim == 0:
            reward = split_reward(reward, self.alive(state))
        next_state = JumanjiState(env_state, observation.action_mask)
        return next_state, EnvStep(self._observe(observation), reward, step.last())


def fields_by_name(observation: Observation) -> dict[str, Array]:
    """Arrays of an observation."""
    return methodcaller("_asdict")(observation)


def observe_rows(observation: Observation) -> Float[Array, "N O"]:
    """Each agent's rows of the fields that have one for each agent.

    If there are other fields, every agent observes them, and which agent it is. Action
    masks and step counters are left out.
    """
    fields = fields_by_name(observation)
    num_agents = fields.pop("action_mask").shape[0]
    fields.pop("step_count", None)
    own = {name for name, x in fields.items() if x.ndim and x.shape[0] == num_agents}
    rows = [jax.vmap(flatten)(fields[name]) for name in fields if name in own]
    common = [fields[name] for name in fields if name not in own]
    if common:
        same = jnp.broadcast_to(flatten(common), (num_agents, flatten(common).size))
        rows += [same, jnp.eye(num_agents)]
    return jnp.concatenate(rows, axis=-1)


def observe_paths(observation: Observation) -> Float[Array, "N O"]:
    """Connector's board from each agent's view, cell by cell.

    Six planes: own path, position and target, and those of all others.
    """
    fields = fields_by_name(observation)
    agents = jnp.arange(fields["action_mask"].shape[0])
    kind, owner = (fields["grid"] - 1) % 3, (fields["grid"] - 1) // 3
    planes = (kind == jnp.arange(3)[:, None, None]) & (fields["grid"] > 0)
    own = owner == agents[:, None, None]
    views = jnp.stack([own[:, None] & planes, ~own[:, None] & planes], axis=1)
    return views.reshape(len(agents), -1).astype(jnp.float32)


def observe_maze(observation: Observation) -> Float[Array, "N O"]:
    """Cleaner's maze, cell by cell: dirty, wall, all agents, and the agent itself."""
    fields = fields_by_name(observation)
    grid, place = fields["grid"], fields["agents_locations"]
    agents = jnp.arange(len(place))
    own = jnp.zeros((len(place), *grid.shape)).at[agents, place[:, 0], place[:, 1]]
    itself = own.set(1.0)
    common = jnp.stack([grid == 0, grid == 2, jnp.max(itself, axis=0) > 0])
    common = jnp.broadcast_to(common, (len(place), *common.shape))
    views = jnp.concatenate([common, itself[:, None]], axis=1)
    return views.reshape(len(place), -1)


ObserveFn = Callable[[Observation], Float[Array, "N O"]]
OBSERVE_FNS: dict[str, ObserveFn] = {
    "Connector": observe_paths,
    "Cleaner": observe_maze,
}
"""Observations of environments with one board, by name without version."""


def make_jumanji_env(name: str, parameters: Mapping[str, object]) -> JumanjiEnv:
    """Opens `jumanji.make(name, **parameters)`.

    Parameters of the environment's generator are passed to it, e.g. `num_agents=3`.

    Raises:
        InvalidInputError: there is no such environment or parameter, or it has one
            agent, continuous actions or no limit of steps.
    """
    with quiet():
        library = import_user_module("jumanji")
    names = library.registered_environments()
    if name not in names:
        raise unknown_name_error("environment of Jumanji", name, names)
    with quiet():
        default = library.make(name)
        require_agents(default)
        env = library.make(name, **_constructor_values(default, parameters))
    return JumanjiEnv(env, OBSERVE_FNS.get(name.partition("-v")[0], observe_rows))


def require_agents(env: object) -> None:
    """Raises `InvalidInputError` unless an environment has several agents."""
    spec = getattr(env, "action_spec", None)
    for attribute, holder in (
        ("num_agents", env),
        ("time_limit", env),
        ("num_values", spec),
    ):
        if not hasattr(holder, attribute):
            raise InvalidInputError(
                f"it has no {attribute}; expected several agents with discrete "
                "actions, and a time limit"
            )


def _constructor_values(
    default: object, parameters: Mapping[str, object]
) -> dict[str, object]:
    """Arguments of an environment's class, of which one may be a generator."""
    names = [name for name in GENERATOR_ATTRIBUTES if hasattr(default, name)]
    generator: object = getattr(default, names[0])
    of_env, of_generator = map(accepted_parameters, (default, generator))
    require_known_parameters(parameters, [*of_env, *of_generator])
    values = {name: x for name, x in parameters.items() if name in of_env}
    changed = {name: x for name, x in parameters.items() if name not in of_env}
    if changed:
        kept = {name: _attribute(generator, name) for name in of_generator}
        values["generator"] = type(generator)(**(kept | changed))
    return values


def _attribute(generator: object, name: str) -> object:
    return getattr(generator, name, getattr(generator, f"_{name}", None))
