"""Speaker-listener by hand: observations, action mask and rewards."""

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


jitted_step = jax.jit(SpeakerListener.step)


def step(board: SpeakerState, *action: int, **parameters: Any):
    task = SpeakerListener(**parameters)
    return jitted_step(task, jax.random.key(0), board, jnp.array(action))


def test_the_return_of_a_listener_at_rest_by_hand():
    # d² = 0.3² + 0.4² = 0.25; each agent receives the sum over both, so that the
    # team's return is −4 Σ d², over 25 steps: −25.
    board, total, timestep = state((0.3, 0.1)), 0.0, None
    for _ in range(25):
        assert timestep is None or not (timestep.truncated | timestep.terminated)
        board, timestep = step(board, 0, NONE)
        assert timestep.reward.shape == (2,)
        total += timestep.reward.sum()
    np.testing.assert_allclose(total, -25.0, rtol=1e-5)
    assert timestep is not None
    assert timestep.truncated
    assert not timestep.terminated


def test_individual_rewards_as_in_mpe2():
    _, timestep = step(state((0.3, 0.1)), 0, NONE, shared_reward=False)
    np.testing.assert_allclose(timestep.reward, [-0.25, -0.25], rtol=1e-5)


def test_the_message_is_observed_after_the_step_and_only_the_listener_moves():
    board, timestep = step(state((0.0, 0.0)), 2, UP)
    assert timestep.obs[1, -3:].tolist() == [0, 0, 1]
    # v' = 5 · 0.1 upwards, p' = 0.1 v'.
    np.testing.assert_allclose(board.listener.velocity, [[0.0, 0.5]])
    np.testing.assert_allclose(board.listener.position, [[0.0, 0.05]])
    board, timestep = step(board, 0, NONE)
    assert timestep.obs[1, -3:].tolist() == [1, 0, 0]
    np.testing.assert_allclose(board.listener.velocity, [[0.0, 0.375]])


def test_without_the_word_the_listener_observes_no_message():
    board, timestep = step(state((0.0, 0.0)), 2, UP, word=False)
    heard, heard_step = step(state((0.0, 0.0)), 2, UP)
    np.testing.assert_array_equal(timestep.obs[1, -3:], 0.0)
    np.testing.assert_array_equal(timestep.obs[:, :-3], heard_step.obs[:, :-3])
    np.testing.assert_array_equal(timestep.reward, heard_step.reward)
    np.testing.assert_array_equal(board.listener.position, heard.listener.position)
    task = SpeakerListener(word=False)
    assert [f.entity for f in task.feature_names(1)][-3:] == ["padding"] * 3
    strip = task.render(board).strip
    assert strip is not None
    assert len(strip.shapes) == 1


def test_the_return_without_communication_is_that_of_the_centroid():
    landmarks = np.random.default_rng(0).uniform(-1, 1, (100_000, 3, 2))
    offset = landmarks - landmarks.mean(1, keepdims=True)
    squared = (offset**2).sum(-1).mean()
    bound = SpeakerListener(word=False).return_bounds(0.0, 1)["without communication"]
    np.testing.assert_allclose(bound, -25 * 4 * squared, rtol=5e-3)
    mpe2 = SpeakerListener(shared_reward=False).return_bounds(0.0, 1)
    np.testing.assert_allclose(mpe2["without communication"], bound / 2)


def test_mpe2_moves_by_the_old_velocity():
    board, _ = step(state((0.0, 0.0)), 2, UP, explicit_euler=True)
    np.testing.assert_allclose(board.listener.position, [[0.0, 0.0]])


@pytest.mark.parametrize(
    ("goal", "color"),
    [(0, [0.65, 0.15, 0.15]), (1, [0.15, 0.65, 0.15]), (2, [0.15, 0.15, 0.65])],
)
def test_observations_by_hand(goal: int, color: list[float]):
    board = state((0.5, 0.25), goal, velocity=(0.1, -0.2))
    speaker, listener = SpeakerListener().observe(board)
    np.testing.assert_allclose(speaker, color + [0.0] * 8)
    offsets = [0.5, 0.75, -0.5, 0.25, -1.5, -0.25]
    np.testing.assert_allclose(listener, [0.1, -0.2, *offsets, 0, 0, 0], rtol=1e-6)


def test_the_speaker_has_three_messages_and_the_listener_five_moves(
    key: Key[Array, ""],
):
    task = SpeakerListener()
    board, obs = task.reset(key)
    assert obs.shape == (2, 11) == (task.num_agents, task.obs_dim)
    action_mask = task.action_mask(board).tolist()
    assert action_mask == [[True, True, True, False, False], [True] * 5]


def test_initial_states_are_uniform():
    keys = jax.random.split(jax.random.key(0), 3000)
    boards, _ = jax.jit(jax.vmap(SpeakerListener().reset))(keys)
    assert stats.chisquare(np.bincount(boards.goal)).pvalue > 1e-4
    uniform = stats.uniform(-1, 2)
    for position in (boards.listener.position[:, 0], boards.landmark_position[:, 2]):
        for column in np.asarray(position).T:
            assert stats.kstest(column, uniform.cdf).pvalue > 1e-4
    # The goal is independent of the positions.
    correlation = np.corrcoef(boards.goal == 0, boards.listener.position[:, 0, 0])[0, 1]
    assert abs(correlation) < 4 / np.sqrt(3000)
    assert not boards.message.any()
    assert not boards.listener.velocity.any()


def test_the_reward_depends_on_the_goal():
    listener = at_rest(jnp.array([[1.0, 1.0]]))
    for goal, squared_distance in enumerate([0.0, 1.25, 5.0]):
        board = state((1.0, 1.0), goal)._replace(listener=listener)
        expected = [-2 * squared_distance] * 2
        np.testing.assert_allclose(SpeakerListener().reward(board), expected)


@pytest.mark.parametrize(
    "id",
    [
        "SpeakerListener",
        "SpeakerListener?shared_reward=false&explicit_euler=true",
        "SpeakerListener?word=false&time_limit=50",
    ],
)
def test_id_round_trip(id: str):
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
def test_an_invalid_id_is_reported(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        SpeakerListener.parse(id)
