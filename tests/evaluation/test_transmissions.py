"""Shares of variance and levels, against codes whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
from toy_transmitters import QPSKTeam

from syntony.evaluation.transmissions import (
    collect_transmissions,
    group_features,
    observation_levels,
    variance_shares,
)
from syntony.systems.system import TransmitsObservations
from syntony.tasks.scene import Feature, features_of_entities

FEATURES = [
    *features_of_entities(["cue"], ["1", "2", "3"]),
    *features_of_entities(["distractor"], ["1", "2"]),
    *features_of_entities(["position"], ["x", "y"]),
]
SAMPLES = 4000


def observations() -> np.ndarray:
    """Independent cues, distractors, and positions in [−1, 1)."""
    rng = np.random.default_rng(0)
    cue = np.eye(3)[rng.integers(3, size=SAMPLES)]
    distractor = np.eye(2)[rng.integers(2, size=SAMPLES)]
    return np.concatenate([cue, distractor, rng.uniform(-1, 1, (SAMPLES, 2))], axis=1)


OBS = observations()
RING = np.exp(2j * np.pi * np.arange(3) / 3)


def as_symbols(x: np.ndarray) -> np.ndarray:
    return np.stack([np.real(x), np.imag(x)], axis=-1)[:, None]


def test_shares_of_a_sum_are_those_of_its_parts():
    # Variances: 1 of the ring, 0.25 · 4 of the distractor's ±1.
    x = OBS[:, :3] @ RING + (2 * OBS[:, 3] - 1.0)
    shares = variance_shares(OBS, as_symbols(x), FEATURES)
    assert list(shares) == ["cue", "distractor", "position"]
    np.testing.assert_allclose(list(shares.values()), [0.5, 0.5, 0], atol=0.03)
    x = 0.5 * OBS[:, :3] @ RING + (2 * OBS[:, 3] - 1.0)
    shares = variance_shares(OBS, as_symbols(x), FEATURES)
    np.testing.assert_allclose(list(shares.values()), [0.2, 0.8, 0], atol=0.03)


def test_a_nonlinear_code_of_a_position_is_followed():
    x = np.exp(1j * np.pi * OBS[:, 5])
    shares = variance_shares(OBS, as_symbols(x), FEATURES)
    # Six bins of equal width: 1 − sinc²(1/6) of the variance is within them.
    np.testing.assert_allclose(shares["position"], np.sinc(1 / 6) ** 2, atol=0.02)
    assert max(shares["cue"], shares["distractor"]) < 0.01


def test_noise_and_a_constant_code_follow_nothing():
    noise = np.random.default_rng(1).normal(size=(SAMPLES, 1, 2))
    assert max(variance_shares(OBS, noise, FEATURES).values()) < 0.02
    constant = np.ones((SAMPLES, 1, 2))
    assert set(variance_shares(OBS, constant, FEATURES).values()) == {0.0}


def test_one_entity_is_divided_into_its_features():
    assert group_features(FEATURES)["position"] == [5, 6]
    features = features_of_entities(["feature"], ["1", "2"])
    assert group_features(features) == {"feature 1": [0], "feature 2": [1]}


def test_levels_are_the_values_of_what_the_code_follows():
    levels = observation_levels(OBS, as_symbols(OBS[:, :3] @ RING), FEATURES)
    assert levels.names == ["cue 1", "cue 2", "cue 3"]
    assert (levels.assign(OBS) == OBS[:, :3].argmax(1)).all()
    # A belief that is not certain is of the level that it is nearest to.
    belief = np.zeros((1, 7))
    belief[0, :3] = 0.2, 0.5, 0.3
    assert levels.assign(belief).tolist() == [1]


def test_levels_of_a_continuous_quantity_are_bins_of_one_feature():
    levels = observation_levels(OBS, as_symbols(np.exp(1j * OBS[:, 6])), FEATURES)
    assert len(levels.names) == 6
    assert levels.columns == [6]
    assert levels.names[0].startswith("position y near -0.8")
    order = np.argsort(OBS[:, 6])
    assert (np.diff(levels.assign(OBS)[order]) >= 0).all()


def test_levels_with_unnamed_values():
    obs = np.random.default_rng(0).choice([0.15, 0.65], size=(100, 1))
    features = [Feature("color", "red")]
    levels = observation_levels(obs, np.stack([obs, obs], -1), features)
    assert levels.names == ["color red 0.65", "color red 0.15"]


def test_samples_of_a_team_are_what_it_sent_and_received():
    team = QPSKTeam()
    assert isinstance(team, TransmitsObservations)
    state = team.init(jax.random.key(0))
    samples = collect_transmissions(
        team, state, jax.random.key(1), episodes=300, max_samples=100
    )
    assert samples.obs.shape == (100, 2, 11)
    sent = team.symbols(state, jnp.asarray(samples.obs))
    np.testing.assert_allclose(samples.symbols, sent)
    # The noise has power 0.1 at 10 dB, half of it in each part.
    noise = samples.received_block(1, 0, 1) - samples.symbols[:, 0]
    assert 0.06 < np.mean(np.sum(noise**2, -1)) < 0.15
    believed = samples.predicted_obs(1, 0)[:, :4].argmax(-1)
    assert np.mean(believed == samples.obs[:, 0, :4].argmax(-1)) > 0.95
