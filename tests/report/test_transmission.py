"""Section of a team that transmits, of one whose code and returns are known."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from toy_transmitters import QPSK, QPSKTeam

import syntony
from syntony.report.components import EpisodePlayer, Plot, Section
from syntony.report.page import build_sections
from syntony.report.runs import load_report_runs
from syntony.report.sections import team, transmission
from syntony.report.sections.transmission import mean_by_cell
from syntony.training.run import Run
from syntony.visualization import run_figures, transmission_figures


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "qpsk"
    return syntony.train(
        QPSKTeam(),
        steps=8,
        seeds=1,
        eval_every=4,
        eval_episodes=4,
        out=folder,
        quiet=True,
    )


@pytest.fixture(scope="module")
def sections(run: Run) -> dict[str, Section]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transmission, "NUM_EPISODES", 400)
        patch.setattr(transmission, "MAX_STEPS", 400)
        patch.setattr(team, "NUM_EPISODES", 6)
        patch.setattr(transmission_figures, "SNR_OFFSETS_DB", (-10.0, 0.0))
        made = build_sections(load_report_runs([run]), lambda _: None)
    return {section.id: section for section in made}


@pytest.fixture(scope="module")
def plots(sections: dict[str, Section]) -> dict[str, Plot]:
    parts = sections["transmission-0"].parts
    return {part.title: part for part in parts if isinstance(part, Plot)}


def test_the_section_has_all_plots(plots: dict[str, Plot]):
    assert list(plots) == [
        "Return over SNR",
        "Symbols of agent A",
        "Symbols of agent B",
        "Belief of agent A about agent B",
        "Belief of agent B about agent A",
        "Energy per feature",
    ]
    for plot in plots.values():
        go.Figure(plot.figure)
        assert len(plot.alt) > 30


def test_no_note_denies_the_beliefs_that_are_shown(sections: dict[str, Section]):
    assert not any("no beliefs" in note for note in sections["team-0"].notes)


def test_returns_are_beside_the_known_ones(plots: dict[str, Plot]):
    lines = {}
    for trace in plots["Return over SNR"].figure["data"]:
        lines.setdefault(trace["name"], []).append(np.asarray(trace["y"]))
    assert len(lines["trained"]) == 1
    assert list(lines)[1:] == ["without communication", "upper bound", "QPSK, MAP"]
    np.testing.assert_allclose(lines["without communication"][0], 0.25)
    for returns in lines["trained"]:
        np.testing.assert_allclose(returns, lines["QPSK, MAP"][0], atol=0.1)
        assert (returns < lines["upper bound"][0] + 0.1).all()


def test_symbols_are_colored_by_the_cue(plots: dict[str, Plot]):
    traces = plots["Symbols of agent B"].figure["data"]
    assert [trace["name"] for trace in traces] == [f"cue {k}" for k in range(1, 5)]
    for trace, point in zip(traces, np.asarray(QPSK), strict=True):
        np.testing.assert_allclose(trace["x"], point[0], atol=1e-6)
        np.testing.assert_allclose(trace["y"], point[1], atol=1e-6)
    assert len({trace["marker"]["color"] for trace in traces}) == 4


def test_the_slider_shows_the_snapshots(plots: dict[str, Plot]):
    slider = plots["Symbols of agent A"].slider
    assert slider is not None
    assert slider.frame_labels == ["0", "4", "8", "end"]
    frames: list[Any] = list(slider.x)
    sizes = [sum(len(points) for points in frame) for frame in frames]
    assert sizes[:3] == [16, 16, 16]


def test_beliefs_follow_the_received_symbol(plots: dict[str, Plot]):
    for trace in plots["Belief of agent A about agent B"].figure["data"]:
        expected = np.asarray(QPSK)[int(trace["name"][-1]) - 1]
        cells = np.stack([trace["x"], trace["y"]], axis=-1)
        assert len(cells) > 3
        assert (np.abs(cells).max() < 2.5) & (cells @ expected > 0).all()


def test_energy_follows_the_cue_alone(plots: dict[str, Plot]):
    for trace in plots["Energy per feature"].figure["data"]:
        shares = dict(zip(trace["x"], trace["y"], strict=True))
        assert shares["cue"] == pytest.approx(1.0)
        assert max(shares["hint"], shares["distractor"]) < 0.05


def test_the_player_shows_symbols_as_they_are_sent(sections: dict[str, Section]):
    (player,) = (
        part for part in sections["team-0"].parts if isinstance(part, EpisodePlayer)
    )
    scene: Any = player.data["scene"]
    frames = scene["frames"]
    assert len(frames) == 2
    symbols = [s for s in frames[0] if s["kind"] == "rect" and "agent" in s]
    assert [s["agent"] for s in symbols] == [0, 1]
    # Nothing is sent after the last step.
    assert not [s for s in frames[1] if s["kind"] == "rect" and "agent" in s]
    assert "symbols that each agent sends" in player.caption


def test_figures(run: Run):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transmission_figures, "SNR_OFFSETS_DB", (-10.0, 0.0))
        patch.setattr(run_figures, "NUM_TRANSMISSION_EPISODES", 40)
        names = {path.stem for path in run_figures.save_run_figures(run, ("svg",))}
    assert {"symbols", "energy_per_feature", "return_over_snr", "episode"} <= names


def test_means_by_cell():
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (20_000, 2))
    centers, means = mean_by_cell(points, np.concatenate([points, points**2], axis=1))
    assert len(centers) == transmission.BELIEF_BINS**2
    np.testing.assert_allclose(means[:, :2], centers, atol=0.04)
