"""Drawing of particle tasks: hand-made states, windows, and the speaker's strip."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Key

from syntony.tasks.particles.physics import ParticleState
from syntony.tasks.particles.speaker_listener import (
    LISTENER,
    SPEAKER,
    SpeakerListener,
    SpeakerState,
)
from syntony.tasks.particles.spread import AGENT_RADIUS, SimpleSpread, SpreadState
from syntony.tasks.scene import Circle, Line, Role, Square

SPREAD = SimpleSpread(players=2)
SPREAD_STATE = SpreadState(
    agents=ParticleState(jnp.array([[0.5, 0.25], [-2.0, 0.0]]), jnp.zeros((2, 2))),
    landmark_position=jnp.array([[0.0, 0.5], [1.0, -1.0]]),
    time=jnp.array(3),
)


def speaker_state(message: list[float]) -> SpeakerState:
    """The listener in the middle; the goal is the second landmark."""
    return SpeakerState(
        listener=ParticleState(jnp.zeros((1, 2)), jnp.zeros((1, 2))),
        landmark_position=jnp.array([[0.5, 0.5], [-0.5, 0.5], [0.0, -0.5]]),
        goal=jnp.array(1),
        message=jnp.array(message),
        time=jnp.array(0),
    )


def test_scene_of_spread_has_y_downward_and_contains_all_agents():
    scene = SPREAD.render(SPREAD_STATE)
    assert scene.shapes == (
        Square(0.0, -0.5, 0.1, Role.TARGET),
        Square(1.0, 1.0, 0.1, Role.TARGET),
        Circle(0.5, -0.25, AGENT_RADIUS, 0, 1),
        Circle(-2.0, 0.0, AGENT_RADIUS, 1, 2),
    )
    assert scene.bounds == pytest.approx((-2.15, -2.15, 4.3, 4.3))
    assert Line(-math.inf, 0, math.inf, 0) in scene.static


def test_a_plane_has_a_smallest_size():
    near = SPREAD_STATE.agents._replace(position=np.zeros((2, 2)))
    scene = SPREAD.render(SPREAD_STATE._replace(agents=near))
    assert scene.bounds == pytest.approx((-1.25, -1.25, 2.5, 2.5))


def test_windows_of_spread_show_the_true_offsets(key: Key[Array, ""]):
    state, obs = SPREAD.reset(key)
    own_obs = np.asarray(obs)[1]
    itself, *entities = SPREAD.obs_window(1).entities
    assert itself.role == 1
    assert [e.name for e in entities] == ["landmark 1", "landmark 2", "agent 1"]
    offsets = [(own_obs[e.x.feature], own_obs[e.y.feature]) for e in entities]
    targets = np.concatenate([state.landmark_position, state.agents.position[:1]])
    np.testing.assert_allclose(offsets, targets - state.agents.position[1], atol=1e-6)
    assert all((e.x.factor, e.y.factor) == (1, -1) for e in entities)


def test_the_sent_word_is_opaque_and_so_is_the_goal():
    task = SpeakerListener()
    for message, opaque in (([0.0, 0.0, 0.0], []), ([0.0, 0.0, 1.0], ["c"])):
        scene = task.render(speaker_state(message))
        assert scene.strip is not None
        speaker, *words = scene.strip.shapes
        assert speaker.role == SPEAKER
        squares = [s for s in words if isinstance(s, Square)]
        assert [s.text for s in squares] == ["a", "b", "c"]
        assert [s.text for s in squares if s.opacity == 1.0] == opaque
        assert all(s.y + s.side / 2 < scene.strip.height for s in squares)
    *landmarks, listener = scene.shapes
    squares = [s for s in landmarks if isinstance(s, Square)]
    assert [s.text for s in squares if s.opacity == 1.0] == [2]
    assert listener == Circle(0.0, 0.0, 0.075, LISTENER, 2)


def test_the_speaker_observes_the_goal_and_the_listener_the_landmarks():
    task = SpeakerListener()
    state = speaker_state([0.0, 1.0, 0.0])
    obs = np.asarray(task.observe(jax.tree.map(jnp.asarray, state)))
    brightest = max(
        task.obs_window(SPEAKER).entities, key=lambda e: obs[0][e.opacity_index or 0]
    )
    assert brightest.name == "landmark 2"
    names = [feature.label for feature in task.feature_names(LISTENER)]
    assert names[2:4] == ["offset to landmark 1 x", "offset to landmark 1 y"]
    assert names[int(obs[1].argmax())] == "message word 2"
