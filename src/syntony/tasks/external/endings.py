"""Endings of agents and of episodes, by the rules of docs/guide/own-task.md."""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Bool
from numpy.typing import ArrayLike

from syntony.errors import EnvironmentStepError

ALL_AGENTS_KEY = "__all__"
"""Key of a flag that holds for all agents, as RLlib's environments have it."""


class AgentEndings(NamedTuple):
    """Agents that ended in one step, and which of them were truncated."""

    ended: Bool[np.ndarray, " N"]
    truncated: Bool[np.ndarray, " N"]


class EpisodeStatus:
    """Which agents of an episode still act.

    An agent acts while the environment lists it, until it has reported its end. One
    that has left the list and appears in it again acts again.

    Args:
        num_agents: number of agents N.
    """

    def __init__(self, num_agents: int):
        self.alive = np.zeros(num_agents, bool)
        self._finished = np.zeros(num_agents, bool)

    def reset(self, listed: Bool[np.ndarray, " N"]) -> None:
        """Starts an episode of the listed agents.

        Raises:
            EnvironmentStepError: there is none.
        """
        if not listed.any():
            raise EnvironmentStepError("there is no agent; expected at least one")
        self.alive = listed.copy()
        self._finished = np.zeros_like(listed)

    def update(
        self,
        listed: Bool[np.ndarray, " N"],
        terminated: Bool[np.ndarray, " N"],
        truncated: Bool[np.ndarray, " N"],
        *,
        at_limit: bool,
    ) -> AgentEndings:
        """Updates which agents act, and tells which ended in this step.

        Args:
            listed: agents in the environment's list after the step.
            terminated: agents that report a termination.
            truncated: agents that report a truncation.
            at_limit: whether this is the last step of the environment's own limit: an
                agent that then leaves the list without a report was truncated.
        """
        reported = terminated | truncated
        self._finished = (self._finished | reported) & listed
        alive = listed & ~self._finished
        ended = self.alive & ~alive
        self.alive = alive
        cut = (truncated & ~terminated) | (~reported & at_limit)
        return AgentEndings(ended, ended & cut)


def episode_end(
    alive: Bool[np.ndarray, " N"], truncated: Bool[np.ndarray, " N"]
) -> tuple[bool, bool]:
    """Whether an episode terminated, and whether it was truncated.

    It ends when no agent acts any more. It is truncated if at least one of the agents
    that ended in its last step was.

    Args:
        alive: agents that act after the step.
        truncated: agents that were truncated in the step.
    """
    over, cut = not alive.any(), bool(truncated.any())
    return over and not cut, over and cut


def agent_flags(
    name: str, flags: object, agents: Sequence[Hashable]
) -> Bool[np.ndarray, " N"]:
    """Flag of each agent, from a mapping by agent, a sequence, or one for all.

    Args:
        name: what the flags are, for error messages.
        flags: as the environment returned them; agents that are missing in a mapping
            have none, and `__all__` holds for all.
        agents: ids of the agents.

    Raises:
        EnvironmentStepError: a sequence has not one entry for each agent.
    """
    if isinstance(flags, Mapping):
        by_agent = cast(Mapping[Hashable, object], flags)
        of_all = _is_true(by_agent.get(ALL_AGENTS_KEY))
        return np.array([of_all or _is_true(by_agent.get(a)) for a in agents])
    if np.size(cast(ArrayLike, flags)) == 1:
        return np.full(len(agents), _is_true(flags))
    if np.shape(cast(ArrayLike, flags))[:1] != (len(agents),):
        raise EnvironmentStepError(
            f"{name} has {np.size(cast(ArrayLike, flags))} entries; expected one, or "
            f"{len(agents)}"
        )
    return np.array([_is_true(flag) for flag in cast(Sequence[object], flags)])


def _is_true(flag: object) -> bool:
    # Also of an array with one entry, and of None, which stands for no report.
    return bool(np.all(cast(ArrayLike, flag)))
