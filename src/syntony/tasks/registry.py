"""Tasks by id: `task("Foraging-2s-8x8-3p-2f-coop")`."""

from syntony.errors import unknown_name_error
from syntony.jax_settings import standard_jax_settings
from syntony.tasks import user_task
from syntony.tasks.external import external_env
from syntony.tasks.family import TaskFamily
from syntony.tasks.foraging import rules as foraging
from syntony.tasks.jax_envs import jax_env
from syntony.tasks.particles import hear_see, speaker_listener, spread
from syntony.tasks.probes import rules as probes
from syntony.tasks.task import Task
from syntony.tasks.warehouse import rules as warehouse

TASK_FAMILIES = (
    foraging.FAMILY,
    warehouse.FAMILY,
    spread.FAMILY,
    speaker_listener.FAMILY,
    hear_see.FAMILY,
    probes.FAMILY,
    user_task.FAMILY,
    *external_env.FAMILIES,
    *jax_env.FAMILIES,
)


@standard_jax_settings()
def task(id: str) -> Task:
    """Task with this id.

    Raises:
        InvalidInputError: there is no such task; the message has the nearest id.
    """
    for family in task_families():
        if id.startswith(family.prefix):
            return family.parse(id)
    raise unknown_name_error("task", id, [family.example for family in task_families()])


def task_families() -> tuple[TaskFamily, ...]:
    """All families of tasks, in the order in which they are listed."""
    return TASK_FAMILIES
