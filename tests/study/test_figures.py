from pathlib import Path

import jax
import numpy as np
import pytest
from jaxtyping import Array, Key
from matplotlib.figure import Figure

from syntony.study import boards, figures
from syntony.study.curves import Curve
from syntony.tasks.foraging import Foraging

TASK = Foraging(size=6, players=3, foods=2, sight=2, coop=True)


def curve(seeds: int) -> Curve:
    steps = np.linspace(0.0, 2e6, 11)
    return Curve(steps, np.linspace(0, 1, seeds)[:, None] * steps / 2e6)


def test_learning_curves_show_mean_seeds_and_paper():
    drawn = figures.learning_curves(
        {"ours": curve(3), "theirs": curve(2)}, paper={"ours": [(1.0, 0.4)]}
    )
    (axes,) = drawn.axes
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "ours (3 seeds)",
        "theirs (2 seeds)",
        "ours, paper (read off its figure)",
    ]
    means = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert means["ours (3 seeds)"] == pytest.approx(curve(3).scores.mean(0))
    assert len(axes.collections) == 1, "an interval for three seeds, none for two"
    # Scores and points reach from 0 to 1, with a margin of 5 %.
    assert axes.get_ylim() == pytest.approx((-0.05, 1.05))


def test_moments_are_those_of_rewards_first():
    """Food at 3 and 7 of 10 steps; the widest gap left is 3 to 7, its middle 5."""
    returns = np.array([0, 0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1])
    assert figures.moments(returns, 5) == [0, 3, 5, 7, 10]
    assert figures.moments(returns, 3) == [0, 3, 10]
    assert figures.moments(np.array([0.0, 1.0]), 6) == [0, 1]


def pictures(key: Key[Array, ""]) -> dict[str, Figure]:
    state, obs = TASK.reset(key)
    (board,) = boards.boards_of(jax.tree.map(lambda x: x[None], state))
    others = np.concatenate([obs[0], obs[2]])
    weights = np.linspace(0, 1, others.size)
    film = figures.film_strip(TASK, [board, board, board], np.array([0, 0.5, 1.0]))
    belief = figures.belief_panel(
        others, others + 0.5, weights, task=TASK, board=board, agent=1
    )
    return {"film": film, "belief": belief}


def test_belief_panel_shows_every_feature_of_every_teammate(key: Key[Array, ""]):
    _, values, shares = pictures(key)["belief"].axes
    assert len(shares.patches) - 10 == 2 * TASK.obs_size, "a bar each, 10 spans"
    texts = [text.get_text() for text in values.texts]
    assert texts[0] == "agent 1 sees"
    assert texts[1:6] == ["food 1", "food 2", "itself", "agent 2", "agent 3"]
    assert texts[6] == "agent 3 sees"


@pytest.mark.parametrize("name", ["film", "belief"])
def test_files_are_the_same_every_time(tmp_path: Path, key: Key[Array, ""], name: str):
    once = figures.save(pictures(jax.random.clone(key))[name], tmp_path / "a" / name)
    again = figures.save(pictures(jax.random.clone(key))[name], tmp_path / "b" / name)
    assert [path.suffix for path in once] == [".svg", ".png"]
    for one, two in zip(once, again, strict=True):
        assert one.read_bytes() == two.read_bytes()
