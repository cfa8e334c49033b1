"""Tasks of the user in JAX: imports by id, and validation."""

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
def _examples_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


def test_id_round_trip():
    corridor = task(f"{CORRIDOR}?length=7")
    assert isinstance(corridor, Task)
    assert corridor.id == f"{CORRIDOR}?length=7"
    assert task(corridor.id) == corridor
    assert task(CORRIDOR).id == CORRIDOR


def test_the_example_follows_its_rules(key):
    corridor: Any = task(f"{CORRIDOR}?length=7")
    state, _ = corridor.reset(key)
    state = state._replace(cell=jnp.array([0, 4]))
    np.testing.assert_allclose(
        corridor.observe(state), [[-1, 0], [1 / 3, 0]], atol=1e-6
    )
    step = jax.jit(corridor.step)
    state, timestep = step(key, state, jnp.array([0, 0]))  # Against the wall; to 3.
    np.testing.assert_array_equal(state.cell, [0, 3])
    assert not (timestep.terminated | timestep.truncated | timestep.reward.any())
    state, timestep = step(key, state, jnp.array([2, 1]))  # To 1, within sight.
    np.testing.assert_allclose(timestep.obs, [[-2 / 3, 2], [0, -2]], atol=1e-6)
    state, timestep = step(key, state, jnp.array([2, 1]))
    np.testing.assert_array_equal(timestep.reward, [0.5, 0.5])
    assert timestep.terminated
    assert not timestep.truncated
    late = state._replace(cell=jnp.array([0, 5]), time=jnp.int32(19))
    assert step(key, late, jnp.array([1, 1]))[1].truncated


def test_the_guide_shows_the_example():
    """Every line of the guide is in the example, which is tested."""
    _, rules, drawing, *_ = GUIDE.read_text().split("```python\n")
    example = (EXAMPLES / "your_own_task.py").read_text()
    for block in (rules, drawing):
        for line in filter(str.strip, block.split("```")[0].splitlines()):
            assert line in example


def go_to_goal(obs: Any, action_mask: Any, noise: Any, hidden: int) -> tuple:
    """Policy that goes to the observed goal."""
    del action_mask, noise
    return obs.argmax(axis=-1), np.zeros(obs.shape[:2]), hidden


def test_the_environment_of_the_guide_works(
    key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("gymnasium")
    code = GUIDE.read_text().split("```python\n")[3].split("```")[0]
    (tmp_path / "guide_env.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    env = task("pettingzoo:guide_env?rooms=4")
    assert isinstance(env, ExternalEnv)
    assert (env.num_agents, env.num_actions, env.time_limit) == (2, 4, 10)
    trajectory = rollout_external(env, go_to_goal, 0, key, episodes=2, num_envs=2)
    np.testing.assert_array_equal(trajectory.returns, [20.0, 20.0])
    assert trajectory.truncated[9].all()
    assert str(tmp_path) in sys.path
    sys.path.remove(str(tmp_path))


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("python:your_own_task", "is incomplete; expected python:MODULE:NAME"),
        ("python::Corridor", "is incomplete; expected python:MODULE:NAME"),
        ("python:nowhere:Corridor", "there is no module 'nowhere' on Python's path"),
        (
            "python:your_own_task:Coridor",
            "unknown dataclass of your_own_task 'Coridor'; did you mean 'Corridor'?",
        ),
        (f"{CORRIDOR}?width=2", "unknown task parameter 'width'"),
        (f"{CORRIDOR}?length=long", "length is 'long'; expected a whole number"),
        ("python:user_tasks:RequiredParameter", "cannot be constructed: TypeError: "),
        (
            "python:user_tasks:NotATask",
            "is not a task: it lacks num_agents, num_actions, obs_dim, time_limit, "
            "shared_reward",
        ),
        (f"{CORRIDOR}?time_limit=0", "time_limit is 0; expected a whole number, at le"),
        (
            f"{CORRIDOR}?num_actions=0",
            "num_actions is 0; expected a whole number, at lea",
        ),
        (
            f"{CORRIDOR}?num_agents=-2",
            "num_agents is -2; expected a whole number, at le",
        ),
        (f"{CORRIDOR}?obs_dim=0", "obs_dim is 0; expected a whole number, at least 1"),
        ("python:json:Corridor", "module 'json' is part of Python; expected one of"),
    ],
)
def test_an_invalid_id_is_reported_in_one_line(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)) as it:
        task(id)
    assert "\n" not in str(it.value)


def test_a_module_that_exits_is_invalid_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit()")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        InvalidInputError, match="'leaving' cannot be imported: SystemExit"
    ):
        task("python:leaving:Task")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("WrongObsShape", "obs of reset is float32[2,1]; expected float32[2,2]"),
        ("WrongObsType", "obs of reset is int32[2,2]; expected float32[2,2]"),
        ("ScalarReward", "reward is float32[]; expected float32[2]"),
        ("ChangedState", "to float32[2], int32[]; expected the same types"),
        ("WrongMaskShape", "action_mask is bool[2,4]; expected bool[2,3]"),
        ("RaisingStep", "step raised KeyError: 'obs'"),
        ("ExitingStep", "step raised SystemExit: 0"),
        ("BranchOnTracer", "step raised TracerBoolConversionError: Attempted boolean"),
        ("NonFiniteObs", "obs of reset is not finite; expected numbers"),
        ("NonFiniteReward", "reward is not finite; expected numbers"),
        ("NoTimeLimit", "time_limit is None; expected a whole number, at least 1"),
        ("WrongId", "has the id 'python:your_own_task:Corridor'; expected "),
    ],
)
def test_an_invalid_task_is_reported_in_one_line(name: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)) as it:
        task(f"python:user_tasks:{name}")
    assert "\n" not in str(it.value)
    assert str(it.value).startswith(f"python:user_tasks:{name}")
