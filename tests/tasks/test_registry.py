"""Task ids: the families, and error messages of unknown ids."""

import re
from pathlib import Path

import pytest

from syntony.errors import InvalidInputError
from syntony.tasks import registry
from syntony.tasks.external.external_env import ShapeOnlyTask
from syntony.tasks.family import TaskFamily
from syntony.tasks.foraging.rules import Foraging
from syntony.tasks.last_action import LastAction
from syntony.tasks.task import Task

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_an_id_becomes_its_config():
    task = registry.task("Foraging-2s-8x8-3p-2f-coop")
    assert task == Foraging(size=8, players=3, foods=2, sight=2, coop=True)


def skip_unless_installed(family: TaskFamily) -> None:
    if family.prefix in ("jaxmarl:", "jumanji:"):
        pytest.importorskip(family.prefix[:-1])


@pytest.mark.parametrize(
    "family", registry.task_families(), ids=lambda family: family.prefix
)
def test_every_family_is_listed(family: TaskFamily, monkeypatch: pytest.MonkeyPatch):
    skip_unless_installed(family)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    assert family.example.startswith(family.prefix)
    assert family.pattern.startswith(family.prefix)
    assert registry.task(family.example).id == family.example
    assert "\n" not in family.summary


@pytest.mark.parametrize(
    "family", registry.task_families(), ids=lambda family: family.prefix
)
def test_every_task_implements_the_protocol(
    family: TaskFamily, monkeypatch: pytest.MonkeyPatch
):
    skip_unless_installed(family)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    task = registry.task(family.example)
    shape_only = ShapeOnlyTask(
        id=task.id,
        num_agents=task.num_agents,
        num_actions=task.num_actions,
        obs_dim=task.obs_dim,
        time_limit=task.time_limit,
    )
    assert all(isinstance(t, Task) for t in (task, LastAction(task=task), shape_only))


def test_no_prefix_starts_with_another():
    prefixes = [family.prefix for family in registry.task_families()]
    assert not [a for a in prefixes for b in prefixes if a != b and a.startswith(b)]


@pytest.mark.parametrize(
    ("id", "nearest"),
    [
        ("foraging-2s-8x8-3p-2f-coop", "Foraging-2s-8x8-3p-2f-coop"),
        (
            "lbforaging:Foraging-8x8-3p-2f-v3",
            "gymnasium:lbforaging:Foraging-8x8-2p-3f-v3",
        ),
    ],
)
def test_an_unknown_family_gets_the_nearest_id(id: str, nearest: str):
    message = f"unknown task {id!r}; did you mean {nearest!r}?"
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        registry.task(id)


@pytest.mark.parametrize("id", ["", "CartPole", "?", "\n"])
def test_examples_are_listed_if_none_is_near(id: str):
    with pytest.raises(
        InvalidInputError, match=r"^unknown task .*; valid: .*Foraging-2s"
    ) as it:
        registry.task(id)
    assert "\n" not in str(it.value)
