"""Rules of tasks: all built-in ones keep them, and each notices one that does not."""

from collections.abc import Callable
from typing import Any

import broken_tasks
import jax
import pytest

from syntony.conformance.task import JAX_RULES, check_task
from syntony.tasks import registry
from syntony.tasks.task import Task

FAMILIES = registry.task_families()

BROKEN: dict[str, tuple[Callable[[], Any], str]] = {
    "sizes": (
        broken_tasks.NoAgents,
        "num_agents is 0; expected a whole number, at least 1",
    ),
    "shapes and types": (
        broken_tasks.WrongReward,
        "reward is float32[]; expected float32[2]",
    ),
    "step keeps the state's types": (
        broken_tasks.ChangedType,
        "to float32[2], int32[]; expected",
    ),
    "no weak types": (
        broken_tasks.WeakReset,
        "time (int32); everything is then compiled twice",
    ),
    "same key, same result": (
        broken_tasks.Impure,
        "expected all randomness to come from `key`",
    ),
    "same with and without jit": (
        broken_tasks.NoticesTracing,
        "differ, in step/reward",
    ),
    "same with vmap": (
        broken_tasks.NoticesBatches,
        "differs from single calls, in step/reward",
    ),
    "an action is available": (
        broken_tasks.NoAction,
        "no action of agent 0 is available at step 7",
    ),
    "observations are finite": (
        broken_tasks.LateNaN,
        "observation after step 7 is not finite",
    ),
    "rewards are finite": (
        broken_tasks.LateInfiniteReward,
        "reward after step 7 is not finite",
    ),
    "episodes end": (
        broken_tasks.Endless,
        "has not ended after time_limit = 20 steps; expected",
    ),
    "id round trip": (lambda: broken_tasks.ForgetfulId(length=7), "expected the same"),
}
"""For every rule a task that breaks it, and the message about it."""


@pytest.fixture
def nans_allowed():
    """Disables `jax_debug_nans`: a rule reports them."""
    jax.config.update("jax_debug_nans", False)
    yield
    jax.config.update("jax_debug_nans", True)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.prefix)
def test_every_family_keeps_the_rules(family: registry.TaskFamily):
    if family.prefix == "pettingzoo:":
        pytest.importorskip("mpe2")
    if family.prefix == "gymnasium:":
        pytest.importorskip("lbforaging")
    report = check_task(registry.task(family.example))
    assert not report.failures
    assert report.num_calls >= 150


@pytest.mark.usefixtures("nans_allowed")
@pytest.mark.parametrize("rule", [rule.name for rule in JAX_RULES])
def test_a_broken_task_breaks_its_rule_alone(rule: str):
    """One line about that rule, and none about another."""
    broken, message = BROKEN[rule]
    (failure,) = check_task(broken()).failures
    assert failure.name == rule
    assert message in failure.message
    assert "\n" not in failure.message


def test_both_endings_at_once_are_none():
    (failure,) = check_task(broken_tasks.EndsTwice()).failures
    assert failure.name == "episodes end"
    assert "is both terminated and truncated" in failure.message


@pytest.fixture
def relay() -> Task:
    pytest.importorskip("gymnasium")
    return registry.task("pettingzoo:external_envs")


@pytest.mark.parametrize(
    ("step", "rule", "message"),
    [
        (3, "episodes of random play", "step 3: it raised TypeError: "),
        (15, "same seed, same episode", "gave two episodes, which differ in reward"),
    ],
)
def test_a_broken_environment(
    step: int, rule: str, message: str, relay: Task, monkeypatch: pytest.MonkeyPatch
):
    import external_envs

    def change(obs: Any, reward: dict, *rest: Any) -> tuple:
        if step == 3:
            raise TypeError("broken")
        return obs, dict.fromkeys(reward, 9.0), *rest

    monkeypatch.setattr(external_envs.fault, "step", external_envs.num_steps + step)
    monkeypatch.setattr(external_envs.fault, "change", change)
    (failure,) = check_task(relay).failures
    assert failure.name == rule
    assert message in failure.message
