"""What adapters read: time limits, masks, states; and teams, turns and pictures."""

import re
import warnings
from typing import Any

import jax
import numpy as np
import pytest

from syntony.errors import EnvironmentStepError, InvalidInputError
from syntony.tasks.external.external_env import ExternalEnv
from syntony.tasks.external.limits import own_time_limit
from syntony.tasks.external.rollout import rollout_external
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory

pytest.importorskip("pettingzoo")
BATTLE = "gymnasium:scripted_envs:Battle-v0"
SIDES = "pettingzoo:scripted_envs?kind=sides"
HUNTERS = f"{SIDES}&team=hunter_0,hunter_1&others=random"
TURNS = "pettingzoo:turn_envs?time_limit=8"


def act(obs: Any, action_mask: Any, noise: Any, hidden: int) -> tuple[Any, Any, int]:
    """Uniform policy over the available actions."""
    del obs
    action = np.argmax(np.where(action_mask, noise, -np.inf), axis=-1)
    return action, np.zeros(action.shape), hidden


def play(env: Any, seed: int = 0, episodes: int = 4, **options: Any) -> Trajectory:
    assert isinstance(env, ExternalEnv)
    key = jax.random.key(seed)
    options = {"episodes": episodes, "num_envs": episodes} | options
    return jax.device_get(rollout_external(env, act, 0, key, **options))


# Time limits.


def maker(max_cycles: int = 7) -> Any:
    del max_cycles


class Wrapper:
    """An environment within others, of which one has the attribute."""

    def __init__(self, env: object = None, **attributes: int):
        self.env = env
        self.__dict__.update(attributes)


class InfoEnv:
    """An environment that tells its limit as PyMARL's do."""

    def get_env_info(self) -> dict:
        return {"episode_limit": np.int64(60)}


class DefaultEnv:
    """An environment whose limit is only a default of its constructor."""

    def __init__(self, max_steps: int = 30, size: int = 3):
        del max_steps, size


@pytest.mark.parametrize(
    ("env", "parameters", "factory", "limit"),
    [
        (Wrapper(ep_length=25), {}, None, 25),
        (Wrapper(Wrapper(Wrapper(max_cycles=500))), {}, None, 500),
        (Wrapper(Wrapper(episode_limit=120), max_cycles=1000), {}, None, 120),
        (Wrapper(Wrapper(episode_limit=120), max_cycles=50), {}, None, 50),
        (InfoEnv(), {}, None, 60),
        (Wrapper(InfoEnv()), {"max_cycles": 90}, None, 60),
        # The shorter one of the environment's attribute and what it was given.
        (Wrapper(_max_episode_steps=50), {"max_episode_steps": 100}, None, 50),
        (Wrapper(max_steps=1000), {"max_cycles": 40}, None, 40),
        (Wrapper(), {"max_cycles": 9}, maker, 9),
        (Wrapper(), {}, maker, 7),
        (Wrapper(DefaultEnv()), {}, None, 30),
        (DefaultEnv(), {"max_steps": 5}, None, 5),
        (Wrapper(max_steps=0), {"time_limit": True}, None, None),
        (Wrapper(), {}, len, None),
    ],
)
def test_own_time_limits(env: object, parameters: Any, factory: Any, limit: int | None):
    assert own_time_limit(env, parameters, factory) == limit


@pytest.mark.parametrize(
    ("id", "limit", "warning"),
    [
        (SIDES, 6, None),
        (f"{SIDES}&time_limit=4", 4, None),
        (
            f"{SIDES}&time_limit=100",
            6,
            "after 6 steps, the environment's own limit; ti",
        ),
        (f"{BATTLE}?time_limit=9", 4, "time_limit=9 is longer and has no effect"),
        (
            f"{BATTLE}?max_episode_steps=9",
            4,
            "max_episode_steps=9 is longer and has no",
        ),
        (f"{BATTLE}?max_episode_steps=3", 3, None),
    ],
)
def test_the_shorter_limit_acts_and_is_told(id: str, limit: int, warning: str | None):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env = task(id + ("&team=hunter_0" if id.startswith(SIDES) else ""))
        trajectory = play(env)
    assert env.time_limit == limit
    assert trajectory.truncated[limit - 1].all()
    assert [str(w.message) for w in caught] == [
        str(w.message) for w in caught if warning and warning in str(w.message)
    ]
    assert len(caught) == (warning is not None)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            "duration=4",
            "all 6 episodes ended after 4 steps, as terminations: values do not "
            "bootstrap there; if it is a time limit, give time_limit=3",
        ),
        ("duration=9", None),
        ("duration=1", None),
    ],
)
def test_an_unknown_limit_is_told_once(parameters: str, message: str | None):
    id = f"gymnasium:external_envs:Duo-v0?time_limit=6&{parameters}"
    env = task(id)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for seed in range(2):
            play(env, seed, episodes=3)
    messages = [str(warning.message) for warning in caught]
    assert messages == ([f"{id}: {message}"] if message else [])


# Masks and states by methods.


@pytest.mark.parametrize("by", ["all", "each"])
def test_masks_of_methods_are_applied(by: str):
    """The environment asserts them; agent 1 is dead from step 2 on."""
    trajectory = play(task(f"{BATTLE}?by={by}"))
    assert trajectory.action_mask[0, 0].tolist() == [
        [False, True, True, True],
        [False, True, True, True],
        [False, True, True, False],
    ]
    assert trajectory.action_mask[2:, :, 1].sum() == 2 * 4
    assert trajectory.truncated[3].all()
    np.testing.assert_array_equal(trajectory.returns, 12.0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("by=too few", "get_avail_actions has 2 entries; expected 3"),
        (
            "by=indices",
            "action_mask of agent 0 is [1, 2, 3, 0]; expected 4 values, 0 or",
        ),
        (
            "state=nan",
            "step 1: global state holds 4 numbers; expected 4, all finite in",
        ),
    ],
)
def test_invalid_masks_and_states_are_reported(parameters: str, message: str):
    with pytest.raises(EnvironmentStepError, match=re.escape(message)):
        play(task(f"{BATTLE}?{parameters}"))


def test_global_states():
    """Of PyMARL's method, flattened; and of PettingZoo's, in its space."""
    env = task(BATTLE)
    trajectory = play(env, episodes=1)
    assert trajectory.global_state.shape == (5, 1, 4)
    times = np.arange(5)
    np.testing.assert_array_equal(trajectory.global_state[:, 0, 0], times)
    np.testing.assert_array_equal(trajectory.global_state[:, 0, 1:], [[10, 0.5, 7]] * 5)

    trajectory = play(task(f"{HUNTERS}&state=yes"), episodes=1)
    assert trajectory.global_state.shape == (7, 1, 9 + 2)
    late, time = trajectory.global_state[:, 0, :2], trajectory.global_state[:, 0, 2:]
    np.testing.assert_array_equal(time, np.eye(9)[:7])
    np.testing.assert_allclose(late, np.arange(7)[:, None] / [9, 9], rtol=1e-6)


@pytest.mark.parametrize(
    "id", [f"{BATTLE}?state=no", f"{HUNTERS}&state=not implemented", HUNTERS]
)
def test_a_state_that_is_not_implemented_is_none(id: str):
    env = task(id)
    assert isinstance(env, ExternalEnv)
    assert env.global_state_dim == 0


# Teams.


def test_only_the_team_belongs_to_the_task():
    env = task(HUNTERS)
    assert (env.num_agents, env.num_actions, env.obs_dim) == (2, 3, 4)
    trajectory = play(env, episodes=8)
    np.testing.assert_array_equal(trajectory.reward, 1.0)
    prey = trajectory.obs[1:, :, 0, 3]
    assert set(np.unique(prey)) == set(range(5)), "it acts at random"
    np.testing.assert_array_equal(
        trajectory.obs[1:, :, 0, 1], trajectory.action[..., 0]
    )
    np.testing.assert_array_equal(
        trajectory.obs[1:, :, 0, 2], trajectory.action[..., 1]
    )
    assert len({tuple(episode) for episode in prey.T}) == 8, "episodes differ"
    np.testing.assert_array_equal(play(task(HUNTERS), episodes=8).obs, trajectory.obs)


def test_a_team_has_the_order_and_sizes_of_its_members():
    env = task(f"{SIDES}&team=prey_0,hunter_1")
    assert (env.num_agents, env.num_actions, env.obs_dim) == (2, 5, 4)
    trajectory = play(env)
    np.testing.assert_array_equal(trajectory.reward[..., 0], -2.0)
    np.testing.assert_array_equal(trajectory.reward[..., 1], 1.0)
    assert task(f'{SIDES}&team=["prey_0"]').num_agents == 1
    assert task(f"{BATTLE}?team=0,2").num_actions == 4
    assert task(f"{BATTLE}?team=2").num_actions == 3


def test_the_episode_of_a_team_ends_with_it():
    """The hunters are truncated at step 3, and the prey goes on to step 6."""
    trajectory = play(task(f"{HUNTERS}&leaves=true"))
    np.testing.assert_array_equal(trajectory.valid.sum(axis=0), 3)
    assert trajectory.truncated[2].all()
    np.testing.assert_array_equal(trajectory.returns, 6.0)
    alone = play(task(f"{SIDES}&leaves=true&team=prey_0"))
    np.testing.assert_array_equal(alone.returns, -12.0)


@pytest.mark.parametrize(
    ("id", "message"),
    [
        (
            f"{SIDES}&team=hunter",
            "there is no agent 'hunter'; expected some of hunter_0, hunter_1, prey_0",
        ),
        (f"{SIDES}&team=prey_0&others=noop", "others is 'noop'; expected random"),
        (f"{SIDES}&others=random", "others is given without team; expected team=A,B"),
        (f"{SIDES}&team=prey_0,prey_0", "expected each agent once"),
        (f"{BATTLE}?team=3", "there is no agent '3'; expected some of 0, 1, 2"),
    ],
)
def test_invalid_teams_are_reported_in_one_line(id: str, message: str):
    with pytest.raises(InvalidInputError, match=message):
        task(id)


def test_added_rewards_of_two_sides_are_told():
    with pytest.warns(
        UserWarning,
        match="rewards of hunter and prey are added, as of one team; to choose a side: "
        "team=hunter_0,hunter_1$",
    ):
        env = task(SIDES)
    with pytest.warns(UserWarning, match="the agents' rewards sum to 0 in every step"):
        play(env)
    play(env)


# Turns.


def test_a_game_of_turns_is_converted():
    """One player moves in each step; the other has action 0, without an effect."""
    env = task(TURNS)
    assert (env.num_agents, env.num_actions, env.obs_dim) == (2, 2, 1)
    with pytest.warns(UserWarning, match="sum to 0 in every step"):
        trajectory = play(env, episodes=6)
    left = trajectory.obs[..., 0]
    np.testing.assert_array_equal(left[..., 0], left[..., 1])
    for e, length in enumerate(trajectory.valid.sum(axis=0)):
        on_turn = np.arange(length) % 2
        taken = trajectory.action[np.arange(length), e, on_turn] + 1
        np.testing.assert_array_equal(-np.diff(left[: length + 1, e, 0]), taken)
        waits = trajectory.action_mask[np.arange(length), e, 1 - on_turn]
        assert waits.tolist() == [[True, False]] * int(length)
        winner = (length - 1) % 2
        rewards = np.zeros((length, 2))
        rewards[-1] = [1, -1] if winner == 0 else [-1, 1]
        np.testing.assert_array_equal(trajectory.reward[:length, e], rewards)
    assert trajectory.terminated.any(axis=0).all()
    assert len(set(trajectory.valid.sum(axis=0))) > 1


def test_a_player_against_random_moves():
    trajectory = play(task(f"{TURNS}&team=second"), episodes=6)
    assert set(np.unique(trajectory.returns)) == {-1.0, 1.0}


def test_a_game_of_turns_needs_a_time_limit():
    with pytest.raises(InvalidInputError, match=r"turn_envs\?time_limit=N"):
        task("pettingzoo:turn_envs")


# Pictures.


@pytest.mark.parametrize(
    ("shape", "dtype", "refused"),
    [
        (
            [280, 480, 3],
            "uint8",
            "images of 280 x 480 x 3: 403,200 features; there is n",
        ),
        (
            [4, 60, 60],
            "float32",
            "images of 4 x 60 x 60: 14,400 features; there is no c",
        ),
        (
            [210, 160],
            "uint8",
            "images of 210 x 160: 33,600 features; there is no convol",
        ),
        ([13, 13, 5], "float32", None),
        ([84, 84], "uint8", None),
        ([9000], "float32", None),
    ],
)
def test_large_pictures_are_refused(shape: list[int], dtype: str, refused: str | None):
    sizes = str(shape).replace(" ", "")
    id = f"pettingzoo:scripted_envs?kind=picture&shape={sizes}&dtype={dtype}"
    id += "&team=prey_0"
    if refused is None:
        assert task(id).obs_dim == int(np.prod(shape)) + 3
        return
    with pytest.raises(InvalidInputError, match=refused):
        task(id)


def test_long_observations_are_told():
    id = "pettingzoo:scripted_envs?kind=picture&shape=[12000]&team=prey_0"
    with pytest.warns(UserWarning, match="observations have 12,003 features"):
        task(id)


def test_too_little_memory_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch):
    env = task(BATTLE)

    def allocate(*_: Any, **__: Any) -> None:
        raise MemoryError("Unable to allocate 3 GiB")

    monkeypatch.setattr("syntony.tasks.external.rollout.TrajectoryBuilder", allocate)
    with pytest.raises(
        InvalidInputError, match="2 episodes of 4 steps, 3 agents and 2 features do no"
    ):
        play(env, episodes=2)
