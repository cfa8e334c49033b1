"""Figures for print: their content, and that they are reproducible."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jaxtyping import Array, Key
from matplotlib import rc_params_from_file
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from your_own_task import Corridor

import syntony
from syntony.evaluation.learning_curves import LearningCurve
from syntony.tasks.foraging.rules import Foraging
from syntony.visualization import figures, link_figures, style
from syntony.visualization.obs_features import obs_features
from syntony.visualization.scenes import episode_scene

TASK = Foraging(size=6, players=3, foods=2, sight=2, coop=True)


def linear_curve(seeds: int) -> LearningCurve:
    steps = np.linspace(0.0, 2e6, 11)
    return LearningCurve(steps, np.linspace(0, 1, seeds)[:, None] * steps / 2e6)


def test_style_sheet_is_valid_and_has_the_line_colors():
    sheet = rc_params_from_file(style.STYLE_SHEET, use_default_template=False)
    colors = sheet["axes.prop_cycle"].by_key()["color"]
    assert [to_hex(c) for c in colors] == [c.lower() for c in style.LINE_COLORS]
    assert sheet["savefig.dpi"] == 300
    assert sheet["pdf.fonttype"] == 42


def test_low_rates_are_masked():
    rates = style.mask_low_rates([0.5, 1e-6, 1e-7, 0.0])
    np.testing.assert_array_equal(rates, [0.5, 1e-6, np.nan, np.nan])


def test_learning_curves_show_mean_seeds_and_paper():
    figure = figures.plot_learning_curves(
        {"ours": linear_curve(3), "theirs": linear_curve(2)},
        paper={"ours": [(1.0, 0.4)]},
    )
    (axes,) = figure.axes
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "ours (3 seeds)",
        "theirs (2 seeds)",
        "ours, paper (read off its figure)",
    ]
    means = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert means["ours (3 seeds)"] == pytest.approx(linear_curve(3).scores.mean(0))
    assert len(axes.collections) == 1, "an interval for three seeds, none for two"
    # Scores and points range from 0 to 1; the margin is 5 %.
    assert axes.get_ylim() == pytest.approx((-0.05, 1.05))


@pytest.mark.parametrize(
    "draw",
    [
        figures.plot_learning_curves,
        figures.plot_metric_panels,
        link_figures.plot_bler_over_training,
    ],
)
def test_names_are_not_parsed_as_tex(draw: Callable[..., Figure], tmp_path: Path):
    name = r"$\nonsense$"
    figure = draw({name: linear_curve(3)}, title=name)
    (file,) = figures.save_figure(figure, tmp_path / "figure", ["svg"])
    assert file.stat().st_size > 0


def test_panels_have_separate_axes():
    falling = LearningCurve(np.array([1.0, 2.0]), np.array([[10.0, 0.1]]))
    signed = LearningCurve(np.array([1.0, 2.0]), np.array([[-1.0, 3.0]]))
    figure = figures.plot_metric_panels(
        {"a": falling, "b": signed}, steps_per_unit=1.0, log=True
    )
    first, second = figure.axes
    assert [first.get_title(), second.get_title()] == ["a", "b"]
    assert [first.get_yscale(), second.get_yscale()] == ["log", "linear"]
    # From −1 to 3, with a margin of 5 %.
    assert second.get_ylim() == pytest.approx((-1.2, 3.2))
    assert first.lines[-1].get_xdata() == pytest.approx([1.0, 2.0])


def test_an_interval_below_all_rates_exceeds_the_limits():
    rates = np.array([[0.9, 0.001], [0.9, 0.002], [0.9, 0.0001]])
    figure = link_figures.plot_bler_over_training(
        {"ours": LearningCurve(np.array([0.0, 9.0]), rates)}
    )
    low, high = figure.axes[0].get_ylim()
    # The lowest mean is 3.1e-3 / 3.
    assert low == pytest.approx(0.0031 / 9)
    assert high == 1.5


def test_bler_per_run_has_one_row_per_run_and_a_point_per_seed():
    seeds = [
        {"bler": 1e-3, "bler_low": 9e-4, "bler_high": 1.2e-3},
        {"bler": 2e-3, "bler_low": 1e-3, "bler_high": 4e-3},
    ]
    rows = {"perfect": seeds, "one bit": seeds[:1]}
    (axes,) = link_figures.plot_bler_per_run(rows).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [*rows]
    bars: Any = axes.containers
    first, second = bars
    assert first.lines[0].get_xdata() == pytest.approx([1e-3, 2e-3])
    # Seeds are spread around their run's row; the first run is the top row.
    assert first.lines[0].get_ydata() == pytest.approx([-0.06, 0.06])
    assert second.lines[0].get_ydata() == pytest.approx([1.0])
    assert axes.yaxis_inverted()
    (intervals,) = first.lines[2]
    ends = np.array([segment[:, 0] for segment in intervals.get_segments()])
    np.testing.assert_allclose(ends, [[9e-4, 1.2e-3], [1e-3, 4e-3]])


def test_keyframes_are_those_of_rewards_first():
    """Rewards at 3 and 7 of 10 steps; the widest gap is then 3 to 7, its middle 5."""
    returns = np.array([0, 0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1])
    assert figures.select_keyframes(returns, 5) == [0, 3, 5, 7, 10]
    assert figures.select_keyframes(returns, 3) == [0, 3, 10]
    assert figures.select_keyframes(np.array([0.0, 1.0]), 6) == [0, 1]


def episode_figures(key: Key[Array, ""]) -> dict[str, Figure]:
    state, obs = TASK.reset(key)
    states: Any = jax.tree.map(lambda x: np.stack([x] * 3), state)
    scene = episode_scene(TASK, states, 3)
    assert scene is not None
    others = np.concatenate([obs[0], obs[2]])
    weights = np.linspace(0, 1, others.size)
    frames = figures.plot_episode_frames(scene, np.array([0, 0.5, 1.0]))
    belief = figures.plot_beliefs(
        *(others, others + 0.5, weights),
        features=obs_features(TASK),
        scene=scene,
        step=0,
        agent=1,
    )
    return {"frames": frames, "belief": belief}


def test_belief_panel_shows_every_feature_of_every_teammate(key: Key[Array, ""]):
    _, value_axes, weight_axes = episode_figures(key)["belief"].axes
    assert len(weight_axes.patches) - 10 == 2 * TASK.obs_dim, "a bar each, 10 spans"
    texts = [text.get_text() for text in value_axes.texts]
    assert texts[0] == "agent A sees"
    assert texts[1:6] == ["food 1", "food 2", "itself", "other 1", "other 2"]
    assert texts[6] == "agent C sees"
    labels = [label.get_text() for label in weight_axes.get_xticklabels()]
    assert labels[:3] == ["row", "column", "level"]


def plot_beliefs_of(task: Any, key: Key[Array, ""]) -> Figure:
    """Figure of the beliefs of a task's first agent after the reset."""
    state, obs = task.reset(key)
    states: Any = jax.tree.map(lambda x: np.asarray(x)[None], state)
    scene = episode_scene(task, states, 1)
    assert scene is not None
    others = np.ravel(obs[1:])
    return figures.plot_beliefs(
        *(others, others, np.ones(others.size)),
        features=obs_features(task),
        scene=scene,
        step=0,
        agent=0,
    )


def test_belief_legend_and_headings_do_not_overlap(key: Key[Array, ""]):
    """Also not where a teammate has few features, as in a corridor of the user."""
    for task in (TASK, Corridor(length=5)):
        figure = plot_beliefs_of(task, jax.random.clone(key))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        axes = figure.axes[1]
        legend = axes.get_legend()
        assert legend is not None
        frame = legend.get_window_extent()
        assert not any(frame.overlaps(t.get_window_extent()) for t in axes.texts)
        assert frame.y1 < figure.bbox.y1


def test_long_names_of_entities_are_beside_their_features(key: Key[Array, ""]):
    _, value_axes, weight_axes = plot_beliefs_of(
        syntony.task("SimpleSpread-3"), key
    ).axes
    labels = [label.get_text() for label in weight_axes.get_xticklabels()]
    assert labels[:2] == ["velocity x", "velocity y"]
    assert [text.get_text() for text in value_axes.texts] == [
        "agent B sees",
        "agent C sees",
    ]


def test_only_teammates_that_fit_are_shown(key: Key[Array, ""]):
    """Of 71 features each, those of a second teammate would be too many."""
    _, value_axes, _ = plot_beliefs_of(syntony.task("rware-tiny-4ag"), key).axes
    headings = [t.get_text() for t in value_axes.texts if t.get_text().endswith("sees")]
    assert headings == ["agent B sees"]


@pytest.mark.parametrize("name", ["frames", "belief"])
def test_files_are_reproducible(tmp_path: Path, key: Key[Array, ""], name: str):
    formats = ("svg", "png", "pdf")
    first = figures.save_figure(
        episode_figures(jax.random.clone(key))[name], tmp_path / "1.0", formats
    )
    second = figures.save_figure(
        episode_figures(jax.random.clone(key))[name], tmp_path / "2.0", formats
    )
    assert [path.name for path in first] == ["1.0.svg", "1.0.png", "1.0.pdf"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
