"""Drawing of foraging: a hand-made board, and windows that agree with it."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from syntony.tasks.foraging.rules import Foraging, ForagingState
from syntony.tasks.scene import Circle, ObservedEntity, Role, Square

TASK = Foraging(size=6, players=2, foods=2, sight=2, coop=True)
STATE = ForagingState(
    position=jnp.array([[1, 0], [4, 5]]),
    level=jnp.array([2, 3]),
    food_position=jnp.array([[2, 3], [4, 1]]),
    food_level=jnp.array([5, 0]),
    total_food_level=jnp.array(5),
    time=jnp.array(0),
)


def positions(
    entities: tuple[ObservedEntity, ...], obs: np.ndarray
) -> dict[str, tuple[float, float]]:
    """x and y of the visible entities, by name."""
    return {
        e.name: (float(obs[e.x.feature]), float(obs[e.y.feature]))
        for e in entities
        if e.visible_above and obs[e.visible_above[0]] > e.visible_above[1]
    }


def test_scene_of_a_board():
    scene = TASK.render(STATE)
    assert scene.bounds == (-0.5, -0.5, 6, 6)
    assert len(scene.static) == 14, "seven lines in each direction"
    assert scene.shapes == (
        Square(0, 1, 5, 0, opacity=0.1),
        Square(5, 4, 5, 1, opacity=0.1),
        Square(3, 2, 0.6, Role.TARGET, 5, corner_radius=0.14),
        Circle(0, 1, 0.34, 0, 2),
        Circle(5, 4, 0.34, 1, 3),
    ), "the loaded food is not drawn"


def test_the_sight_of_the_whole_board_is_not_drawn():
    task = Foraging(size=6, players=2, foods=2, sight=6, coop=True)
    assert len(task.render(STATE).shapes) == 3


def test_jax_states_are_drawn_as_well():
    assert TASK.render(jax.tree.map(jax.numpy.asarray, STATE)) == TASK.render(STATE)


def test_windows_agree_with_the_scene(key: Key[Array, ""]):
    """Positions in an agent's window count from the corner of its view."""
    state, obs = TASK.reset(key)
    shapes = TASK.render(state).shapes
    foods = {(s.x, s.y) for s in shapes if s.role == Role.TARGET}
    for agent, own_obs in enumerate(np.asarray(obs)):
        row, column = np.maximum(np.asarray(state.position)[agent] - TASK.sight, 0)
        seen = positions(TASK.obs_window(agent).entities, own_obs)
        own_x, own_y = seen.pop("itself")
        assert [own_y + row, own_x + column] == state.position[agent].tolist()
        absolute = {n: (x + column, y + row) for n, (x, y) in seen.items()}
        assert {at for n, at in absolute.items() if n.startswith("food")} <= foods


def test_features_are_named_by_entity():
    labels = [feature.label for feature in TASK.feature_names(1)]
    assert labels[:3] == ["food 1 row", "food 1 column", "food 1 level"]
    assert labels[6:] == [
        *("itself row", "itself column", "itself level"),
        *("other 1 row", "other 1 column", "other 1 level"),
    ]


def test_a_penalty_has_no_known_score_range():
    assert TASK.score_range == (0.0, 1.0)
    assert Foraging.parse("Foraging-8x8-2p-1f?penalty=0.1").score_range is None
