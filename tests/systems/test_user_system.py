"""Systems of a user's own: their ids, and what is told where a class does not fit."""

from pathlib import Path
from typing import Any

import pytest
from toy_system import Toy
from your_own_algorithm import Reinforce

from syntony.errors import InvalidInputError
from syntony.presets.registry import (
    default_preset,
    default_run_options,
    preset,
    preset_summaries,
)
from syntony.systems.link.link import Link
from syntony.systems.registry import SYSTEMS, system_class, system_label, system_name
from syntony.tasks.registry import task

REINFORCE = "python:your_own_algorithm:Reinforce"
TASK = task("probe-remember")

MODULE = """
import dataclasses
from syntony import Metrics, MultiAgentSystem, Task, field, pytree_dataclass
from toy_system import Toy

class NoDataclass: pass

@pytree_dataclass
class NoSystem:
    rate: float = 1.0

@pytree_dataclass
class Unfinished(MultiAgentSystem):
    task: Task
    num_envs: int = field(2, static=True)
    def check(self): pass
    def init(self, key): pass

@dataclasses.dataclass(frozen=True)
class NoPytree(Toy):
    pass

@pytree_dataclass
class Required(Toy):
    other: float

def function(): pass
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a module of classes that are no systems."""
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return f"python:{name}"


def test_a_name_and_its_class():
    assert system_class(REINFORCE) is Reinforce
    assert system_name(Reinforce(task=TASK)) == REINFORCE
    assert system_name(Toy()) == "python:toy_system:Toy"
    assert system_label(REINFORCE) == "Reinforce"
    assert system_name(Link()) == system_label("link") == "link"
    assert all(system_class(name) is kind for name, kind in SYSTEMS.items())


def test_the_preset_of_a_user_is_the_defaults_of_the_class():
    assert list(preset_summaries(REINFORCE)) == ["default"]
    assert preset(REINFORCE, default_preset(REINFORCE), TASK) == Reinforce(task=TASK)
    assert default_run_options(REINFORCE, TASK) == default_run_options("maa2c", TASK)
    with pytest.raises(InvalidInputError, match="unknown preset 'paper'; valid: def"):
        preset(REINFORCE, "paper", TASK)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (":Unfinishd", "unknown system of own_.* 'Unfinishd'; did you mean 'Unfin"),
        (":function", "function is of type function; expected a system"),
        (":NoDataclass", "is no dataclass; expected a class with the decorator @synt"),
        (":NoSystem", "is not a system: it lacks step_unit, jittable, check, init"),
        (":Unfinished", "it lacks initial_hidden, params, policy, update"),
        (":NoPytree", "is no pytree; expected a class with the decorator"),
        (":Required", "cannot be constructed: TypeError: .*'other'.*; expected a de"),
        ("", "is incomplete; expected python:MODULE:NAME of a system"),
        ("_gone:Own", "there is no module 'own_.*_gone'"),
    ],
)
def test_a_class_that_does_not_fit_is_told(module: str, name: str, message: str):
    with pytest.raises(InvalidInputError, match=message) as error:
        preset(module + name, "default", TASK)
    assert "\n" not in str(error.value)


def test_a_class_without_a_module_is_refused(monkeypatch: pytest.MonkeyPatch):
    class Local(Toy):
        """Cannot be imported by a name."""

    local: Any = Local()
    with pytest.raises(InvalidInputError, match="expected it at the top level"):
        system_name(local)

    class Script(Toy):
        """As in a program that is run."""

    monkeypatch.setattr(Script, "__module__", "__main__")
    script: Any = Script()
    with pytest.raises(InvalidInputError, match="defined in the program itself"):
        system_name(script)
