"""Names of the features of a task's observations."""

from collections.abc import Sequence

from syntony.errors import InvalidInputError, raising_invalid_input
from syntony.tasks.scene import Feature, features_of_entities
from syntony.tasks.task import NamesFeatures, Task


def obs_features(task: Task) -> list[Sequence[Feature]]:
    """Features of each agent's observation, in order; numbered if they have no names.

    Raises:
        InvalidInputError: the task failed to name them, or named another number.
    """
    return [_features(task, agent) for agent in range(task.num_agents)]


def _features(task: Task, agent: int) -> Sequence[Feature]:
    if not isinstance(task, NamesFeatures):
        numbers = [str(i + 1) for i in range(task.obs_dim)]
        return features_of_entities(["feature"], numbers)
    with raising_invalid_input(f"{task.id}: feature_names raised"):
        features = [Feature(*feature) for feature in task.feature_names(agent)]
    if (count := len(features)) != task.obs_dim:
        raise InvalidInputError(
            f"{task.id}: feature_names has {count} names; expected {task.obs_dim}, one "
            "for each feature"
        )
    return features
