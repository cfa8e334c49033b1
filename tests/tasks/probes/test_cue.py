"""Cue game: rules by hand, statistics of what is observed, returns of fixed teams."""

import functools
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import ArrayLike
from reports import messages
from scipy import stats

from syntony.conformance.task import check_task
from syntony.errors import InvalidInputError
from syntony.tasks.probes.cue import NO_ACTION, CueGame, CueState
from syntony.tasks.registry import task
from syntony.tasks.scene import Circle, Role, Square

EPISODES = 20_000
HINTED = CueGame(cues=4, hint=0.7, distractors=16)


@functools.cache
def compiled() -> tuple[Callable[..., Any], Callable[..., Any]]:
    reset = jax.jit(jax.vmap(CueGame.reset, in_axes=(None, 0)))
    return reset, jax.jit(jax.vmap(CueGame.step, in_axes=(None, 0, 0, 0)))


def start(game: CueGame) -> tuple[CueState, np.ndarray]:
    keys = jax.random.split(jax.random.key(0), EPISODES)
    return jax.device_get(compiled()[0](game, keys))


@pytest.fixture(scope="module")
def hinted() -> tuple[CueState, np.ndarray]:
    return start(HINTED)


def test_observations_are_cue_hint_and_distractor(hinted: tuple[CueState, np.ndarray]):
    state, obs = hinted
    assert obs.shape == (EPISODES, 2, 4 + 4 + 16)
    parts = np.split(obs, [4, 8], axis=-1)
    for part, value in zip(parts, state[:3], strict=True):
        assert (part.sum(-1) == 1).all()
        assert (part.argmax(-1) == value).all()
    labels = [feature.label for feature in HINTED.feature_names(0)]
    assert labels[:5] == ["cue 1", "cue 2", "cue 3", "cue 4", "hint 1"]
    assert labels[-1] == "distractor 16"


def test_the_hint_is_right_with_its_probability_and_else_uniform(
    hinted: tuple[CueState, np.ndarray],
):
    state, _ = hinted
    shift = (state.hint - state.cue[:, ::-1]) % 4
    for agent in range(2):
        counts = np.bincount(shift[:, agent], minlength=4)
        expected = EPISODES * np.array([0.7, 0.1, 0.1, 0.1])
        assert stats.chisquare(counts, expected).pvalue > 1e-4


def test_cues_and_distractors_are_uniform_and_independent(
    hinted: tuple[CueState, np.ndarray],
):
    state, _ = hinted
    pairs = state.cue[:, 0] * 4 + state.cue[:, 1]
    assert stats.chisquare(np.bincount(pairs, minlength=16)).pvalue > 1e-4
    table = np.zeros((4, 16))
    np.add.at(table, (state.cue[:, 0], state.distractor[:, 0]), 1)
    assert stats.chi2_contingency(table).pvalue > 1e-4
    # Without a hint, nothing that an agent observes depends on the other's cue.
    table = np.zeros((16, 16))
    np.add.at(table, (state.distractor[:, 0], state.distractor[:, 1]), 1)
    assert stats.chi2_contingency(table).pvalue > 1e-4


def returns(game: CueGame, action: ArrayLike, state: CueState) -> np.ndarray:
    keys = jax.random.split(jax.random.key(1), EPISODES)
    _, timestep = compiled()[1](game, keys, state, jnp.asarray(action, jnp.int32))
    assert timestep.terminated.all()
    assert not timestep.truncated.any()
    return np.asarray(timestep.reward.sum(-1))


def test_returns_of_fixed_teams(hinted: tuple[CueState, np.ndarray]):
    state, _ = hinted
    assert (returns(HINTED, state.cue[:, ::-1], state) == 1.0).all()
    wrong = (state.cue[:, ::-1] + 1) % 4
    assert (returns(HINTED, wrong, state) == 0.0).all()
    half = np.stack([np.asarray(state.cue)[:, 1], np.asarray(wrong)[:, 1]], axis=1)
    assert (returns(HINTED, half, state) == 0.5).all()
    for action, expected in ((state.hint, 0.7), (np.zeros((EPISODES, 2)), 0.25)):
        error = 4 * 0.5 / np.sqrt(EPISODES)
        assert abs(returns(HINTED, action, state).mean() - expected) < error


def test_bounds_at_published_points():
    """Values of a separate program, to four digits."""
    for snr_db, bound, qpsk in ((-5, 0.7290, 0.7236), (5, 0.9542, 0.9497)):
        bounds = HINTED.return_bounds(snr_db, 1)
        assert bounds["without communication"] == pytest.approx(0.7)
        assert bounds["upper bound"] == pytest.approx(bound, abs=1e-4)
        assert bounds["QPSK, MAP"] == pytest.approx(qpsk, abs=1e-4)
    bounds = CueGame(cues=16).return_bounds(0.0, 2)
    assert bounds["without communication"] == pytest.approx(1 / 16)
    assert bounds["QPSK, MAP"] == pytest.approx(0.501, abs=5e-4)
    assert list(CueGame(cues=3).return_bounds(0.0, 2)) == list(bounds)[:2]


def test_a_simulated_team_earns_the_returns_of_qpsk(
    hinted: tuple[CueState, np.ndarray],
):
    """Each agent sends its cue as two bits, and decides by hint and noisy block."""
    state, _ = hinted
    bits = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    noise = np.random.default_rng(0).normal(size=(EPISODES, 2, 2))
    received = bits[np.asarray(state.cue)[:, ::-1]] + noise
    # Unit amplitude and noise in each dimension: 0 dB.
    metric = received @ bits.T
    prior = np.where(np.eye(4)[np.asarray(state.hint)] == 1, 0.7, 0.1)
    action = (metric + np.log(prior)).argmax(-1)
    expected = HINTED.return_bounds(0.0, 1)["QPSK, MAP"]
    earned = returns(HINTED, action, state)
    assert abs(earned.mean() - expected) < 4 * earned.std() / np.sqrt(EPISODES)


def test_without_a_hint_its_features_are_zero():
    state, obs = start(CueGame(cues=3))
    assert obs.shape == (EPISODES, 2, 6)
    assert not obs[..., 3:].any()
    assert (obs[..., :3].argmax(-1) == state.cue).all()


def test_a_scene_shows_who_names_which_cue():
    state = CueState(*(jnp.array(x) for x in ([0, 2], [2, 1], [0, 0], [2, NO_ACTION])))
    shapes = CueGame(cues=3, hint=0.5).render(state).shapes
    circles = [shape for shape in shapes if isinstance(shape, Circle)]
    # The first agent names the third cue; the second has not acted yet.
    assert [(c.x, c.y, c.text) for c in circles] == [(3, 0, 1), (0, 1, 3)]
    targets = [s for s in shapes if isinstance(s, Square) and s.role == Role.TARGET]
    assert [(t.x, t.y) for t in targets] == [(3, 0), (1, 1)]
    hints = [s for s in shapes if isinstance(s, Square) and s.role == Role.NEUTRAL]
    assert [(h.x, h.y) for h in hints] == [(3, 0), (2, 1)]


def test_the_rules_of_tasks_are_kept_with_a_hint_and_distractors():
    assert messages(check_task(HINTED)) == {}


@pytest.mark.parametrize(
    "id", ["probe-cue", "probe-cue?cues=16", "probe-cue?hint=0.7&distractors=16"]
)
def test_id_round_trip(id: str):
    game = task(id)
    assert isinstance(game, CueGame)
    assert game.id == id


def test_defaults_are_not_written_in_the_id():
    assert task("probe-cue?cues=4&hint=0.7&distractors=16") == HINTED


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("probe-cues", "unknown task 'probe-cues'; did you mean 'probe-cue'?"),
        ("probe-cu", "unknown task 'probe-cu'; did you mean 'probe-cue'?"),
        ("probe-cue?cues=1", "cues is 1; expected 2 to 1000, e.g. probe-cue?cues=2"),
        ("probe-cue?hint=1.5", "hint is 1.5; expected 0.0 to 1.0, e.g. probe-cue?hin"),
        ("probe-cue?distractors=-1", "distractors is -1; expected 0 to 1000"),
        ("probe-cue?cue=4", "unknown task parameter 'cue'; did you mean 'cues'?"),
    ],
)
def test_an_invalid_id_is_reported(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        task(id)
