"""File of `syntony report`, and its invalid arguments."""

import json
from pathlib import Path

import pytest

from syntony.cli import main


def write_run(name: str = "one") -> None:
    Path(name).mkdir()
    settings = {"system": "toy", "settings": {}}
    (Path(name) / "settings.json").write_text(json.dumps(settings))
    lines = [
        json.dumps({"step": step, "seed": 0, "eval/return_mean": 0.1 * step})
        for step in (0, 5, 10)
    ]
    (Path(name) / "metrics.jsonl").write_text("\n".join(lines) + "\n")


def test_report_of_one_run_is_in_its_folder(capsys: pytest.CaptureFixture[str]):
    write_run()
    assert main(["report", "one"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "one/report.html"
    assert "<title>Syntony: one</title>" in Path("one/report.html").read_text()


def test_report_of_several_runs_is_in_the_current_folder_or_at_out(
    capsys: pytest.CaptureFixture[str],
):
    write_run()
    write_run("two")
    assert main(["report", "one", "two"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "report.html"
    assert main(["report", "one", "two", "--out", "both.html"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "both.html"
    assert Path("report.html").read_bytes() == Path("both.html").read_bytes()


def test_help(capsys: pytest.CaptureFixture[str]):
    assert main(["report", "--help"]) == 0
    out = capsys.readouterr().out
    assert "FILE.html" in out
    assert "RUN..." in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", "there is nothing to report; expected one run's folder or more"),
        ("nowhere", "there is no run nowhere; expected a run's folder"),
        ("one .", ". is not the folder of a run: no settings.json"),
        ("one one/", "one is named twice; expected different runs"),
        ("one --out one", "one is a folder; expected a file, e.g. one/report.html"),
        ("one --out no/x.html", "there is no folder no; expected one for the report"),
        ("one --oot x", "unknown flag '--oot'; did you mean '--out'?"),
        ("damaged", "damaged/metrics.jsonl is damaged in line 2"),
    ],
)
def test_invalid_arguments(
    arguments: str, expected: str, capsys: pytest.CaptureFixture[str]
):
    write_run()
    write_run("damaged")
    Path("damaged/metrics.jsonl").write_text('{"step": 0, "seed": 0}\n{"step": 1,\n')
    assert main(["report", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("syntony: ")
    assert err.count("\n") == 1
    assert expected in err
