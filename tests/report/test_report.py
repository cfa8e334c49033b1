"""Reports: content of the file, escaping of names, and incomplete runs."""

import base64
import gzip
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import report_runs

from syntony.comparison.results import TaskPair
from syntony.errors import InvalidInputError
from syntony.report.page import write_report
from syntony.report.runs import load_report_runs
from syntony.report.sections import link
from syntony.report.sections.comparison import comparison_sections, verdict
from syntony.report.sections.learning_curves import learning_sections

# Some tests edit the settings, of which reports warn.
pytestmark = pytest.mark.filterwarnings("ignore:.*settings.json was changed after")
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three runs, one of each kind."""
    folder = tmp_path_factory.mktemp("runs")
    trainers = {
        "team": report_runs.team,
        "plain": report_runs.plain_team,
        "link": report_runs.link,
    }
    return {name: Path(train(folder / name)) for name, train in trainers.items()}


@pytest.fixture(scope="module")
def page(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of all three runs, with fewer and shorter measurements."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link, "SNR_OFFSETS_DB", (-4.0, 0.0))
        patch.setattr(link, "MAX_BLOCKS", 4096)
        out = tmp_path_factory.mktemp("report") / "all.html"
        return write_report([str(path) for path in runs.values()], out).read_text()


class Page(HTMLParser):
    """Collects the tags of a page, its event handlers, and what it loads."""

    def __init__(self, text: str):
        super().__init__()
        self.loaded: list[str] = []
        self.handlers: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self.handlers += [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "data", "poster", "action"):
            if name in attributes:
                self.loaded.append(str(attributes[name]))


def page_data(text: str) -> dict[str, Any]:
    packed = re.search(r'id="packed-data">([A-Za-z0-9+/=]+)<', text)
    assert packed is not None
    return json.loads(gzip.decompress(base64.b64decode(packed[1])))


def test_it_is_one_small_file_that_loads_nothing(page: str):
    assert len(page.encode()) < 5_000_000
    parsed = Page(page)
    assert all(url.startswith(("#", "data:")) for url in parsed.loaded)
    assert not parsed.handlers
    assert "default-src 'none'" in page
    library = re.search(r'id="packed-plotly">([A-Za-z0-9+/=]+)<', page)
    assert library is not None
    assert b"plotly.js v" in gzip.decompress(base64.b64decode(library[1]))[:200]


def test_every_figure_is_valid_and_has_a_text_alternative(page: str):
    parsed = Page(page)
    ids = {a["id"] for tag, a in parsed.tags if tag == "figure"}
    data = page_data(page)
    assert data.keys() == ids
    figures = [part["figure"] for part in data.values() if "figure" in part]
    for figure in figures:
        go.Figure(figure)
    charts = [a for _, a in parsed.tags if a.get("class") == "plot"]
    assert len(charts) == len(ids)
    assert all(len(str(a["aria-label"])) > 30 for a in charts)


def test_all_sections_and_parts_are_present(page: str):
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert titles[0] == "Comparison"
    assert {"Runs", "Team: team", "Team: plain", "Link: link"} <= set(titles)
    assert titles[-1] == "How to repeat this"
    headings = set(re.findall(r"<h3>(.*?)</h3>", page))
    assert {
        "Return",
        "Exploration bonus",
        "KL loss",
        "Bonus error correlation",
    } <= headings
    assert {"An episode", "Filter weights", "Beliefs of all agents"} <= headings
    assert {"Block error rate", "Constellation", "Distances of codewords"} <= headings
    assert {"Error rate of each message", "Feedback link", "Losses: link"} <= headings
    assert {"Agreement of gradients", "Minimum distance over training"} <= headings
    assert page.count("Probes of the beliefs") >= 1
    for fact in ("command", "commit", "hardware", "versions", "wall time"):
        assert f'<th scope="row">{fact}</th>' in page
    assert "maa2c has no beliefs about teammates." in page


def test_runs_on_one_task_share_figures(page: str):
    legends = [
        [t.get("name") for t in p["figure"]["data"] if t.get("showlegend", True)]
        for p in page_data(page).values()
        if "figure" in p
    ]
    shared = next(names for names in legends if "team (1 seed)" in names)
    assert shared == ["team (1 seed)", "plain (1 seed)"]


def test_a_player_contains_an_episode(page: str):
    with_beliefs, without = (
        p["episode"] for p in page_data(page).values() if "episode" in p
    )
    num_frames = len(with_beliefs["returns"])
    assert np.shape(with_beliefs["obs"]) == (num_frames, 2, 9)
    assert np.shape(with_beliefs["decoded"]) == (num_frames, 2, 9)
    weights = np.array(with_beliefs["weights"])
    assert ((weights >= 0) & (weights <= 1)).all()
    assert len(with_beliefs["scene"]["frames"]) == num_frames
    assert without["decoded"] is None
    assert with_beliefs["features"][0][:3] == [
        "food 1 row",
        "food 1 column",
        "food 1 level",
    ]


def test_a_users_task_is_drawn_if_it_has_render(tmp_path: Path):
    folder = Path(report_runs.plain_team(tmp_path / "own", task=report_runs.CORRIDOR))
    text = write_report([str(folder)]).read_text()
    (episode,) = (p["episode"] for p in page_data(text).values() if "episode" in p)
    circles = [s for s in episode["scene"]["frames"][0] if s["kind"] == "circle"]
    assert [(s["agent"], s["fill"]) for s in circles] == [
        (0, "#0072B2"),
        (1, "#D55E00"),
    ]
    assert episode["features"][0] == ["itself position", "teammate offset"]
    assert "top view" in text
    assert "There is no top view" not in text
    undrawn = report_runs.plain_team(tmp_path / "x", task=report_runs.UNDRAWN)
    text = write_report([str(undrawn)]).read_text()
    assert "There is no top view: the task has no method render." in text


def test_the_slider_shows_the_training(page: str):
    slider = next(p["slider"] for p in page_data(page).values() if p.get("slider"))
    assert slider["frame_labels"] == ["0", "10", "20", "30", "40"]
    assert np.shape(slider["x"]) == np.shape(slider["y"]) == (5, 2, 4)
    energy = np.square(slider["x"]) + np.square(slider["y"])
    np.testing.assert_allclose(energy.mean(axis=(1, 2)), 1.0, rtol=1e-3)


def copy_run(run: Path, to: Path, *, without: str = "checkpoints") -> Path:
    shutil.copytree(run, to, ignore=shutil.ignore_patterns(without))
    return to


def test_names_are_escaped(runs: dict[str, Path], tmp_path: Path):
    folder = copy_run(runs["team"], tmp_path / HOSTILE)
    settings = json.loads((folder / "settings.json").read_text())
    settings["command"] = "<script>alert(1)</script>"
    settings["versions"] = {"</script><b>": "<i>"}
    settings["task"]["id"] = "<svg onload=alert(1)>"
    (folder / "settings.json").write_text(json.dumps(settings))
    text = write_report([str(folder)], tmp_path / "out.html").read_text()
    parsed = Page(text)
    assert not parsed.handlers
    assert not {"img", "b", "i", "svg"} & {tag for tag, _ in parsed.tags}
    assert sum(tag == "script" for tag, _ in parsed.tags) == 6
    names = [t["name"] for p in page_data(text).values() for t in p["figure"]["data"]]
    assert not any("<" in name for name in names)


def test_a_run_without_checkpoints_has_only_curves(
    runs: dict[str, Path], tmp_path: Path
):
    folder = copy_run(runs["link"], tmp_path / "half")
    text = write_report([str(folder)]).read_text()
    assert (folder / "report.html").is_file()
    assert "half: only logged metrics are shown; " in text
    assert "has no checkpoint of seed 0 yet." in text
    assert "Block error rate" in text
    assert "Link: half" not in text
    (folder / "metrics.jsonl").write_text("")
    assert "Nothing has been measured yet." in write_report([str(folder)]).read_text()


def test_metrics_with_html_in_their_names_are_refused(
    runs: dict[str, Path], tmp_path: Path
):
    folder = copy_run(runs["team"], tmp_path / "odd")
    lines = [{"step": n, "seed": 0, f"train/{HOSTILE}": float(n)} for n in (0, 1)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)
    with pytest.raises(InvalidInputError, match=r"metrics.jsonl is damaged in line 1"):
        write_report([str(folder)])


def test_a_run_without_checkpoints_beside_a_complete_one(
    runs: dict[str, Path], tmp_path: Path
):
    folder = copy_run(runs["link"], tmp_path / "half")
    text = write_report(
        [str(runs["plain"]), str(folder)], tmp_path / "x.html"
    ).read_text()
    assert "Team: plain" in text
    assert "Link: half" not in text
    assert "half: only logged metrics are shown; " in text


def test_a_run_of_another_version_has_only_curves(
    runs: dict[str, Path], tmp_path: Path
):
    folder = copy_run(runs["team"], tmp_path / "future", without="nothing")
    settings = json.loads((folder / "settings.json").read_text())
    settings["settings"]["telepathy"] = 1
    (folder / "settings.json").write_text(json.dumps(settings))
    text = write_report([str(folder)]).read_text()
    assert "telepathy" in text
    assert "<h3>Return</h3>" in text
    assert "Team: future" not in text


def remove_a_metric_sum(checkpoint: Path) -> None:
    """Rewrites a checkpoint as one of a version that logged fewer metrics."""
    from syntony.training.integrity import HASH_KEY, array_digest

    removed = (HASH_KEY, "metric_sums/train/exploration_bonus")
    with np.load(checkpoint) as archive:
        assert set(removed) <= set(archive.files)
        arrays = {n: archive[n] for n in archive.files if n not in removed}
    np.savez(
        checkpoint, allow_pickle=False, **arrays, **{HASH_KEY: array_digest(arrays)}
    )


def test_runs_on_different_tasks_are_not_compared(runs: dict[str, Path]):
    team, link_run = load_report_runs([str(runs[x]) for x in ("team", "link")])
    plain, _ = load_report_runs([str(runs[x]) for x in ("plain", "link")])
    assert comparison_sections([team, link_run]) == []
    (section,) = comparison_sections([team, plain, link_run])
    assert section.title == "Comparison"
    assert section.notes[0].startswith(f"{report_runs.TASK}: these seeds do not show")


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.9, 0.6, 1.0), "a is better than b; a run of a .* 0.90 \\[0.60, 1.00\\]"),
        ((0.2, 0.1, 0.3), "b is better than a; a run of b .* 0.80 \\[0.70, 0.90\\]"),
        ((0.9, 0.4, 1.0), "do not show whether a or b .* 0.90 \\[0.40, 1.00\\]"),
        ((0.2, 0.1, 0.6), "do not show whether b or a .* 0.80 \\[0.40, 0.90\\]"),
    ],
)
def test_the_verdict_is_for_the_better_one(
    interval: tuple[float, float, float], expected: str
):
    probability, low, high = interval
    pair = TaskPair(
        x="a",
        y="b",
        probability=probability,
        low=low,
        high=high,
        difference=None,
        difference_low=None,
        difference_high=None,
    )
    assert re.search(expected, verdict(pair))


@pytest.mark.filterwarnings("ignore:.*metrics.jsonl")
def test_losses_of_a_transmitter_alone_have_no_figure_of_both(
    runs: dict[str, Path], tmp_path: Path
):
    folder = copy_run(runs["link"], tmp_path / "transmitter")
    metrics = folder / "metrics.jsonl"
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    for row in rows:
        row.pop("train/receiver_loss", None)
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (section,) = learning_sections(load_report_runs([str(folder)]))
    titles = [part.title for part in section.parts]
    assert "Transmitter loss" in titles
    assert not any(title.startswith("Losses") for title in titles)


def test_a_run_of_an_older_version_has_all_sections(
    runs: dict[str, Path], tmp_path: Path
):
    folder = copy_run(runs["team"], tmp_path / "old", without="nothing")
    for checkpoint in (folder / "checkpoints").iterdir():
        remove_a_metric_sum(checkpoint)
    assert "Team: old" in write_report([str(folder)]).read_text()


@pytest.mark.parametrize(
    ("names", "out", "expected"),
    [
        ([], None, "there is nothing to report; expected one run's folder or more"),
        (["nowhere"], None, "there is no run nowhere"),
        (["team", "team"], None, "team is named twice; expected different runs"),
        (["."], None, r"\. is not the folder of a run"),
        (["team"], "team", "team is a folder; expected a file"),
        (["team"], "no/such.html", "there is no folder no; expected one for the"),
        (["team"] * 25, None, "25 runs are too many; expected at most 24"),
    ],
)
def test_invalid_input(
    names: list[str],
    out: str | None,
    expected: str,
    runs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    copy_run(runs["team"], tmp_path / "team")
    with pytest.raises(InvalidInputError, match=expected) as raised:
        write_report(names, None if out is None else Path(out))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"settings": {}}, "system is missing"),
        ({"system": "smpe"}, "settings is missing"),
        ({"system": 3, "settings": {}}, "system is missing"),
        ({"system": "smpe", "settings": {}, "task": {}}, "the task has no id"),
        ({"system": "smpe", "settings": {}, "task": "x"}, "the task has no id"),
    ],
)
def test_invalid_settings(settings: dict[str, Any], expected: str, tmp_path: Path):
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(InvalidInputError, match=expected):
        write_report([str(tmp_path)])
