"""Forces and motion by hand, in closed form and against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from jaxtyping import Array, Key
from scipy import stats

from syntony.tasks.particles.physics import (
    DOWN,
    LEFT,
    NONE,
    RIGHT,
    UP,
    ParticleState,
    action_force,
    at_rest,
    collision_matrix,
    contact_force,
    drop_diagonal,
    integrate_state,
    penetration,
    random_positions,
)


def test_action_force_is_five():
    force = action_force(jnp.array([NONE, LEFT, RIGHT, DOWN, UP]))
    assert force.tolist() == [[0, 0], [-5, 0], [5, 0], [0, -5], [0, 5]]


def test_one_step_by_hand():
    # v' = 0.75 · (1, −2) + 0.1 · (5, 0) = (1.25, −1.5), and p' = (0, 0) + 0.1 v'.
    state = ParticleState(jnp.zeros((1, 2)), jnp.array([[1.0, -2.0]]))
    after = integrate_state(state, jnp.array([[5.0, 0.0]]))
    np.testing.assert_allclose(after.velocity, [[1.25, -1.5]], rtol=1e-6)
    np.testing.assert_allclose(after.position, [[0.125, -0.15]], rtol=1e-6)
    # mpe2 moves by the old velocity.
    after = integrate_state(state, jnp.array([[5.0, 0.0]]), explicit_euler=True)
    np.testing.assert_allclose(after.velocity, [[1.25, -1.5]], rtol=1e-6)
    np.testing.assert_allclose(after.position, [[0.1, -0.2]], rtol=1e-6)


@pytest.mark.parametrize("explicit_euler", [False, True])
def test_a_constant_force_has_a_closed_form(explicit_euler: bool):
    # v_t = v_∞ (1 − 0.75^t), v_∞ = F dt / damping = 2; positions are its sum.
    state, force = at_rest(jnp.zeros((1, 2))), action_force(jnp.array([RIGHT]))
    for _ in range(25):
        state = integrate_state(state, force, explicit_euler=explicit_euler)
    speed = 2.0 * (1.0 - 0.75 ** np.arange(26))
    distance = 0.1 * (speed[:-1] if explicit_euler else speed[1:]).sum()
    np.testing.assert_allclose(state.velocity, [[speed[25], 0]], rtol=1e-5)
    np.testing.assert_allclose(state.position, [[distance, 0]], rtol=1e-5)


def test_contact_force_is_a_hundred_times_the_overlap():
    # At distance 0.2, two discs of radius 0.15 overlap by 0.1.
    force = contact_force(jnp.array([[0.0, 0.0], [0.2, 0.0], [0.0, 5.0]]), radius=0.15)
    np.testing.assert_allclose(force, [[-10, 0], [10, 0], [0, 0]], rtol=1e-5)


def test_penetration_at_the_minimum_distance_is_k_log_two():
    np.testing.assert_allclose(penetration(jnp.array(0.3), 0.3), 1e-3 * np.log(2))
    # Farther by k: 0.001 · ln(1 + 1/e).
    overlap = penetration(jnp.array(0.301, jnp.float32), 0.3)
    np.testing.assert_allclose(overlap, 1e-3 * np.log1p(np.exp(-1)), rtol=1e-3)


def test_discs_at_one_position_exert_no_force():
    assert not contact_force(jnp.ones((3, 2)), radius=0.15).any()


# Different positions differ by at least 0.01.
positions = arrays.arrays(np.int32, (4, 2), elements=st.integers(-50, 50))


@given(positions)
def test_contact_force_equals_numpy(grid: np.ndarray):
    exact = grid / 100
    force = np.zeros((4, 2))
    for i in range(4):
        for j in range(4):
            offset = exact[i] - exact[j]
            d = np.sqrt(offset @ offset)
            if d > 0:
                force[i] += offset / d * 0.1 * np.logaddexp(0, (0.3 - d) / 1e-3)
    ours = contact_force(jnp.asarray(exact, jnp.float32), radius=0.15)
    np.testing.assert_allclose(ours, force, rtol=2e-4, atol=2e-4)
    # Action equals reaction.
    np.testing.assert_allclose(jnp.sum(ours, axis=0), 0.0, atol=1e-3)


def test_discs_overlap_below_two_radii():
    position = jnp.array([[0.0, 0.0], [0.299, 0.0], [0.0, -0.301]])
    assert collision_matrix(position, radius=0.15).tolist() == [
        [True, True, False],
        [True, True, False],
        [False, False, True],
    ]


@pytest.mark.parametrize("agents", [2, 3, 7])
def test_drop_diagonal(agents: int):
    matrix = np.arange(agents * agents * 2).reshape(agents, agents, 2).astype("f")
    expected = [np.delete(row, i, axis=0) for i, row in enumerate(matrix)]
    assert drop_diagonal(jnp.asarray(matrix)).tolist() == np.stack(expected).tolist()


def test_positions_are_uniform_over_the_square(key: Key[Array, ""]):
    position = np.asarray(random_positions(key, 2000))
    uniform = stats.uniform(-1, 2)
    for column in position.T:
        assert stats.kstest(column, uniform.cdf).pvalue > 1e-4
    assert abs(np.corrcoef(position.T)[0, 1]) < 4 / np.sqrt(2000)
    other = random_positions(jax.random.key(1), 2000)
    assert not np.isin(np.asarray(other), position).all()
