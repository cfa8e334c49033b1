"""Environments of other libraries: conversion, rollouts and error messages."""

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import jax
import numpy as np
import pytest

from syntony.errors import EnvironmentStepError, InvalidInputError
from syntony.tasks.external.adapter import MultiAgentEnv
from syntony.tasks.external.external_env import (
    ExternalEnv,
    close_envs,
    make_env,
)
from syntony.tasks.external.rollout import rollout_external
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import Task

pytest.importorskip("gymnasium")
import external_envs

RELAY = "pettingzoo:external_envs"
DUO = "gymnasium:external_envs:Duo-v0"
NO_EARLY_END = 1
"""A seed with which no agent of the first environment finishes in the first step."""


@pytest.fixture(autouse=True)
def no_fault() -> Iterator[None]:
    yield
    external_envs.fault.change = None


def sample(obs: Any, action_mask: Any, noise: Any, hidden: int) -> tuple[Any, Any, int]:
    """Uniform policy over the available actions that counts its calls."""
    del obs
    action = np.argmax(np.where(action_mask, noise, -np.inf), axis=-1)
    return action, np.full(action.shape, -1.0), hidden + 1


def run(id: str, seed: int = 0, **overrides: Any) -> Trajectory:
    env = task(id)
    assert isinstance(env, ExternalEnv)
    options: dict[str, Any] = {"episodes": 24, "num_envs": 8} | overrides
    key = jax.random.key(seed)
    return jax.device_get(rollout_external(env, sample, 0, key, **options))


def test_it_is_a_task_with_padded_shapes():
    env = task(RELAY)
    assert isinstance(env, Task)
    assert env == ExternalEnv(
        id=RELAY,
        num_agents=3,
        num_actions=4,
        obs_dim=4,
        time_limit=6,
        action_counts=(2, 3, 4),
    )
    assert task(env.id) == env
    assert jax.tree.leaves(env) == []
    assert isinstance(env, ExternalEnv)
    shape_only = env.shape_only_task()
    assert isinstance(shape_only, Task)
    assert {shape_only.id, shape_only.num_agents, shape_only.num_actions} == {
        env.id,
        3,
        4,
    }


@pytest.mark.parametrize("id", [RELAY, DUO])
def test_environments_implement_the_protocol(id: str):
    env = make_env(id)
    assert isinstance(env, MultiAgentEnv)
    close_envs([env])


def test_observations_and_action_masks():
    """The environment asserts that actions are available and of living agents."""
    trajectory = run(RELAY)
    lifetimes = np.stack(
        [
            trajectory.obs[0, :, 0, 1] / 10,
            1 + trajectory.obs[0, :, 1].argmax(axis=-1),
        ],
        axis=-1,
    )
    assert set(lifetimes[:, 1]) == {1, 2, 3, 4}
    for e, (long, short) in enumerate(lifetimes.astype(int)):
        for t in range(min(long, 6)):
            assert list(trajectory.obs[t, e, 0]) == [t, 10 * long, 0, 0]
            assert list(trajectory.action_mask[t, e, 0]) == [True, True, False, False]
            # Its final observation is after its last action.
            observes, acts = t <= short, t < short
            assert list(trajectory.obs[t, e, 1]) == list(
                np.eye(4)[short - 1] * observes
            )
            action_mask = [True, acts, acts, False]
            assert list(trajectory.action_mask[t, e, 1]) == action_mask
            assert not trajectory.obs[t, e, 2, 1:].any()
            if trajectory.action_mask[t, e, 2, 1:].any():
                assert list(trajectory.action_mask[t, e, 2]) == list(
                    np.arange(4) != t % 4
                )
                assert trajectory.obs[t, e, 2, 0] == t


def test_a_finished_agent_has_no_reward_and_the_others_continue():
    trajectory = run(RELAY)
    short = 1 + trajectory.obs[0, :, 1].argmax(axis=-1)
    steps = np.arange(6)[:, None]
    acts = steps < short
    np.testing.assert_array_equal(
        trajectory.reward[..., 1], np.where(acts, 5 + trajectory.action[..., 1], 0)
    )
    assert not trajectory.action[..., 1][~acts].any()
    np.testing.assert_array_equal(
        trajectory.reward[..., 0],
        np.where(trajectory.valid, trajectory.action[..., 0], 0),
    )
    np.testing.assert_array_equal(
        trajectory.returns, trajectory.reward.astype(float).sum(axis=(0, 2))
    )


def test_terminations_and_truncations():
    trajectory = run(RELAY)
    lifetime = trajectory.obs[0, :, 0, 1].astype(int) // 10
    assert {5, 6} < set(lifetime)
    lengths = np.minimum(lifetime, 6)
    np.testing.assert_array_equal(trajectory.valid.sum(axis=0), lengths)
    np.testing.assert_array_equal(trajectory.terminated.any(axis=0), lifetime <= 6)
    np.testing.assert_array_equal(trajectory.truncated.any(axis=0), lifetime > 6)
    ended = trajectory.terminated | trajectory.truncated
    assert ended[lengths - 1, np.arange(24)].all()
    np.testing.assert_array_equal(ended.sum(axis=0), 1)
    # The true final observation, repeated to the end.
    for e, length in enumerate(lengths):
        assert (trajectory.obs[length:, e, 0, 0] == length).all()
    assert trajectory.action_mask.any(axis=-1).all()


def test_a_given_time_limit_truncates():
    trajectory = run(f"{RELAY}?time_limit=3")
    assert trajectory.valid.shape == (3, 24)
    assert trajectory.valid.all()
    assert trajectory.truncated[-1].all()
    assert not trajectory.terminated.any()


def test_randomness_depends_only_on_the_key():
    first, same, other = run(RELAY), run(RELAY), run(RELAY, seed=1)
    jax.tree.map(np.testing.assert_array_equal, first, same)
    assert (first.obs[0] != other.obs[0]).any()
    starts = {tuple(obs.ravel()) for obs in first.obs[0]}
    assert len(starts) > 6, "episodes of one batch differ"


def test_the_last_round_is_cut_to_the_number_of_episodes():
    assert run(RELAY, episodes=9).valid.shape == (6, 9)
    assert len(run(RELAY, episodes=3, num_envs=3).returns) == 3


def test_greedy_is_without_noise():
    trajectory = run(RELAY, greedy=True)
    first = trajectory.action_mask.argmax(axis=-1)
    np.testing.assert_array_equal(
        trajectory.action, np.where(trajectory.valid[..., None], first, 0)
    )


def test_the_last_action_is_observed():
    """In rounds of eight: also after the environments' next reset it is zero."""
    plain, extended = run(RELAY), run(RELAY, last_action=True)
    np.testing.assert_array_equal(extended.obs[..., :4], plain.obs)
    np.testing.assert_array_equal(extended.action, plain.action)
    last_action = extended.obs[..., 4:]
    np.testing.assert_array_equal(last_action[0], 0.0)
    one_hot = np.eye(4)[extended.action]
    np.testing.assert_array_equal(
        last_action[1:][extended.valid], one_hot[extended.valid]
    )
    for e, length in enumerate(extended.valid.sum(axis=0)):
        assert (last_action[length:, e] == one_hot[length - 1, e]).all()


def test_environments_are_reused_and_never_shared():
    env = task(RELAY)
    assert isinstance(env, ExternalEnv)
    with env.env_pool.acquire(2) as first, env.env_pool.acquire(2) as second:
        assert len(ids(*first, *second)) == 4
    with env.env_pool.acquire(4) as again:
        assert ids(*again) == ids(*first, *second)
    with pytest.raises(ZeroDivisionError), env.env_pool.acquire(3) as failed:
        _ = 1 / 0
    with env.env_pool.acquire(4) as rest:
        assert not ids(*failed) & ids(*rest)


def ids(*envs: Any) -> set[int]:
    return {id(env) for env in envs}


@pytest.mark.parametrize("id", [RELAY, f"{RELAY}?fail_close=true"])
def test_unused_environments_are_closed(id: str):
    before = external_envs.num_open
    env = task(id)
    assert isinstance(env, ExternalEnv)
    assert external_envs.num_open == before
    with env.env_pool.acquire(3):
        with pytest.raises(ZeroDivisionError), env.env_pool.acquire(2):
            _ = 1 / 0
        assert external_envs.num_open == before + 3
    env.env_pool.close()
    assert external_envs.num_open == before
    with env.env_pool.acquire(1):
        assert external_envs.num_open == before + 1
    env.env_pool.close()


def test_tuples_with_a_team_reward():
    trajectory = run(f"{DUO}?time_limit=5")
    assert trajectory.obs.shape == (6, 24, 2, 2)
    np.testing.assert_array_equal(trajectory.obs[:, 0, 0], [[t, 0] for t in range(6)])
    np.testing.assert_array_equal(trajectory.reward, 1.5)
    np.testing.assert_array_equal(trajectory.returns, 15.0)
    assert not trajectory.action_mask[:, :, 1, 0].any()
    assert trajectory.action[..., 1].min() == 1
    assert len(set(trajectory.obs[0, :, 1, 1])) > 4, "environments have different seeds"


@pytest.mark.filterwarnings("ignore:.*episodes (ended|are truncated) after")
@pytest.mark.parametrize(
    ("id", "steps", "terminated"),
    [
        (f"{DUO}?duration=3&time_limit=5", 3, True),
        (f"{DUO}?duration=5&time_limit=5", 5, True),
        (f"{DUO}?duration=5&max_steps=5", 5, False),
        (f"{DUO}?duration=4&max_steps=5", 4, True),
        # A shorter limit of the environment than the requested one.
        (f"{DUO}?duration=5&max_steps=5&time_limit=8", 5, False),
        (f"{DUO}?duration=5&max_steps=5&max_episode_steps=8", 5, False),
        (f"{DUO}?max_steps=7&max_episode_steps=4", 4, False),
        (f"{DUO}?duration=4&max_episode_steps=4", 4, True),
        (f"{DUO}?max_episode_steps=4", 4, False),
        ("gymnasium:external_envs:DuoCut-v0", 4, False),
        ("gymnasium:external_envs:DuoCut-v0?duration=4", 4, True),
    ],
)
def test_a_termination_at_an_environments_limit_is_a_truncation(
    id: str, steps: int, terminated: bool
):
    trajectory = run(id)
    assert (trajectory.valid.sum(axis=0) == steps).all()
    assert (trajectory.terminated[steps - 1] == terminated).all()
    assert (trajectory.truncated[steps - 1] != terminated).all()


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("pettingzoo:", "task 'pettingzoo:' is incomplete; expected e.g. petting"),
        ("gymnasium:?a=1", "is incomplete; expected e.g. gymnasium:lbforaging:For"),
        (f"{RELAY}?N", "'N' sets nothing; expected PARAMETER=VALUE"),
        (f"{RELAY}?", "'' sets nothing; expected PARAMETER=VALUE"),
        (f"{RELAY}?a=1&a=2", "a is given twice in 'pettingzoo:external_envs?a=1&a=2'"),
        (f"{RELAY}?N=3", "got an unexpected keyword argument 'N'"),
        (f"{RELAY}?time_limit=0", "time_limit is 0; expected 1 to 1,000,000"),
        (f"{RELAY}?time_limit=many", "time_limit is 'many'; expected 1 to"),
        (f"{RELAY}?time_limit=true", "time_limit is True; expected 1 to"),
        (DUO, f"expected {DUO}?time_limit=N, N steps"),
        (
            "pettingzoo:mpe2.simple_sprad_v3",
            "unknown module of mpe2 'simple_sprad_v3'; did you mean 'simple_spread_v",
        ),
        ("pettingzoo:mpe3.relay", "there is no module 'mpe3' on Python's path or in "),
        (
            "pettingzoo:os;import",
            "there is no module 'os;import'; expected a name like package.module",
        ),
        ("pettingzoo:numpy", "module 'numpy' has no parallel_env; expected a Pet"),
        ("gymnasium:NoSuchThing-v0", "Environment `NoSuchThing` doesn't exist"),
        ("gymnasium:external_envs:Duo", "Duo has no version; expected e.g. Duo-v0"),
        ("gymnasium:nowhere:Duo-v0", "there is no module 'nowhere'"),
        ("gymnasium:CartPole-v1", "are Box and Discrete; expected Tuple and Tuple"),
        (
            "gymnasium:external_envs:BoxSpace-v0",
            "are Box and Tuple; expected Tuple and T",
        ),
        (
            "gymnasium:external_envs:ContinuousActions-v0",
            "actions of agent 1 are Box; expected D",
        ),
    ],
)
def test_an_invalid_id_is_reported_in_one_line(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)) as it:
        task(id)
    assert "\n" not in str(it.value)


def changed(index: int, agent: str, value: Any) -> Callable[..., tuple]:
    """Function that changes one agent's entry in a part of a step's result."""

    def change(*result: Any) -> tuple:
        parts = list(result)
        parts[index] = {**parts[index], agent: value}
        return tuple(parts)

    return change


def without_observation(*result: Any) -> tuple:
    """Result of a step without the observation of one agent."""
    obs = {name: obs for name, obs in result[0].items() if name != "long"}
    return obs, *result[1:]


def crash(*result: Any) -> tuple:
    raise OSError(f"no server\nfor {len(result)} parts")


def exit_process(*result: Any) -> tuple:
    sys.exit(len(result) - 5)


def exit_at_once(*_: Any, **__: Any) -> NoReturn:
    sys.exit("no server")


def interrupt(*result: Any) -> tuple:
    raise KeyboardInterrupt(len(result))


NO_MASK = {"observation": np.zeros((1, 1)), "action_mask": np.zeros(4)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(0, "long", np.zeros(3)), "observation of long holds 3 numbers; exp"),
        (changed(0, "long", [0, np.nan]), "observation of long holds numbers that are"),
        (changed(0, "long", [0, 1e39]), "observation of long holds numbers that are"),
        (changed(1, "short", 1e39), "reward of short is 1e+39; expected a finite num"),
        (changed(1, "short", np.inf), "reward of short is inf; expected a finite num"),
        (changed(1, "long", None), "reward of long is None; expected a finite number"),
        (changed(0, "masked", NO_MASK), "action_mask of masked is [0.0, 0.0, 0.0, 0.0"),
        (without_observation, "there is no observation of long"),
        (crash, "it raised OSError: no server for 5 parts"),
        (exit_process, "it raised SystemExit: 0"),
        (lambda *_: None, "it raised TypeError: cannot unpack non-iterable NoneType"),
    ],
)
def test_step_errors_name_the_environment_and_the_step(
    change: Callable[..., Any], message: str
):
    external_envs.fault.change = change
    external_envs.fault.step = external_envs.num_steps + 1
    with pytest.raises(EnvironmentStepError) as it:
        run(RELAY, seed=NO_EARLY_END)
    assert str(it.value).startswith(f"environment {RELAY}, copy 0, step 1: {message}")
    assert "\n" not in str(it.value)


def test_an_exit_in_an_environment_is_caught(monkeypatch: pytest.MonkeyPatch):
    env = task(RELAY)
    assert isinstance(env, ExternalEnv)
    monkeypatch.setattr(external_envs.Relay, "reset", exit_at_once)
    with pytest.raises(EnvironmentStepError, match="it raised SystemExit: no server"):
        rollout_external(env, sample, 0, jax.random.key(0), episodes=1, num_envs=1)
    monkeypatch.setattr(external_envs.Relay, "__init__", exit_at_once)
    with pytest.raises(
        InvalidInputError, match="cannot be opened: SystemExit: no server"
    ):
        task(RELAY)


def test_a_keyboard_interrupt_is_not_caught():
    external_envs.fault.change = interrupt
    external_envs.fault.step = external_envs.num_steps + 1
    with pytest.raises(KeyboardInterrupt):
        run(RELAY, seed=NO_EARLY_END)


def test_step_errors_of_tuples():
    external_envs.fault.step = external_envs.num_steps + 10
    external_envs.fault.change = lambda obs, *rest: (obs[:1], *rest)
    with pytest.raises(
        EnvironmentStepError, match=r"copy 1, step 2: there are 1 observations; e"
    ):
        run(f"{DUO}?time_limit=5")
    external_envs.fault.step = external_envs.num_steps + 1
    external_envs.fault.change = lambda obs, _, *rest: (obs, [1.0], *rest)
    with pytest.raises(
        EnvironmentStepError, match=r"copy 0, step 1: there are 1 rewards; expect"
    ):
        run(f"{DUO}?time_limit=5")


def test_it_cannot_be_compiled(key):
    env = task(RELAY)
    with pytest.raises(
        InvalidInputError, match="is stepped on the host; expected a task in JA"
    ):
        env.reset(key)
