"""Environments of other JAX libraries as tasks, without those libraries."""

import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import jax_libraries
import numpy as np
import pytest
from jaxtyping import Array
from reports import messages

from syntony.conformance.task import check_task
from syntony.errors import InvalidInputError
from syntony.tasks.jax_envs import jax_env, jumanji
from syntony.tasks.jax_envs.adapter import AdaptedEnv
from syntony.tasks.jax_envs.jax_env import JaxEnv, open_env
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory, rollout
from syntony.tasks.task import HasAgentEndings, HasGlobalState, Task

BATTLE = "jaxmarl:SMAX?max_steps=5"
"""An environment whose limit of steps is lifted."""
SPREAD = "jaxmarl:MPE_simple_spread_v3?max_steps=5"
"""The same with other rules: its limit stays, and rewards are of single agents."""
MEETING = "jumanji:Meeting-v0"


@pytest.fixture(autouse=True)
def libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Puts the small environments in place of the libraries."""
    monkeypatch.setitem(sys.modules, "jaxmarl", jax_libraries.JAXMARL)
    monkeypatch.setitem(sys.modules, "jumanji", jax_libraries.JUMANJI)
    for cached in (jax_env.open_env, jax_env.first_values):
        cached.cache_clear()
    yield
    for cached in (jax_env.open_env, jax_env.first_values):
        cached.cache_clear()


@cache
def program(id: str) -> Callable[[Array, Array], Trajectory]:
    """Compiled episode of a task, from its actions and a key."""

    def policy(
        obs: Array, hidden: tuple[Array, Array]
    ) -> tuple[Array, tuple[Array, Array]]:
        actions, time = hidden
        logits = jnp.zeros((*obs.shape[:2], task(id).num_actions))
        return logits.at[..., actions[time]].set(9.0), (actions, time + 1)

    def run(actions: Array, key: Array) -> Trajectory:
        start = actions, jnp.zeros((), jnp.int32)
        trajectory = rollout(task(id), policy, start, key, episodes=1, greedy=True)
        return trajectory._replace(state=())

    return jax.jit(run)


def play(id: str, *actions: int) -> Trajectory:
    """One episode in which every agent does the same action at each step."""
    padded = jnp.array([*actions, *[0] * (9 - len(actions))])
    trajectory = jax.device_get(program(id)(padded, jax.random.key(0)))
    return jax.tree.map(lambda x: x[:, 0], trajectory)


@pytest.mark.parametrize("id", [BATTLE, MEETING])
def test_it_keeps_the_rules_of_tasks(id: str):
    assert isinstance(open_env(id), AdaptedEnv)
    assert isinstance(task(id), Task)
    assert messages(check_task(task(id))) == {}


def test_it_is_static_and_compared_by_its_id():
    assert jax.tree.leaves(task(BATTLE)) == []
    assert task(BATTLE) == task(BATTLE)
    assert hash(task(BATTLE)) == hash(task(BATTLE))
    assert task(BATTLE) != task("jaxmarl:SMAX?max_steps=4")


def test_observations_and_masks_are_padded():
    battle = task(BATTLE)
    assert battle == JaxEnv(
        id=BATTLE,
        num_agents=2,
        num_actions=3,
        obs_dim=3,
        time_limit=6,
        shared_reward=False,
        global_state_dim=2,
        action_counts=(2, 3),
    )
    state, obs = battle.reset(jax.random.key(0))
    np.testing.assert_array_equal(obs, [[0, 0, 0], [7, 7, 0]])
    np.testing.assert_array_equal(battle.action_mask(state), [[1, 1, 0], [1, 1, 1]])


def test_a_team_reward_is_divided_among_those_who_live():
    """The first agent dies in step 1, the other in step 3: 1 + 1 + 1."""
    episode = play(BATTLE)
    assert isinstance(task(BATTLE), HasAgentEndings)
    np.testing.assert_array_equal(episode.alive[:4], [[1, 1], [0, 1], [0, 1], [0, 0]])
    np.testing.assert_array_equal(
        episode.reward[:4], [[0.5, 0.5], [0, 1], [0, 1], [0, 0]]
    )
    np.testing.assert_array_equal(episode.action_mask[1], [[1, 0, 0], [1, 1, 1]])


def test_rewards_of_single_agents_are_kept():
    episode = play(SPREAD + "&score=2.5")
    assert episode.reward[0].tolist() == [2.5, 2.5]


def test_the_global_state_is_read():
    assert isinstance(task(BATTLE), HasGlobalState)
    episode = play(BATTLE)
    np.testing.assert_array_equal(
        episode.global_state[:4], [[1, 1], [0, 1], [0, 1], [0, 0]]
    )
    assert play(MEETING).global_state.shape == (7, 0)


@pytest.mark.parametrize(
    ("id", "actions", "steps", "terminated"),
    [
        (BATTLE, [], 6, False),
        (BATTLE, [0, 2], 2, True),
        # An end in the last step is no truncation, where the limit is lifted.
        (BATTLE.replace("5", "2"), [0, 0, 2], 3, True),
        (SPREAD, [], 6, False),
        (SPREAD, [0, 2], 2, True),
        (MEETING, [], 6, False),
        (MEETING, [1, 1, 1], 3, True),
        (MEETING + "?time_limit=3", [1, 1, 1], 3, True),
        (MEETING + "?time_limit=2", [1, 1, 1], 2, False),
    ],
)
def test_an_end_by_the_time_limit_is_a_truncation(
    id: str, actions: list[int], steps: int, terminated: bool
):
    episode = play(id, *actions)
    assert episode.valid.sum() == steps
    assert episode.terminated[steps - 1] == terminated
    assert episode.truncated[steps - 1] != terminated


def test_a_reward_of_the_whole_team_is_divided():
    episode = play(MEETING + "?num_agents=4&length=3", 1, 1)
    assert episode.reward.tolist()[:2] == [[0.0] * 4, [0.25] * 4]


def test_a_generators_parameters_keep_their_defaults():
    assert task(MEETING + "?num_agents=3").num_agents == 3
    # The cells of the board, the own place, and which agent it is.
    assert task(MEETING).obs_dim == 4 + 1 + 2
    assert task(MEETING + "?length=5").obs_dim == 5 + 1 + 2


def test_all_agents_observe_common_fields_and_who_they_are():
    _, obs = task(MEETING).reset(jax.random.key(0))
    np.testing.assert_array_equal(obs[0], [0, 1, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(obs[1], [1, 1, 1, 0, 0, 0, 1])


def board(**fields: Any) -> Any:
    return jax_libraries.named_tuple(action_mask=jnp.ones((2, 5), bool), **fields)


def test_a_path_board_is_seen_by_each_agent():
    """Cells 1 to 3 are the first agent's path, position and target, 4 to 6 the next."""
    obs = jumanji.observe_paths(board(grid=jnp.array([[1, 2, 3], [0, 5, 6]])))
    own = [[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]]
    others = [[0] * 6, [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]]
    np.testing.assert_array_equal(obs[0], np.ravel([own, others]))
    np.testing.assert_array_equal(obs[1], np.ravel([others, own]))


def test_a_maze_is_seen_by_each_agent():
    obs = jumanji.observe_maze(
        board(
            grid=jnp.array([[1, 2], [0, 1]]),
            agents_locations=jnp.array([[0, 0], [1, 1]]),
        )
    )
    dirty, wall, agents = [0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 1]
    np.testing.assert_array_equal(obs[0], np.ravel([dirty, wall, agents, [1, 0, 0, 0]]))
    np.testing.assert_array_equal(obs[1], np.ravel([dirty, wall, agents, [0, 0, 0, 1]]))


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("jaxmarl:", "task 'jaxmarl:' is incomplete; expected e.g. jaxmarl:SMAX?scen"),
        (
            "jaxmarl:SMAXX",
            "environment of JaxMARL 'SMAXX'; did you mean 'SMAX'?",
        ),
        ("jaxmarl:MPE_simple_spread", "did you mean 'MPE_simple_spread_v3'?"),
        (
            "jaxmarl:MPE_simple_tag_v3",
            "its agents are on two sides; expected one of MPE_simple_v3, ",
        ),
        ("jaxmarl:ant_4x2", "its actions are continuous; expected one of MPE_sim"),
        ("jaxmarl:SMAX?max_step=5", "parameter 'max_step'; did you mean 'max_steps'?"),
        ("jaxmarl:SMAX?max_steps=5&max_steps=6", "max_steps is given twice"),
        ("jaxmarl:SMAX?max_steps=x", "cannot be opened: ValueError: invalid literal"),
        ("jumanji:Meeting-v1", "of Jumanji 'Meeting-v1'; did you mean 'Meeting-v0'?"),
        ("jumanji:Meeting-v0?num_agent=3", "'num_agent'; did you mean 'num_agents'?"),
        (
            "jumanji:Maze-v0",
            "it has no num_agents; expected several agents with discrete actions",
        ),
    ],
)
def test_an_invalid_id_is_reported_in_one_line(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)) as it:
        task(id)
    assert "\n" not in str(it.value)


@pytest.mark.parametrize("library", ["jaxmarl", "jumanji"])
def test_a_missing_library_is_an_extra(library: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, library, None)
    id = jax_env.EXAMPLES[library]
    message = (
        f"{id}: module '{library}' is not installed; to install it: pip install "
        f'"syntony[{library}]"'
    )
    with pytest.raises(InvalidInputError, match=f"^{re.escape(message)}$"):
        task(id)


def test_what_a_library_prints_is_dropped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """JaxMARL prints to the original stream while it is imported, and leaves it."""
    make = vars(jax_libraries.JAXMARL)["make"]

    def noisy(name: str, **parameters: Any) -> Any:
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        print("Importing environments ...")
        return make(name, **parameters)

    monkeypatch.setattr(jax_libraries.JAXMARL, "make", noisy)
    streams = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__
    task(BATTLE)
    assert streams == (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    assert capsys.readouterr() == ("", "")
