"""Actors of a team: one network for all agents, or one for each."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float, Key

from syntony.networks.actors import ACTORS, Actor, initial_actor_hidden, make_actor
from syntony.networks.agents import agent_ids, init_per_agent
from syntony.networks.user_network import NetworkSpec, check_network
from syntony.pytrees import PyTree
from syntony.tasks.rollout import Policy
from syntony.tasks.task import Task

FeatureFn = Callable[[Float[Array, "*batch N O"]], Float[Array, "*batch N F"]]
"""Observations to the inputs of the actors."""


@runtime_checkable
class ActorConfig(Protocol):
    """Part of a config that describes the actors."""

    @property
    def actor(self) -> str: ...

    @property
    def hidden(self) -> int: ...

    @property
    def shared_actor(self) -> bool: ...


def actor_spec(config: ActorConfig, task: Task, feature_dim: int) -> NetworkSpec:
    """Name and sizes of the actors; their inputs are features and a one-hot agent id.

    Args:
        config: name, width.
        task: the task with the observations that the networks see.
        feature_dim: number of features without the agent id.
    """
    in_size = feature_dim + task.num_agents
    sizes = in_size, task.num_actions, config.hidden, task.num_agents
    return NetworkSpec(config.actor, *sizes)


def check_actor(config: ActorConfig, task: Task, feature_dim: int) -> None:
    """Raises InvalidInputError if there is no such actor, or a user's does not fit."""
    spec = actor_spec(config, task, feature_dim)
    check_network("actor", spec, ACTORS, recurrent=True)


def init_actors(
    config: ActorConfig, task: Task, feature_dim: int, key: Key[Array, ""]
) -> Actor:
    """Initial actors: one network for all agents, or one for each."""
    spec = actor_spec(config, task, feature_dim)
    if config.shared_actor:
        return make_actor(spec, key)
    return init_per_agent(lambda key: make_actor(spec, key), task.num_agents, key)


def recurrent_policy(
    config: ActorConfig, actor: Actor, feature_fn: FeatureFn
) -> Policy:
    """Policy of all agents; its hidden state is the actors'."""

    def policy(
        obs: Float[Array, "E N O"], hidden: PyTree[Array]
    ) -> tuple[Float[Array, "E N A"], PyTree[Array]]:
        return act(actor, feature_fn(obs), hidden, shared=config.shared_actor)

    return policy


def act(
    actor: Actor,
    features: Float[Array, "E N F"],
    hidden: PyTree[Array],
    *,
    shared: bool,
) -> tuple[Float[Array, "E N A"], PyTree[Array]]:
    """Outputs of the actors (logits, or Q-values) and their next hidden states."""

    def act_alone(
        actor: Actor, features: Array, agent_id: Array, h: PyTree[Array]
    ) -> tuple[Array, PyTree[Array]]:
        return actor(features, agent_id, h)

    # A leaf of a user's hidden state may have any number of axes after the agents'.
    apply = act_alone if shared else jax.vmap(act_alone, (0, -2, -2, 1), (-2, 1))
    return apply(actor, features, agent_ids(features.shape[-2]), hidden)


def unroll(
    actor: Actor,
    features: Float[Array, "T E N F"],
    hidden: PyTree[Array] | None = None,
    *,
    shared: bool,
) -> Float[Array, "T E N A"]:
    """Outputs of the actors over consecutive steps.

    Args:
        actor: the actors.
        features: their inputs.
        hidden: hidden states before the first step; None: those of an episode's start.
        shared: whether all agents share one network.
    """

    def unroll_alone(
        actor: Actor, features: Array, agent_id: Array, h: PyTree[Array] | None
    ) -> Array:
        return actor.unroll(features, agent_id, h)

    apply = unroll_alone if shared else jax.vmap(unroll_alone, (0, -2, -2, 1), -2)
    return apply(actor, features, agent_ids(features.shape[-2]), hidden)


def initial_hidden_state(
    config: ActorConfig, task: Task, feature_dim: int, episodes: int
) -> PyTree[Array]:
    """Hidden state of the actors at the start of episodes, [E, N, ...] each leaf."""
    spec = actor_spec(config, task, feature_dim)
    return initial_actor_hidden(spec, (episodes, task.num_agents))
