"""SimHash codes, exact counts and the exploration bonus."""

import jax
import jax.numpy as jnp
import numpy as np

from syntony.equations import novelty


def test_codes_are_sign_bits(key):
    z_key, projection_key = jax.random.split(key)
    z = jax.random.normal(z_key, (20, 5))
    projection = jax.random.normal(projection_key, (5, 16))
    got = novelty.simhash(z, projection)
    signs = np.asarray(z, np.float64) @ np.asarray(projection, np.float64) > 0
    want = [sum(1 << b for b in range(16) if row[b]) for row in signs]
    np.testing.assert_array_equal(got, want)
    assert got.max() < 2**16


def test_codes_depend_on_the_direction_only(key):
    z_key, projection_key = jax.random.split(key)
    z = jax.random.normal(z_key, (8,))
    projection = jax.random.normal(projection_key, (8, 16))
    assert novelty.simhash(z, projection) == novelty.simhash(3.0 * z, projection)
    flipped = novelty.simhash(-z, projection)
    assert novelty.simhash(z, projection) + flipped == 2**16 - 1


def test_near_beliefs_share_more_bits(key):
    """P(a bit differs) = angle / π (Charikar, 2002)."""
    projection = jax.random.normal(key, (2, 20_000))
    for angle in (0.3, 1.2, 2.8):
        z = jnp.array([[1.0, 0.0], [jnp.cos(angle), jnp.sin(angle)]])
        bits = np.asarray(z @ projection > 0)
        fraction = np.mean(bits[0] != bits[1])
        assert abs(fraction - angle / np.pi) < 0.015


def test_counts_of_valid_codes_only():
    codes = jnp.array([[7, 7, 7], [7, 2, 2]])
    mask = jnp.array([[True, True, False], [True, True, False]])
    counts = novelty.update_counts(jnp.zeros(8, jnp.int32), codes, mask)
    np.testing.assert_array_equal(counts, [0, 0, 1, 0, 0, 0, 0, 3])
    np.testing.assert_allclose(
        novelty.bonus(counts[jnp.array([7, 2])]), [3**-0.5, 1.0], rtol=1e-6
    )


def test_counts_add_up_over_calls():
    counts = jnp.zeros(4, jnp.int32)
    for _ in range(3):
        counts = novelty.update_counts(counts, jnp.array([1, 3]), jnp.ones(2, bool))
    np.testing.assert_array_equal(counts, [0, 3, 0, 3])
