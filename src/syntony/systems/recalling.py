"""Teams that may be shown what they did last."""

from typing import Any

from jaxtyping import Array, Bool, Key

from syntony.systems.team import Team
from syntony.tasks.last_action import LastAction
from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import Task


class RecallingTeam(Team):
    """A team whose setting `last_action` widens what all its networks see."""

    last_action: bool

    @property
    def world(self) -> Task:
        return LastAction(task=self.task) if self.last_action else self.task

    def live(
        self,
        state: Any,
        key: Key[Array, ""],
        episodes: int,
        greedy: Bool[Array, ""] | bool = False,
    ) -> Trajectory:
        lived = Team.live(self, state, key, episodes, greedy)
        if not self.last_action or self.on_host:
            return lived
        # Whoever looks at the task's states knows nothing of what was added.
        return lived._replace(state=lived.state.task)
