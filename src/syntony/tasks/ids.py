"""Ids to tasks: `task("Foraging-2s-8x8-3p-2f-coop")`."""

from syntony.errors import unknown
from syntony.tasks import foraging, host, own, probes, speaker, spread, warehouse
from syntony.tasks.family import Family
from syntony.tasks.task import Task

FAMILIES = (
    foraging.FAMILY,
    warehouse.FAMILY,
    spread.FAMILY,
    speaker.FAMILY,
    probes.FAMILY,
    own.FAMILY,
    *host.FAMILIES,
)


def task(id: str) -> Task:
    """Returns the task that `id` names.

    Raises:
        BadInput: no task has that name; the message has the nearest one.
    """
    for family in families():
        if id.startswith(family.prefix):
            return family.parse(id)
    raise unknown("task", id, [family.example for family in families()])


def families() -> tuple[Family, ...]:
    """Returns all families of tasks, for listing."""
    return FAMILIES
