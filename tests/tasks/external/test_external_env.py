"""Other libraries' environments: what a team sees of them, and of their faults."""

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import jax
import numpy as np
import pytest

from syntony.errors import EnvironmentStepError, InvalidInputError
from syntony.tasks.external.external_env import ExternalEnv, parse_env_id
from syntony.tasks.external.rollout import rollout_external
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import Task

pytest.importorskip("gymnasium")
import external_envs

RELAY = "pettingzoo:external_envs"
DUO = "gymnasium:external_envs:Duo-v0"
ALL_GO_ON = 1
"""A seed by which no agent of the first copy finishes in the first step."""


@pytest.fixture(autouse=True)
def behaved() -> Iterator[None]:
    yield
    external_envs.mischief.what = None


def choose(obs: Any, available: Any, noise: Any, memory: int) -> tuple[Any, Any, int]:
    """Draws from what is available; counts its calls."""
    del obs
    action = np.argmax(np.where(available, noise, -np.inf), axis=-1)
    return action, np.full(action.shape, -1.0), memory + 1


def lived(id: str, seed: int = 0, **choices: Any) -> Trajectory:
    host = task(id)
    assert isinstance(host, ExternalEnv)
    options: dict[str, Any] = {"episodes": 24, "abreast": 8} | choices
    key = jax.random.key(seed)
    return jax.device_get(rollout_external(host, choose, 0, key, **options))


def test_it_is_a_task_of_padded_shapes():
    host = task(RELAY)
    assert isinstance(host, Task)
    assert host == ExternalEnv(
        id=RELAY, num_agents=3, num_actions=4, obs_dim=4, time_limit=6
    )
    assert task(host.id) == host
    assert jax.tree.leaves(host) == []
    assert isinstance(host, ExternalEnv)
    blank = host.shape_only_task()
    assert isinstance(blank, Task)
    assert {blank.id, blank.num_agents, blank.num_actions} == {host.id, 3, 4}


def test_all_see_what_they_should_and_do_what_they_may():
    """The environment asserts that it is sent what it allows, by who still plays."""
    episodes = lived(RELAY)
    lives = np.stack(
        [
            episodes.obs[0, :, 0, 1] / 10,
            1 + episodes.obs[0, :, 1].argmax(axis=-1),
        ],
        axis=-1,
    )
    assert set(lives[:, 1]) == {1, 2, 3, 4}
    for e, (long, short) in enumerate(lives.astype(int)):
        for t in range(min(long, 6)):
            assert list(episodes.obs[t, e, 0]) == [t, 10 * long, 0, 0]
            assert list(episodes.action_mask[t, e, 0]) == [True, True, False, False]
            # What it sees last is what came of its last action.
            there, plays = t <= short, t < short
            assert list(episodes.obs[t, e, 1]) == list(np.eye(4)[short - 1] * there)
            allowed = [True, plays, plays, False]
            assert list(episodes.action_mask[t, e, 1]) == allowed
            assert not episodes.obs[t, e, 2, 1:].any()
            if episodes.action_mask[t, e, 2, 1:].any():
                assert list(episodes.action_mask[t, e, 2]) == list(
                    np.arange(4) != t % 4
                )
                assert episodes.obs[t, e, 2, 0] == t


def test_who_has_finished_earns_nothing_and_the_rest_goes_on():
    episodes = lived(RELAY)
    short = 1 + episodes.obs[0, :, 1].argmax(axis=-1)
    steps = np.arange(6)[:, None]
    plays = steps < short
    np.testing.assert_array_equal(
        episodes.reward[..., 1], np.where(plays, 5 + episodes.action[..., 1], 0)
    )
    assert not episodes.action[..., 1][~plays].any()
    np.testing.assert_array_equal(
        episodes.reward[..., 0], np.where(episodes.valid, episodes.action[..., 0], 0)
    )
    np.testing.assert_array_equal(
        episodes.returns, episodes.reward.astype(float).sum(axis=(0, 2))
    )


def test_episodes_end_as_they_did():
    episodes = lived(RELAY)
    life = episodes.obs[0, :, 0, 1].astype(int) // 10
    assert {5, 6} < set(life)
    lengths = np.minimum(life, 6)
    np.testing.assert_array_equal(episodes.valid.sum(axis=0), lengths)
    np.testing.assert_array_equal(episodes.terminated.any(axis=0), life <= 6)
    np.testing.assert_array_equal(episodes.truncated.any(axis=0), life > 6)
    ended = episodes.terminated | episodes.truncated
    assert ended[lengths - 1, np.arange(24)].all()
    np.testing.assert_array_equal(ended.sum(axis=0), 1)
    # The true final observation, and behind it nothing else.
    for e, length in enumerate(lengths):
        assert (episodes.obs[length:, e, 0, 0] == length).all()
    assert episodes.action_mask.any(axis=-1).all()


def test_a_limit_of_ones_own_cuts():
    episodes = lived(f"{RELAY}?time_limit=3")
    assert episodes.valid.shape == (3, 24)
    assert episodes.valid.all()
    assert episodes.truncated[-1].all()
    assert not episodes.terminated.any()


def test_chance_follows_from_the_key():
    one, same, other = lived(RELAY), lived(RELAY), lived(RELAY, seed=1)
    jax.tree.map(np.testing.assert_array_equal, one, same)
    assert (one.obs[0] != other.obs[0]).any()
    starts = {tuple(obs.ravel()) for obs in one.obs[0]}
    assert len(starts) > 6, "episodes of one batch differ"


def test_rounds_are_cut_to_the_episodes_that_were_asked_for():
    assert lived(RELAY, episodes=9).valid.shape == (6, 9)
    assert len(lived(RELAY, episodes=3, abreast=3).returns) == 3


def test_greedy_is_without_luck():
    episodes = lived(RELAY, greedy=True)
    first = episodes.action_mask.argmax(axis=-1)
    np.testing.assert_array_equal(
        episodes.action, np.where(episodes.valid[..., None], first, 0)
    )


def test_the_last_action_is_seen():
    """Rounds of eight: also after the copies' next reset nothing was done yet."""
    plain, shown = lived(RELAY), lived(RELAY, last_action=True)
    np.testing.assert_array_equal(shown.obs[..., :4], plain.obs)
    np.testing.assert_array_equal(shown.action, plain.action)
    said = shown.obs[..., 4:]
    np.testing.assert_array_equal(said[0], 0.0)
    done = np.eye(4)[shown.action]
    np.testing.assert_array_equal(said[1:][shown.valid], done[shown.valid])
    for e, length in enumerate(shown.valid.sum(axis=0)):
        assert (said[length:, e] == done[length - 1, e]).all()


def test_copies_are_opened_once_and_never_shared():
    host = task(RELAY)
    assert isinstance(host, ExternalEnv)
    with host.env_pool.acquire(2) as one, host.env_pool.acquire(2) as two:
        assert len({id(copy) for copy in (*one, *two)}) == 4
    with host.env_pool.acquire(4) as again:
        assert {id(copy) for copy in again} == {id(copy) for copy in (*one, *two)}
    with pytest.raises(ZeroDivisionError), host.env_pool.acquire(3) as spoilt:
        _ = 1 / 0
    with host.env_pool.acquire(4) as rest:
        assert not {id(copy) for copy in spoilt} & {id(copy) for copy in rest}


@pytest.mark.parametrize("id", [RELAY, f"{RELAY}?stuck=true"])
def test_copies_are_closed_when_nobody_needs_them(id: str):
    before = external_envs.open_now
    host = task(id)
    assert isinstance(host, ExternalEnv)
    assert external_envs.open_now == before
    with host.env_pool.acquire(3):
        with pytest.raises(ZeroDivisionError), host.env_pool.acquire(2):
            _ = 1 / 0
        assert external_envs.open_now == before + 3
    host.env_pool.close()
    assert external_envs.open_now == before
    with host.env_pool.acquire(1):
        assert external_envs.open_now == before + 1
    host.env_pool.close()


def test_tuples_with_a_reward_of_the_team():
    episodes = lived(f"{DUO}?time_limit=5")
    assert episodes.obs.shape == (6, 24, 2, 2)
    np.testing.assert_array_equal(episodes.obs[:, 0, 0], [[t, 0] for t in range(6)])
    np.testing.assert_array_equal(episodes.reward, 1.5)
    np.testing.assert_array_equal(episodes.returns, 15.0)
    assert not episodes.action_mask[:, :, 1, 0].any()
    assert episodes.action[..., 1].min() == 1
    assert len(set(episodes.obs[0, :, 1, 1])) > 4, "copies get seeds of their own"


@pytest.mark.parametrize(
    ("id", "steps", "terminated"),
    [
        (f"{DUO}?ends=3&time_limit=5", 3, True),
        (f"{DUO}?ends=5&time_limit=5", 5, True),
        (f"{DUO}?ends=5&max_steps=5", 5, False),
        (f"{DUO}?ends=4&max_steps=5", 4, True),
        (f"{DUO}?max_episode_steps=4", 4, False),
        ("gymnasium:external_envs:DuoCut-v0", 4, False),
        ("gymnasium:external_envs:DuoCut-v0?ends=4", 4, True),
    ],
)
def test_an_end_at_an_environments_own_limit_is_a_cut(
    id: str, steps: int, terminated: bool
):
    episodes = lived(id)
    assert (episodes.valid.sum(axis=0) == steps).all()
    assert (episodes.terminated[steps - 1] == terminated).all()
    assert (episodes.truncated[steps - 1] != terminated).all()


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("pettingzoo:", "task 'pettingzoo:' is incomplete; expected e.g. petting"),
        ("gymnasium:?a=1", "is incomplete; expected e.g. gymnasium:lbforaging:For"),
        (f"{RELAY}?N", "'N' sets nothing; expected PARAMETER=VALUE"),
        (f"{RELAY}?", "'' sets nothing; expected PARAMETER=VALUE"),
        (f"{RELAY}?a=1&a=2", "a is given twice in 'pettingzoo:external_envs?a=1&a=2'"),
        (f"{RELAY}?N=3", "got an unexpected keyword argument 'N'"),
        (f"{RELAY}?silent=true", f"expected {RELAY}?silent=true&time_limit=N"),
        (f"{RELAY}?time_limit=0", "time_limit is 0; expected 1 to 1,000,000"),
        (f"{RELAY}?time_limit=many", "time_limit is 'many'; expected 1 to"),
        (f"{RELAY}?time_limit=true", "time_limit is True; expected 1 to"),
        (DUO, f"expected {DUO}?time_limit=N, N steps"),
        (
            "pettingzoo:mpe2.simple_sprad_v3",
            "unknown module of mpe2 'simple_sprad_v3'; did you mean 'simple_spread_v",
        ),
        ("pettingzoo:mpe3.relay", "'mpe3' is not installed, nor is it in the current "),
        ("pettingzoo:mpe3.relay", "to install it: pip install mpe3"),
        (
            "pettingzoo:os;import",
            "there is no module 'os;import'; expected a name like package.module",
        ),
        ("pettingzoo:json", "module 'json' has no parallel_env; expected one of"),
        ("gymnasium:NoSuchThing-v0", "Environment `NoSuchThing` doesn't exist"),
        ("gymnasium:external_envs:Duo", "Duo is of no version; expected e.g. Duo-v0"),
        ("gymnasium:nowhere:Duo-v0", "module 'nowhere' is not installed"),
        ("gymnasium:CartPole-v1", "are Box and Discrete; expected Tuple and Tuple"),
        ("gymnasium:external_envs:Alone-v0", "are Box and Tuple; expected Tuple and T"),
        (
            "gymnasium:external_envs:Steering-v0",
            "actions of agent 1 are Box; expected D",
        ),
    ],
)
def test_bad_input_is_said_in_one_line(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)) as it:
        task(id)
    assert "\n" not in str(it.value)


def test_values_of_parameters():
    assert parse_env_id(
        "pettingzoo:m.n?a=1&b=-2.5&c=true&d=None&e=[8,8]&f=x-y&g=1=2"
    ) == (
        *("pettingzoo", "m.n"),
        {"a": 1, "b": -2.5, "c": True, "d": None, "e": [8, 8], "f": "x-y", "g": "1=2"},
    )


def changed(place: int, agent: str, value: Any) -> Callable[..., tuple]:
    """Returns what replaces one agent's entry in a part of an answer."""

    def spoil(*answer: Any) -> tuple:
        parts = list(answer)
        parts[place] = {**parts[place], agent: value}
        return tuple(parts)

    return spoil


def lost(*answer: Any) -> tuple:
    """Returns the answer without what one agent sees."""
    seen = {name: obs for name, obs in answer[0].items() if name != "long"}
    return seen, *answer[1:]


def crash(*answer: Any) -> tuple:
    raise OSError(f"no server\nfor {len(answer)} parts")


def leave(*answer: Any) -> tuple:
    sys.exit(len(answer) - 5)


def leave_at_once(*_: Any, **__: Any) -> NoReturn:
    sys.exit("no server")


def interrupt(*answer: Any) -> tuple:
    raise KeyboardInterrupt(len(answer))


NO_MASK = {"observation": np.zeros((1, 1)), "action_mask": np.zeros(4)}


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (changed(0, "long", np.zeros(3)), "observation of long holds 3 numbers; exp"),
        (changed(0, "long", [0, np.nan]), "observation of long holds numbers that are"),
        (changed(0, "long", [0, 1e39]), "observation of long holds numbers that are"),
        (changed(1, "short", 1e39), "reward of short is 1e+39; expected a finite num"),
        (changed(1, "short", np.inf), "reward of short is inf; expected a finite num"),
        (changed(1, "long", None), "reward of long is None; expected a finite number"),
        (changed(0, "masked", NO_MASK), "action_mask of masked is [0.0, 0.0, 0.0, 0.0"),
        (lost, "there is no observation of long"),
        (crash, "it raised OSError: no server for 5 parts"),
        (leave, "it raised SystemExit: 0"),
        (lambda *_: None, "it raised TypeError: cannot unpack non-iterable NoneType"),
    ],
)
def test_faults_name_the_copy_and_the_step(what: Callable[..., Any], message: str):
    external_envs.mischief.what = what
    external_envs.mischief.at = external_envs.taken + 1
    with pytest.raises(EnvironmentStepError) as it:
        lived(RELAY, seed=ALL_GO_ON)
    assert str(it.value).startswith(f"environment {RELAY}, copy 0, step 1: {message}")
    assert "\n" not in str(it.value)


def test_an_environment_that_exits_ends_nothing_else(monkeypatch: pytest.MonkeyPatch):
    host = task(RELAY)
    assert isinstance(host, ExternalEnv)
    monkeypatch.setattr(external_envs.Relay, "reset", leave_at_once)
    with pytest.raises(EnvironmentStepError, match="it raised SystemExit: no server"):
        rollout_external(host, choose, 0, jax.random.key(0), episodes=1, num_envs=1)
    monkeypatch.setattr(external_envs.Relay, "__init__", leave_at_once)
    with pytest.raises(
        InvalidInputError, match="cannot be opened: SystemExit: no server"
    ):
        task(RELAY)


def test_ctrl_c_is_no_fault():
    external_envs.mischief.what = interrupt
    external_envs.mischief.at = external_envs.taken + 1
    with pytest.raises(KeyboardInterrupt):
        lived(RELAY, seed=ALL_GO_ON)


def test_faults_of_tuples():
    external_envs.mischief.at = external_envs.taken + 10
    external_envs.mischief.what = lambda obs, *rest: (obs[:1], *rest)
    with pytest.raises(
        EnvironmentStepError, match=r"copy 1, step 2: there are 1 observations; e"
    ):
        lived(f"{DUO}?time_limit=5")
    external_envs.mischief.at = external_envs.taken + 1
    external_envs.mischief.what = lambda obs, _, *rest: (obs, [1.0], *rest)
    with pytest.raises(
        EnvironmentStepError, match=r"copy 0, step 1: there are 1 rewards; expect"
    ):
        lived(f"{DUO}?time_limit=5")


def test_compiled_code_cannot_use_it(key):
    host = task(RELAY)
    with pytest.raises(
        InvalidInputError, match="is stepped on the host; expected a task in JA"
    ):
        host.reset(key)
