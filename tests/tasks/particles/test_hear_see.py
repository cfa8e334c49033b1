"""HearSee by hand: observations, motion and rewards; returns of fixed teams."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Key
from scipy import stats

from syntony.errors import InvalidInputError
from syntony.tasks.particles.hear_see import HEAR, SEE, HearSee, HearSeeState
from syntony.tasks.particles.physics import LEFT, NONE, UP, ParticleState, at_rest
from syntony.tasks.scene import Circle, Role, Square

STATE = HearSeeState(
    agents=ParticleState(
        jnp.array([[0.3, 0.1], [-0.5, 0.25]]), jnp.array([[0.0, 0.0], [0.2, -0.4]])
    ),
    landmark_position=jnp.array([0.0, 0.5]),
    time=jnp.array(0),
)

jitted_step = jax.jit(HearSee.step)


def step(state: HearSeeState, *action: int, time_limit: int = 25):
    task = HearSee(time_limit=time_limit)
    return jitted_step(task, jax.random.key(0), state, jnp.array(action))


def test_observations_by_hand():
    hear, see = HearSee().observe(STATE)
    np.testing.assert_allclose(hear, [0.0, 0.5] + [0.0] * 6)
    np.testing.assert_allclose(see, [0.3, 0.1, -0.5, 0.25, 0.0, 0.0, 0.2, -0.4])
    labels = [feature.label for feature in HearSee().feature_names(SEE)]
    assert labels[2] == "agent 2 position x"
    assert labels[-1] == "agent 2 velocity y"
    assert [f.label for f in HearSee().feature_names(HEAR)][:3] == [
        "landmark position x",
        "landmark position y",
        "padding 1",
    ]


def test_motion_and_reward_by_hand():
    # v' = 0.75 v + 0.1 F, p' = p + 0.1 v'.
    state, timestep = step(STATE, LEFT, UP)
    np.testing.assert_allclose(
        state.agents.velocity, [[-0.5, 0.0], [0.15, 0.2]], rtol=1e-6
    )
    position = np.array([[0.25, 0.1], [-0.485, 0.27]])
    np.testing.assert_allclose(state.agents.position, position, rtol=1e-6)
    squared = ((position - [0.0, 0.5]) ** 2).sum(-1)
    np.testing.assert_allclose(timestep.reward, -squared / 2, rtol=1e-5)
    # The team's reward is the sum over agents: minus the mean of both distances.
    np.testing.assert_allclose(timestep.reward.sum(), -squared.mean(), rtol=1e-5)


def test_agents_at_one_place_do_not_collide():
    state = STATE._replace(agents=at_rest(jnp.full((2, 2), 0.5)))
    after, _ = step(state, NONE, NONE)
    np.testing.assert_array_equal(after.agents.position, state.agents.position)


def test_the_time_limit_truncates():
    state, timestep = step(STATE, NONE, NONE, time_limit=2)
    assert not (timestep.truncated | timestep.terminated)
    _, timestep = step(state, NONE, NONE, time_limit=2)
    assert timestep.truncated
    assert not timestep.terminated


def test_initial_states_are_uniform_and_agents_at_rest_lose_four_thirds():
    keys = jax.random.split(jax.random.key(0), 3000)
    states, obs = jax.jit(jax.vmap(HearSee().reset))(keys)
    uniform = stats.uniform(-1, 2)
    for values in (states.landmark_position, states.agents.position[:, 1]):
        for column in np.asarray(values).T:
            assert stats.kstest(column, uniform.cdf).pvalue > 1e-4
    assert not states.agents.velocity.any()
    # E‖p − l‖² = 2/3 + 2/3 for independent points of the square.
    offset = np.asarray(obs[:, SEE, :2] - obs[:, HEAR, :2])
    squared = (offset**2).sum(-1)
    assert abs(squared.mean() - 4 / 3) < 4 * squared.std() / np.sqrt(3000)


def test_the_observation_of_the_first_agent_depends_on_the_landmark_alone(
    key: Key[Array, ""],
):
    task = HearSee()
    state, obs = task.reset(key)
    moved = state._replace(agents=STATE.agents)
    assert (task.observe(moved)[HEAR] == obs[HEAR]).all()
    elsewhere = state._replace(landmark_position=-state.landmark_position)
    assert (task.observe(elsewhere)[SEE] == obs[SEE]).all()


def test_bounds_are_reached_in_the_mean_by_agents_where_they_should_be():
    """Without information both are at the best guess; informed, at the landmark."""
    rng = np.random.default_rng(0)
    landmark, start = rng.uniform(-1, 1, (2, 200_000, 2))
    moved = start + landmark  # Agent 0 goes by the landmark's offset from the center.
    squared = {
        "without information": [(moved - landmark) ** 2, landmark**2],
        "inferred from motion": [(moved - landmark) ** 2, 0 * landmark],
        "communicated": [0 * landmark, 0 * landmark],
    }
    bounds = HearSee(time_limit=10).return_bounds(5.0, 1)
    assert bounds.keys() == squared.keys()
    for name, parts in squared.items():
        mean = -10 * np.mean([part.sum(-1).mean() for part in parts])
        np.testing.assert_allclose(bounds[name], mean, rtol=5e-3)


def test_scene_and_windows():
    scene = HearSee().render(STATE)
    square, first, second = scene.shapes
    assert square == Square(0.0, -0.5, 0.16, Role.TARGET)
    assert isinstance(first, Circle)
    assert isinstance(second, Circle)
    assert (second.role, second.x, second.y) == (SEE, -0.5, -0.25)
    (landmark,) = HearSee().obs_window(HEAR).entities
    assert (landmark.x.feature, landmark.y.feature, landmark.y.factor) == (0, 1, -1)
    entities = HearSee().obs_window(SEE).entities
    assert [(e.role, e.x.feature) for e in entities] == [(0, 0), (1, 2)]


@pytest.mark.parametrize("id", ["HearSee", "HearSee?time_limit=50"])
def test_id_round_trip(id: str):
    assert HearSee.parse(id).id == id


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("HearSee-2", "'HearSee-2' names no HearSee task; expected HearSee"),
        ("HearSee?time_limit=0", "expected 1 to 1000000, e.g. HearSee?time_limit=1"),
        ("HearSee?time=3", "unknown task parameter 'time'"),
    ],
)
def test_an_invalid_id_is_reported(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        HearSee.parse(id)
