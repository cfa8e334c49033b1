"""A team in which some agents act as those of another team: cross-play."""

from collections.abc import Mapping
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import field, pytree_dataclass
from syntony.pytrees import PyTree
from syntony.systems.marl.base import MultiAgentSystem
from syntony.systems.system import (
    ActsInEpisodes,
    HasEvaluationState,
    Metrics,
    observes_last_action,
)
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task


class MixedTeamState(NamedTuple):
    """States of both teams, and which agents are of the other one."""

    team: PyTree[Array]
    other: PyTree[Array]
    newcomers: Bool[Array, " N"]
    """True for the agents that act as those of the other team."""
    key: Key[Array, ""]
    env_steps: Int[Array, ""]


@pytree_dataclass
class MixedTeam(MultiAgentSystem[MixedTeamState]):
    """Two trained teams of one task, whose agents act side by side; it does not learn.

    The teams may be of different systems. Each agent has the observations that its own
    team was trained on, and the hidden state of its own team.
    """

    task: Task
    team: ActsInEpisodes
    """The team of all agents that are no newcomers."""
    other: ActsInEpisodes
    """The team of the newcomers."""
    num_envs: int = field(10, static=True)
    """Environments side by side, of a task that is stepped on the host."""

    @property
    def last_action(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return observes_last_action(self.team) or observes_last_action(self.other)

    def check(self) -> None:
        """Both teams were checked when they were trained."""

    def init(self, key: Key[Array, ""]) -> MixedTeamState:
        """Initial states of both teams, without newcomers; the key is consumed."""
        team_key, other_key, key = jax.random.split(key, 3)
        return MixedTeamState(
            team=self.team.init(team_key),
            other=self.other.init(other_key),
            newcomers=jnp.zeros(self.task.num_agents, bool),
            key=key,
            env_steps=jnp.zeros((), jnp.int32),
        )

    def update(
        self, state: MixedTeamState, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[MixedTeamState, Metrics]:
        """The same state: the teams have learned elsewhere."""
        del trajectory, key
        return state, {}

    def policy(self, state: MixedTeamState) -> Policy:
        """Logits of each agent by the policy of its own team."""
        policies = self.team.policy(state.team), self.other.policy(state.other)
        teams, newcomers = (self.team, self.other), state.newcomers

        def policy(
            obs: Float[Array, "E N O"], hidden: tuple[PyTree[Array], PyTree[Array]]
        ) -> tuple[Float[Array, "E N A"], tuple[PyTree[Array], PyTree[Array]]]:
            (logits, h), (other_logits, other_h) = (
                act(self.observed_part(team, obs), h)
                for team, act, h in zip(teams, policies, hidden, strict=True)
            )
            return jnp.where(newcomers[:, None], other_logits, logits), (h, other_h)

        return policy

    def observed_part(
        self, team: ActsInEpisodes, obs: Float[Array, "E N O"]
    ) -> Float[Array, "E N P"]:
        """Observations as a team knows them: last actions only if it observes them."""
        return obs if observes_last_action(team) else obs[..., : self.task.obs_dim]

    def initial_hidden(self, episodes: int) -> tuple[PyTree[Array], PyTree[Array]]:
        return self.team.initial_hidden(episodes), self.other.initial_hidden(episodes)

    def evaluation_state(self, state: MixedTeamState) -> MixedTeamState:
        return state._replace(
            team=evaluation_state(self.team, state.team),
            other=evaluation_state(self.other, state.other),
        )

    def params(
        self, state: MixedTeamState
    ) -> Mapping[str, PyTree[Float[Array, "..."]]]:
        return {
            "team": self.team.params(state.team),
            "other": self.other.params(state.other),
        }


def evaluation_state(team: ActsInEpisodes, state: PyTree[Array]) -> PyTree[Array]:
    """State with which a team acts in evaluations."""
    # A check of a protocol forgets the type of the state.
    evaluated: object = team
    if isinstance(evaluated, HasEvaluationState):
        return cast(HasEvaluationState[PyTree[Array]], evaluated).evaluation_state(
            state
        )
    return state
