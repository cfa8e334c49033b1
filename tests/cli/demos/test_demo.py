"""The demonstration ends with one report of both systems, and says where it is."""

import json
from pathlib import Path

import pytest

from syntony.cli import main
from syntony.cli.demos import link as link_demo
from syntony.cli.demos import team as team_demo


def finished(path: Path, system: str, world: dict[str, object], score: str) -> None:
    """Leaves what a run would have left, were it that quick."""
    path.mkdir(parents=True, exist_ok=True)
    settings = {"system": system, "settings": {}} | world
    (path / "settings.json").write_text(json.dumps(settings))
    lines = [json.dumps({"step": n, "seed": 0, score: 0.5}) for n in (0, 9)]
    (path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    (path / "demo.json").write_text("{}")


def team(path: Path) -> None:
    world: dict[str, object] = {"task": {"id": "Foraging-<b>x</b>"}}
    finished(path, "smpe", world, "eval/return_mean")


def link(path: Path) -> None:
    finished(path, "link", {"channel": {"id": "awgn"}}, "eval/bler")


def test_it_ends_with_a_report_of_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(link_demo, "run_link_demo", link)
    monkeypatch.setattr(team_demo, "run_team_demo", team)
    assert main(["demo", "--out", "shown"]) == 0
    page = Path("shown/report.html")
    assert f"browser: {page}" in capsys.readouterr().out
    text = page.read_text()
    assert "<title>Syntony: infer, transmit</title>" in text
    # Both are in it, by what was measured: neither has a checkpoint here.
    assert "Learning: Foraging-&lt;b&gt;x&lt;/b&gt;" in text
    assert "Learning: awgn" in text
    assert "infer: only what was measured is shown; " in text

    # What is there is shown again, not made again.
    page.write_text("kept")
    assert main(["demo", "--out", "shown"]) == 0
    said = capsys.readouterr().out
    assert "shown holds this demonstration's result" in said
    assert f"browser: {page}" in said
    assert page.read_text() == "kept"
