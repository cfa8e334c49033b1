"""Figures for print: what is in them, and that the same arrays give the same files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jaxtyping import Array, Key
from matplotlib import rc_params_from_file
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from syntony.evaluation.learning_curves import LearningCurve
from syntony.tasks.foraging.rules import Foraging
from syntony.visualization import figures, link_figures
from syntony.visualization.scene_builders import episode_scene

TASK = Foraging(size=6, players=3, foods=2, sight=2, coop=True)


def curve(seeds: int) -> LearningCurve:
    steps = np.linspace(0.0, 2e6, 11)
    return LearningCurve(steps, np.linspace(0, 1, seeds)[:, None] * steps / 2e6)


def test_the_style_file_is_whole_and_has_our_colours():
    style = rc_params_from_file(figures.STYLE_SHEET, use_default_template=False)
    colours = style["axes.prop_cycle"].by_key()["color"]
    assert [to_hex(c) for c in colours] == [c.lower() for c in figures.LINE_COLORS]
    assert style["savefig.dpi"] == 300
    assert style["pdf.fonttype"] == 42


def test_learning_curves_show_mean_seeds_and_paper():
    drawn = figures.plot_learning_curves(
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


@pytest.mark.parametrize(
    "draw",
    [
        figures.plot_learning_curves,
        figures.plot_metric_panels,
        link_figures.plot_bler_over_training,
    ],
)
def test_names_are_no_tex(draw: Callable[..., Figure], tmp_path: Path):
    name = r"$\nonsense$"
    drawn = draw({name: curve(3)}, title=name)
    (file,) = figures.save_figure(drawn, tmp_path / "drawn", ["svg"])
    assert file.stat().st_size > 0


def test_panels_have_axes_of_their_own():
    falling = LearningCurve(np.array([1.0, 2.0]), np.array([[10.0, 0.1]]))
    signed = LearningCurve(np.array([1.0, 2.0]), np.array([[-1.0, 3.0]]))
    drawn = figures.plot_metric_panels(
        {"a": falling, "b": signed}, steps_per_unit=1.0, log=True
    )
    first, second = drawn.axes
    assert [first.get_title(), second.get_title()] == ["a", "b"]
    assert [first.get_yscale(), second.get_yscale()] == ["log", "linear"]
    # From −1 to 3, with a margin of 5 %.
    assert second.get_ylim() == pytest.approx((-1.2, 3.2))
    assert first.lines[-1].get_xdata() == pytest.approx([1.0, 2.0])


def test_an_interval_below_all_rates_leaves_the_picture():
    rates = np.array([[0.9, 0.001], [0.9, 0.002], [0.9, 0.0001]])
    drawn = link_figures.plot_bler_over_training(
        {"ours": LearningCurve(np.array([0.0, 9.0]), rates)}
    )
    low, high = drawn.axes[0].get_ylim()
    # The lowest mean is 3.1e-3 / 3.
    assert low == pytest.approx(0.0031 / 9)
    assert high == 1.5


def test_runs_stand_side_by_side_seed_by_seed():
    seeds = [
        {"bler": 1e-3, "bler_low": 9e-4, "bler_high": 1.2e-3},
        {"bler": 2e-3, "bler_low": 1e-3, "bler_high": 4e-3},
    ]
    found = {
        "perfect": {"points": [{"seeds": seeds}]},
        "one bit": {"points": [{"seeds": seeds[:1]}]},
    }
    (axes,) = link_figures.plot_bler_per_run(found).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [*found]
    bars: Any = axes.containers
    first, second = bars
    assert first.lines[0].get_xdata() == pytest.approx([1e-3, 2e-3])
    # Each seed has a place of its own around its run's row, the first run above.
    assert first.lines[0].get_ydata() == pytest.approx([-0.06, 0.06])
    assert second.lines[0].get_ydata() == pytest.approx([1.0])
    assert axes.yaxis_inverted()
    (intervals,) = first.lines[2]
    ends = np.array([segment[:, 0] for segment in intervals.get_segments()])
    np.testing.assert_allclose(ends, [[9e-4, 1.2e-3], [1e-3, 4e-3]])


def test_moments_are_those_of_rewards_first():
    """Food at 3 and 7 of 10 steps; the widest gap left is 3 to 7, its middle 5."""
    returns = np.array([0, 0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1])
    assert figures.select_keyframes(returns, 5) == [0, 3, 5, 7, 10]
    assert figures.select_keyframes(returns, 3) == [0, 3, 10]
    assert figures.select_keyframes(np.array([0.0, 1.0]), 6) == [0, 1]


def pictures(key: Key[Array, ""]) -> dict[str, Figure]:
    state, obs = TASK.reset(key)
    still: Any = jax.tree.map(lambda x: np.stack([x] * 3), state)
    above = episode_scene(TASK, still, 3)
    assert above is not None
    others = np.concatenate([obs[0], obs[2]])
    weights = np.linspace(0, 1, others.size)
    film = figures.plot_episode_frames(above, np.array([0, 0.5, 1.0]))
    belief = figures.plot_beliefs(
        *(others, others + 0.5, weights), task=TASK, scene=above, step=0, agent=1
    )
    return {"film": film, "belief": belief}


def test_belief_panel_shows_every_feature_of_every_teammate(key: Key[Array, ""]):
    _, values, shares = pictures(key)["belief"].axes
    assert len(shares.patches) - 10 == 2 * TASK.obs_dim, "a bar each, 10 spans"
    texts = [text.get_text() for text in values.texts]
    assert texts[0] == "agent 1 sees"
    assert texts[1:6] == ["food 1", "food 2", "itself", "agent 2", "agent 3"]
    assert texts[6] == "agent 3 sees"


@pytest.mark.parametrize("name", ["film", "belief"])
def test_files_are_the_same_every_time(tmp_path: Path, key: Key[Array, ""], name: str):
    kinds = ("svg", "png", "pdf")
    once = figures.save_figure(
        pictures(jax.random.clone(key))[name], tmp_path / "1.0", kinds
    )
    again = figures.save_figure(
        pictures(jax.random.clone(key))[name], tmp_path / "2.0", kinds
    )
    assert [path.name for path in once] == ["1.0.svg", "1.0.png", "1.0.pdf"]
    for one, two in zip(once, again, strict=True):
        assert one.read_bytes() == two.read_bytes()
