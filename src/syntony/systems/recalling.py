"""Teams that may be shown what they did last."""

from typing import Any

from jaxtyping import Array, Bool, Key

from syntony.errors import BadInput
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

    def check_world(self) -> None:
        """Raises BadInput where the task cannot be seen that way."""
        if self.last_action and self.on_host:
            raise BadInput(
                f"last_action is set, but {self.task.id} runs outside of JAX; "
                "expected one that is written in JAX"
            )

    def live(
        self,
        state: Any,
        key: Key[Array, ""],
        episodes: int,
        greedy: Bool[Array, ""] | bool = False,
    ) -> Trajectory:
        lived = Team.live(self, state, key, episodes, greedy)
        # Whoever looks at the task's states knows nothing of what was added.
        return lived._replace(state=lived.state.task) if self.last_action else lived
