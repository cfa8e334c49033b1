"""Rules of tasks: all built-in ones keep them, and each notices one that does not."""

from collections.abc import Callable
from typing import Any

import broken_tasks
import pytest
from reports import messages

from syntony.conformance.task import JAX_RULES, check_task
from syntony.tasks import registry
from syntony.tasks.family import TaskFamily
from syntony.tasks.task import Task

FAMILIES = registry.task_families()
SLOW = ("rware", "SimpleSpread", "SpeakerListener", "gymnasium:")

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
    "states are drawn": (
        broken_tasks.DrawnOutside,
        "is outside of the scene's bounds (-0.5, -0.5, 20, 1)",
    ),
    "feature names": (
        broken_tasks.FewNames,
        "agent 1 has 1 feature names; expected obs_dim = 2",
    ),
    "observations are drawn": (
        broken_tasks.WrongWindow,
        "teammate of agent 0 is drawn at feature 2; expected 0 to 1",
    ),
    "numbers of actions": (
        broken_tasks.FewActions,
        "an action beyond action_counts = (3, 2) is available",
    ),
    "returns are in the score range": (
        broken_tasks.LowRange,
        "an episode had the return 1, outside of score_range = (0.0, 0.5)",
    ),
    "benchmark": (
        broken_tasks.TextBenchmark,
        "benchmark is 'foraging'; expected a Benchmark(name)",
    ),
    "id round trip": (
        lambda: broken_tasks.ForgetfulId(length=7),
        "length is 7, and 20 if",
    ),
}
"""For every rule a task that breaks it, and the message about it."""


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(f, id=f.prefix, marks=[pytest.mark.slow] * (f.prefix in SLOW))
        for f in FAMILIES
    ],
)
def test_every_family_keeps_the_rules(family: TaskFamily):
    if family.prefix == "pettingzoo:":
        pytest.importorskip("mpe2")
    if family.prefix == "gymnasium:":
        pytest.importorskip("lbforaging")
    if family.prefix in ("jaxmarl:", "jumanji:"):
        pytest.importorskip(family.prefix[:-1])
    report = check_task(registry.task(family.example))
    assert messages(report) == {}
    assert report.num_calls >= 150


@pytest.mark.usefixtures("nans_allowed")
@pytest.mark.parametrize("rule", [rule.name for rule in JAX_RULES])
def test_a_broken_task_breaks_its_rule_alone(rule: str):
    """One line about that rule, and none about another."""
    broken, message = BROKEN[rule]
    failures = messages(check_task(broken()))
    assert list(failures) == [rule], failures
    assert message in failures[rule]
    assert "\n" not in failures[rule]


@pytest.mark.parametrize(
    ("task", "rule", "message"),
    [
        (
            broken_tasks.EndsTwice(),
            "episodes end",
            "is both terminated and truncated",
        ),
        (
            broken_tasks.DrawsNaN(),
            "states are drawn",
            "has a coordinate that is no number",
        ),
    ],
)
def test_another_way_to_break_a_rule(task: Task, rule: str, message: str):
    failures = messages(check_task(task))
    assert list(failures) == [rule]
    assert message in failures[rule]


@pytest.fixture
def relay() -> Task:
    pytest.importorskip("gymnasium")
    return registry.task("pettingzoo:external_envs")


@pytest.mark.parametrize(
    ("step", "rule", "message"),
    [
        (3, "episodes of random play", "step 2: it raised TypeError: "),
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
    failures = messages(check_task(relay))
    assert list(failures) == [rule], failures
    assert message in failures[rule]
