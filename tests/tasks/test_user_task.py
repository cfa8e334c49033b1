"""Tasks of the user's own in JAX: found by name, and as good as ours."""

import re
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.errors import InvalidInputError
from syntony.tasks.external.external_env import ExternalEnv
from syntony.tasks.external.rollout import rollout_external
from syntony.tasks.registry import task
from syntony.tasks.task import Task

EXAMPLES = Path(__file__).parents[2] / "examples"
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "own-task.md"
CORRIDOR = "python:your_own_task:Corridor"


@pytest.fixture(autouse=True)
def _examples_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


def test_a_name_leads_to_the_record_and_back():
    corridor = task(f"{CORRIDOR}?length=7")
    assert isinstance(corridor, Task)
    assert corridor.id == f"{CORRIDOR}?length=7"
    assert task(corridor.id) == corridor
    assert task(CORRIDOR).id == CORRIDOR


def test_the_example_does_what_it_says(key):
    corridor: Any = task(f"{CORRIDOR}?length=7")
    state, _ = corridor.reset(key)
    state = state._replace(cell=jnp.array([0, 4]))
    np.testing.assert_allclose(
        corridor.observe(state), [[-1, 0], [1 / 3, 0]], atol=1e-6
    )
    step = jax.jit(corridor.step)
    state, answer = step(key, state, jnp.array([0, 0]))  # Against the wall; to 3.
    np.testing.assert_array_equal(state.cell, [0, 3])
    assert not (answer.terminated | answer.truncated | answer.reward.any())
    state, answer = step(key, state, jnp.array([2, 1]))  # To 1, within sight.
    np.testing.assert_allclose(answer.obs, [[-2 / 3, 2], [0, -2]], atol=1e-6)
    state, answer = step(key, state, jnp.array([2, 1]))
    np.testing.assert_array_equal(answer.reward, [0.5, 0.5])
    assert answer.terminated
    assert not answer.truncated
    late = state._replace(cell=jnp.array([0, 5]), time=jnp.int32(19))
    assert step(key, late, jnp.array([1, 1]))[1].truncated


def test_the_guide_shows_the_example():
    """Line by line: what is shown is what runs."""
    shown = GUIDE.read_text().split("```python\n")[1].split("```")[0]
    example = (EXAMPLES / "your_own_task.py").read_text()
    for line in filter(str.strip, shown.splitlines()):
        assert line in example


def there(obs: Any, available: Any, noise: Any, memory: int) -> tuple[Any, Any, int]:
    """Goes where it sees the cake."""
    del available, noise
    return obs.argmax(axis=-1), np.zeros(obs.shape[:2]), memory


def test_the_guides_environment_works(
    key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("gymnasium")
    code = GUIDE.read_text().split("```python\n")[2].split("```")[0]
    (tmp_path / "guide_env.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    found = task("pettingzoo:guide_env?rooms=4")
    assert isinstance(found, ExternalEnv)
    assert (found.num_agents, found.num_actions, found.time_limit) == (2, 4, 10)
    episodes = rollout_external(found, there, 0, key, episodes=2, num_envs=2)
    np.testing.assert_array_equal(episodes.returns, [20.0, 20.0])
    assert episodes.truncated[9].all()
    assert str(tmp_path) in sys.path
    sys.path.remove(str(tmp_path))


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("python:your_own_task", "is incomplete; expected python:MODULE:RECORD"),
        ("python::Corridor", "is incomplete; expected python:MODULE:RECORD"),
        ("python:nowhere:Corridor", "module 'nowhere' is not installed, nor is it in"),
        (
            "python:your_own_task:Coridor",
            "unknown record of your_own_task 'Coridor'; did you mean 'Corridor'?",
        ),
        (f"{CORRIDOR}?width=2", "unknown task parameter 'width'"),
        (f"{CORRIDOR}?length=long", "length is 'long'; expected a whole number"),
        ("python:syntony.optim:Adam", "cannot be made: TypeError: "),
        (
            "python:syntony.systems.marl.actor_critic:Backbone",
            "is no task: it lacks agents, actions, obs_size, time_limit, shared_reward",
        ),
        (f"{CORRIDOR}?time_limit=0", "time_limit is 0; expected a whole number, at le"),
        (f"{CORRIDOR}?actions=0", "actions is 0; expected a whole number, at least 1"),
        (f"{CORRIDOR}?agents=-2", "agents is -2; expected a whole number, at least 1"),
        (f"{CORRIDOR}?obs_size=0", "obs_size is 0; expected a whole number, at leas"),
        ("python:json:Corridor", "valid: (it has none)"),
    ],
)
def test_bad_input_is_said_in_one_line(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)) as it:
        task(id)
    assert "\n" not in str(it.value)


def test_a_module_that_exits_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit()")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        InvalidInputError, match="'leaving' cannot be imported: SystemExit"
    ):
        task("python:leaving:World")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("Blind", "obs of reset is float32[2,1]; expected float32[2,2]"),
        ("Whole", "obs of reset is int32[2,2]; expected float32[2,2]"),
        ("Shared", "reward is float32[]; expected float32[2]"),
        ("Grown", "the state float32[2], int32[]; expected the same types"),
        ("Locked", "what is available is bool[2,4]; expected bool[2,3]"),
        ("Broken", "step raised KeyError: 'obs'"),
        ("Leaving", "step raised SystemExit: 0"),
        ("Undecided", "step raised TracerBoolConversionError: Attempted boolean"),
        ("Unsound", "obs of reset is not finite; expected numbers"),
        ("Poor", "reward is not finite; expected numbers"),
        ("Endless", "time_limit is None; expected a whole number, at least 1"),
        ("Lost", "has the id 'python:your_own_task:Corridor'; expected "),
    ],
)
def test_a_task_that_fails_says_where(
    record: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with pytest.raises(InvalidInputError, match=re.escape(message)) as it:
        task(f"python:user_tasks:{record}")
    assert "\n" not in str(it.value)
    assert str(it.value).startswith(f"python:user_tasks:{record}")
