"""Teams that may be shown what they did last."""

from typing import Any

from jaxtyping import Array, Bool, Key

from syntony.systems.marl.base import MultiAgentSystem
from syntony.tasks.last_action import LastAction
from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import Task


class LastActionSystem(MultiAgentSystem):
    """A team whose setting `last_action` widens what all its networks see."""

    last_action: bool

    @property
    def wrapped_task(self) -> Task:
        return LastAction(task=self.task) if self.last_action else self.task

    def collect_episodes(
        self,
        state: Any,
        key: Key[Array, ""],
        episodes: int,
        greedy: Bool[Array, ""] | bool = False,
    ) -> Trajectory:
        lived = MultiAgentSystem.collect_episodes(self, state, key, episodes, greedy)
        if not self.last_action or self.has_external_env:
            return lived
        # Whoever looks at the task's states knows nothing of what was added.
        return lived._replace(state=lived.state.task_state)
