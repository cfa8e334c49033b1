"""Speaker and listener by hand: what is seen, heard, allowed and paid."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Key
from scipy import stats

from syntony.errors import InvalidInputError
from syntony.tasks.particles.physics import NONE, UP, ParticleState, at_rest
from syntony.tasks.particles.speaker_listener import SpeakerListener, SpeakerState


def state(listener: tuple, goal: int = 1, velocity: tuple = (0.0, 0.0)) -> SpeakerState:
    return SpeakerState(
        listener=ParticleState(jnp.array([listener]), jnp.array([velocity])),
        landmark_position=jnp.array([[1.0, 1.0], [0.0, 0.5], [-1.0, 0.0]]),
        goal=jnp.array(goal),
        message=jnp.zeros(3),
        time=jnp.array(0),
    )


stepped = jax.jit(SpeakerListener.step)


def step(board: SpeakerState, *action: int, **settings: Any):
    task = SpeakerListener(**settings)
    return stepped(task, jax.random.key(0), board, jnp.array(action))


def test_the_return_of_a_listener_at_rest_by_hand():
    # d² = 0.3² + 0.4² = 0.25; each of two is given the sum over both, so that the
    # team's return is −4 Σ d², over 25 steps: −25.
    board, total, told = state((0.3, 0.1)), 0.0, None
    for _ in range(25):
        assert told is None or not (told.truncated | told.terminated)
        board, told = step(board, 0, NONE)
        assert told.reward.shape == (2,)
        total += told.reward.sum()
    np.testing.assert_allclose(total, -25.0, rtol=1e-5)
    assert told is not None
    assert told.truncated
    assert not told.terminated


def test_each_can_be_given_its_own_as_in_mpe2():
    _, told = step(state((0.3, 0.1)), 0, NONE, shared_reward=False)
    np.testing.assert_allclose(told.reward, [-0.25, -0.25], rtol=1e-5)


def test_a_word_is_heard_behind_the_step_and_only_the_listener_moves():
    board, told = step(state((0.0, 0.0)), 2, UP)
    assert told.obs[1, -3:].tolist() == [0, 0, 1]
    # v' = 5 · 0.1 upwards, p' = 0.1 v'.
    np.testing.assert_allclose(board.listener.velocity, [[0.0, 0.5]])
    np.testing.assert_allclose(board.listener.position, [[0.0, 0.05]])
    board, told = step(board, 0, NONE)
    assert told.obs[1, -3:].tolist() == [1, 0, 0]
    np.testing.assert_allclose(board.listener.velocity, [[0.0, 0.375]])


def test_mpe2_moves_by_the_old_velocity():
    board, _ = step(state((0.0, 0.0)), 2, UP, position_first=True)
    np.testing.assert_allclose(board.listener.position, [[0.0, 0.0]])


@pytest.mark.parametrize(
    ("goal", "colour"),
    [(0, [0.65, 0.15, 0.15]), (1, [0.15, 0.65, 0.15]), (2, [0.15, 0.15, 0.65])],
)
def test_observations_by_hand(goal: int, colour: list[float]):
    board = state((0.5, 0.25), goal, velocity=(0.1, -0.2))
    speaker, listener = SpeakerListener().observe(board)
    np.testing.assert_allclose(speaker, colour + [0.0] * 8)
    ways = [0.5, 0.75, -0.5, 0.25, -1.5, -0.25]
    np.testing.assert_allclose(listener, [0.1, -0.2, *ways, 0, 0, 0], rtol=1e-6)


def test_the_speaker_has_three_words_and_the_listener_five_moves(key: Key[Array, ""]):
    task = SpeakerListener()
    board, obs = task.reset(key)
    assert obs.shape == (2, 11) == (task.num_agents, task.obs_dim)
    allowed = task.action_mask(board).tolist()
    assert allowed == [[True, True, True, False, False], [True] * 5]


def test_scenes_are_drawn_alike():
    keys = jax.random.split(jax.random.key(0), 3000)
    boards, _ = jax.jit(jax.vmap(SpeakerListener().reset))(keys)
    assert stats.chisquare(np.bincount(boards.goal)).pvalue > 1e-4
    law = stats.uniform(-1, 2)
    for place in (boards.listener.position[:, 0], boards.landmark_position[:, 2]):
        for column in np.asarray(place).T:
            assert stats.kstest(column, law.cdf).pvalue > 1e-4
    # The goal says nothing about the places.
    chance = np.corrcoef(boards.goal == 0, boards.listener.position[:, 0, 0])[0, 1]
    assert abs(chance) < 4 / np.sqrt(3000)
    assert not boards.message.any()
    assert not boards.listener.velocity.any()


def test_rewards_are_paid_for_the_true_goal():
    places = at_rest(jnp.array([[1.0, 1.0]]))
    for goal, miss in enumerate([0.0, 1.25, 5.0]):
        board = state((1.0, 1.0), goal)._replace(listener=places)
        np.testing.assert_allclose(SpeakerListener().reward(board), [-2 * miss] * 2)


@pytest.mark.parametrize(
    "id",
    [
        "SpeakerListener",
        "SpeakerListener?shared_reward=false&position_first=true",
        "SpeakerListener?time_limit=50",
    ],
)
def test_an_id_goes_there_and_back(id: str):
    assert SpeakerListener.parse(id).id == id


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("SpeakerListener-2", "names no speaker-listener task; expected SpeakerListe"),
        (
            "SpeakerListener?time_limit=0",
            "expected 1 to 1000000, e.g. SpeakerListener?",
        ),
        ("SpeakerListener?shared=true", "unknown task parameter 'shared'"),
    ],
)
def test_what_is_wrong_with_an_id_is_said(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        SpeakerListener.parse(id)
