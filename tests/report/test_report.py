"""Reports: what is in the file, what never is, and what bad runs become."""

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
import report_runs as trained

from syntony.errors import InvalidInputError
from syntony.report.page import write_report
from syntony.report.sections import link

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Returns three runs, one of each kind."""
    folder = tmp_path_factory.mktemp("runs")
    names = {"team": trained.team, "plain": trained.plain_team, "link": trained.link}
    return {name: Path(train(folder / name)) for name, train in names.items()}


@pytest.fixture(scope="module")
def page(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Returns the report of all three, measured less than usual."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link, "AROUND_DB", (-4.0, 0.0))
        patch.setattr(link, "CAP", 4096)
        out = tmp_path_factory.mktemp("report") / "all.html"
        return write_report([str(path) for path in runs.values()], out).read_text()


class Page(HTMLParser):
    """Collects what a page loads, and what it is made of."""

    def __init__(self, text: str):
        super().__init__()
        self.loaded: list[str] = []
        self.handlers: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.tags.append((tag, known))
        self.handlers += [name for name in known if name.startswith("on")]
        for name in ("src", "href", "srcset", "data", "poster", "action"):
            if name in known:
                self.loaded.append(str(known[name]))


def data_of(text: str) -> dict[str, Any]:
    packed = re.search(r'id="packed-data">([A-Za-z0-9+/=]+)<', text)
    assert packed is not None
    return json.loads(gzip.decompress(base64.b64decode(packed[1])))


def test_it_is_one_small_file_that_asks_for_nothing(page: str):
    assert len(page.encode()) < 5_000_000
    found = Page(page)
    assert all(link.startswith(("#", "data:")) for link in found.loaded)
    assert not found.handlers
    assert "default-src 'none'" in page
    library = re.search(r'id="packed-plotly">([A-Za-z0-9+/=]+)<', page)
    assert library is not None
    assert b"plotly.js v" in gzip.decompress(base64.b64decode(library[1]))[:200]


def test_every_figure_is_one_that_plotly_knows_and_is_said_in_words(page: str):
    found = Page(page)
    places = {a["id"] for tag, a in found.tags if tag == "figure"}
    data = data_of(page)
    assert data.keys() == places
    figures = [part["figure"] for part in data.values() if "figure" in part]
    for figure in figures:
        go.Figure(figure)
    charts = [a for _, a in found.tags if a.get("class") == "plot"]
    assert len(charts) == len(places)
    assert all(len(str(a["aria-label"])) > 30 for a in charts)


def test_all_parts_are_there(page: str):
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert titles[0] == "Runs"
    assert {"Team: team", "Team: plain", "Link: link"} <= set(titles)
    assert titles[-1] == "How to repeat this"
    heads = set(re.findall(r"<h3>(.*?)</h3>", page))
    assert {"Return", "Bonus", "KL loss", "Bonus error correlation"} <= heads
    assert {"An episode", "What filters let pass", "Beliefs of all agents"} <= heads
    assert {"Block error rate", "What is sent", "Distances of codewords"} <= heads
    assert {"Errors of each message", "What is fed back", "Both phases: link"} <= heads
    assert {"Agreement of gradients", "Smallest distance over training"} <= heads
    assert page.count("What can be read off beliefs") >= 1
    for fact in ("command", "commit", "hardware", "versions", "wall time"):
        assert f'<th scope="row">{fact}</th>' in page
    assert "maa2c has no beliefs about teammates to be shown." in page


def test_both_teams_are_drawn_into_one_figure(page: str):
    returns = next(p for p in data_of(page).values() if "figure" in p)
    names = [t["name"] for t in returns["figure"]["data"] if t.get("showlegend", True)]
    assert names == ["team (1 seed)", "plain (1 seed)"]


def test_a_player_holds_an_episode(page: str):
    with_beliefs, without = (
        p["episode"] for p in data_of(page).values() if "episode" in p
    )
    moments = len(with_beliefs["returns"])
    assert np.shape(with_beliefs["obs"]) == (moments, 2, 9)
    assert np.shape(with_beliefs["believed"]) == (moments, 2, 9)
    weights = np.array(with_beliefs["weights"])
    assert ((weights >= 0) & (weights <= 1)).all()
    assert len(with_beliefs["scene"]["moments"]) == moments
    assert without["believed"] is None
    assert with_beliefs["features"][0][:3] == [
        "food 1 row",
        "food 1 column",
        "food 1 level",
    ]


def test_the_slider_goes_through_the_training(page: str):
    slides = next(p["slides"] for p in data_of(page).values() if p.get("slides"))
    assert slides["names"] == ["0", "10", "20", "30", "40"]
    assert np.shape(slides["x"]) == np.shape(slides["y"]) == (5, 2, 4)
    energy = np.square(slides["x"]) + np.square(slides["y"])
    np.testing.assert_allclose(energy.mean(axis=(1, 2)), 1.0, rtol=1e-3)


def copied(run: Path, to: Path, *, without: str = "checkpoints") -> Path:
    shutil.copytree(run, to, ignore=shutil.ignore_patterns(without))
    return to


def test_names_are_text(runs: dict[str, Path], tmp_path: Path):
    folder = copied(runs["team"], tmp_path / HOSTILE)
    settings = json.loads((folder / "settings.json").read_text())
    settings["command"] = "<script>alert(1)</script>"
    settings["versions"] = {"</script><b>": "<i>"}
    settings["task"]["id"] = "<svg onload=alert(1)>"
    (folder / "settings.json").write_text(json.dumps(settings))
    text = write_report([str(folder)], tmp_path / "out.html").read_text()
    found = Page(text)
    assert not found.handlers
    assert not {"img", "b", "i", "svg"} & {tag for tag, _ in found.tags}
    assert sum(tag == "script" for tag, _ in found.tags) == 6
    names = [t["name"] for p in data_of(text).values() for t in p["figure"]["data"]]
    assert not any("<" in name for name in names)


def test_half_a_run_is_curves_alone(runs: dict[str, Path], tmp_path: Path):
    folder = copied(runs["link"], tmp_path / "half")
    text = write_report([str(folder)]).read_text()
    assert (folder / "report.html").is_file()
    assert "half: only what was measured is shown; " in text
    assert "has no checkpoint of seed 0 yet." in text
    assert "Block error rate" in text
    assert "Link: half" not in text
    (folder / "metrics.jsonl").write_text("")
    assert "Nothing has been measured yet." in write_report([str(folder)]).read_text()


def test_numbers_with_html_in_their_names_are_only_named(
    runs: dict[str, Path], tmp_path: Path
):
    folder = copied(runs["team"], tmp_path / "odd")
    lines = [{"step": n, "seed": 0, f"train/{HOSTILE}": float(n)} for n in (0, 1)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)
    found = Page(write_report([str(folder)]).read_text())
    assert not found.handlers
    assert "img" not in {tag for tag, _ in found.tags}


def test_half_a_run_beside_a_whole_one(runs: dict[str, Path], tmp_path: Path):
    folder = copied(runs["link"], tmp_path / "half")
    text = write_report(
        [str(runs["plain"]), str(folder)], tmp_path / "x.html"
    ).read_text()
    assert "Team: plain" in text
    assert "Link: half" not in text
    assert "half: only what was measured is shown; " in text


def test_settings_of_another_version_are_curves_alone(
    runs: dict[str, Path], tmp_path: Path
):
    folder = copied(runs["team"], tmp_path / "future", without="nothing")
    settings = json.loads((folder / "settings.json").read_text())
    settings["settings"]["telepathy"] = 1
    (folder / "settings.json").write_text(json.dumps(settings))
    text = write_report([str(folder)]).read_text()
    assert "telepathy" in text
    assert "<h3>Return</h3>" in text
    assert "Team: future" not in text


def rename_a_sum(checkpoint: Path) -> None:
    """Makes a checkpoint as if a version that reported less had made it."""
    from syntony.training.checkpoint import HASH_KEY, _hash

    with np.load(checkpoint) as zipped:
        arrays = {
            n: zipped[n]
            for n in zipped.files
            if n not in (HASH_KEY, "sums/train/bonus")
        }
    np.savez(checkpoint, allow_pickle=False, **arrays, **{HASH_KEY: _hash(arrays)})


def test_a_run_of_an_older_version_is_still_seen(runs: dict[str, Path], tmp_path: Path):
    folder = copied(runs["team"], tmp_path / "old", without="nothing")
    for checkpoint in (folder / "checkpoints").iterdir():
        rename_a_sum(checkpoint)
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
def test_bad_input(
    names: list[str],
    out: str | None,
    expected: str,
    runs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    copied(runs["team"], tmp_path / "team")
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
def test_bad_settings(settings: dict[str, Any], expected: str, tmp_path: Path):
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(InvalidInputError, match=expected):
        write_report([str(tmp_path)])
