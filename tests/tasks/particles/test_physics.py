"""Forces and motion by hand, in closed form and against an independent NumPy."""

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


def test_actions_push_by_five():
    force = action_force(jnp.array([NONE, LEFT, RIGHT, DOWN, UP]))
    assert force.tolist() == [[0, 0], [-5, 0], [5, 0], [0, -5], [0, 5]]


def test_one_step_by_hand():
    # v' = 0.75 · (1, −2) + 0.1 · (5, 0) = (1.25, −1.5), and p' = (0, 0) + 0.1 v'.
    body = ParticleState(jnp.zeros((1, 2)), jnp.array([[1.0, -2.0]]))
    after = integrate_state(body, jnp.array([[5.0, 0.0]]))
    np.testing.assert_allclose(after.velocity, [[1.25, -1.5]], rtol=1e-6)
    np.testing.assert_allclose(after.position, [[0.125, -0.15]], rtol=1e-6)
    # mpe2 moves by the old velocity.
    after = integrate_state(body, jnp.array([[5.0, 0.0]]), explicit_euler=True)
    np.testing.assert_allclose(after.velocity, [[1.25, -1.5]], rtol=1e-6)
    np.testing.assert_allclose(after.position, [[0.1, -0.2]], rtol=1e-6)


@pytest.mark.parametrize("position_first", [False, True])
def test_a_constant_push_leads_to_a_closed_form(position_first: bool):
    # v_t = v_∞ (1 − 0.75^t), v_∞ = F dt / damping = 2; positions are its sum.
    body, force = at_rest(jnp.zeros((1, 2))), action_force(jnp.array([RIGHT]))
    for _ in range(25):
        body = integrate_state(body, force, explicit_euler=position_first)
    speed = 2.0 * (1.0 - 0.75 ** np.arange(26))
    way = 0.1 * (speed[:-1] if position_first else speed[1:]).sum()
    np.testing.assert_allclose(body.velocity, [[speed[25], 0]], rtol=1e-5)
    np.testing.assert_allclose(body.position, [[way, 0]], rtol=1e-5)


def test_contact_pushes_by_a_hundred_times_the_overlap():
    # At distance 0.2, two discs of radius 0.15 overlap by 0.1.
    force = contact_force(jnp.array([[0.0, 0.0], [0.2, 0.0], [0.0, 5.0]]), radius=0.15)
    np.testing.assert_allclose(force, [[-10, 0], [10, 0], [0, 0]], rtol=1e-5)


def test_discs_that_just_touch_overlap_by_the_margin_times_the_log_of_two():
    np.testing.assert_allclose(penetration(jnp.array(0.3), 0.3), 1e-3 * np.log(2))
    # One margin farther: 0.001 · ln(1 + 1/e).
    soft = penetration(jnp.array(0.301, jnp.float32), 0.3)
    np.testing.assert_allclose(soft, 1e-3 * np.log1p(np.exp(-1)), rtol=1e-3)


def test_discs_in_one_place_do_not_push():
    assert not contact_force(jnp.ones((3, 2)), radius=0.15).any()


# Apart by a hundredth at least, or in one place.
places = arrays.arrays(np.int32, (4, 2), elements=st.integers(-50, 50))


@given(places)
def test_contact_is_that_of_an_independent_sum(place: np.ndarray):
    exact = place / 100
    force = np.zeros((4, 2))
    for i in range(4):
        for j in range(4):
            way = exact[i] - exact[j]
            far = np.sqrt(way @ way)
            if far > 0:
                force[i] += way / far * 0.1 * np.logaddexp(0, (0.3 - far) / 1e-3)
    ours = contact_force(jnp.asarray(exact, jnp.float32), radius=0.15)
    np.testing.assert_allclose(ours, force, rtol=2e-4, atol=2e-4)
    # No force is lost: what one is pushed, the others are pushed back.
    np.testing.assert_allclose(jnp.sum(ours, axis=0), 0.0, atol=1e-3)


def test_touching_is_to_be_nearer_than_two_radii():
    place = jnp.array([[0.0, 0.0], [0.299, 0.0], [0.0, -0.301]])
    assert collision_matrix(place, radius=0.15).tolist() == [
        [True, True, False],
        [True, True, False],
        [False, False, True],
    ]


@pytest.mark.parametrize("agents", [2, 3, 7])
def test_without_self_drops_the_diagonal(agents: int):
    matrix = np.arange(agents * agents * 2).reshape(agents, agents, 2).astype("f")
    kept = [np.delete(row, i, axis=0) for i, row in enumerate(matrix)]
    assert drop_diagonal(jnp.asarray(matrix)).tolist() == np.stack(kept).tolist()


def test_places_are_drawn_alike_from_the_square(key: Key[Array, ""]):
    place = np.asarray(random_positions(key, 2000))
    law = stats.uniform(-1, 2)
    for column in place.T:
        assert stats.kstest(column, law.cdf).pvalue > 1e-4
    assert abs(np.corrcoef(place.T)[0, 1]) < 4 / np.sqrt(2000)
    other = random_positions(jax.random.key(1), 2000)
    assert not np.isin(np.asarray(other), place).all()
