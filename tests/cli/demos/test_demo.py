"""The demonstration ends with one report of both systems, and prints its path."""

import json
from pathlib import Path

import pytest

from syntony.cli import main
from syntony.cli.demos import link as link_demo
from syntony.cli.demos import team as team_demo


def write_finished_run(
    path: Path, system: str, task_or_channel: dict[str, object], metric: str
) -> None:
    """Writes the files of a finished demonstration, without training."""
    path.mkdir(parents=True, exist_ok=True)
    settings = {"system": system, "settings": {}} | task_or_channel
    (path / "settings.json").write_text(json.dumps(settings))
    lines = [json.dumps({"step": n, "seed": 0, metric: 0.5}) for n in (0, 9)]
    (path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    (path / "demo.json").write_text("{}")


def write_team_run(path: Path) -> None:
    task: dict[str, object] = {"task": {"id": "Foraging-<b>x</b>"}}
    write_finished_run(path, "smpe", task, "eval/return_mean")


def write_link_run(path: Path) -> None:
    write_finished_run(path, "link", {"channel": {"id": "awgn"}}, "eval/bler")


def test_demo_ends_with_a_report_of_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(link_demo, "run_link_demo", write_link_run)
    monkeypatch.setattr(team_demo, "run_team_demo", write_team_run)
    assert main(["demo", "--out", "shown"]) == 0
    page = Path("shown/report.html")
    assert f"browser:\n  {page}" in capsys.readouterr().out
    text = page.read_text()
    assert "<title>Syntony: team, link</title>" in text
    # The report has the metrics of both runs: neither has a checkpoint here.
    assert "Learning: Foraging-&lt;b&gt;x&lt;/b&gt;" in text
    assert "Learning: awgn" in text
    assert "team: only logged metrics are shown; " in text

    # An existing report is not written again.
    page.write_text("kept")
    assert main(["demo", "--out", "shown"]) == 0
    output = capsys.readouterr().out
    assert "shown holds this demonstration's result" in output
    assert f"browser:\n  {page}" in output
    assert page.read_text() == "kept"
