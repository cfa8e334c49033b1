"""`syntony compare`, on runs that are trained here, and on words that make no sense."""

import json
import re
from pathlib import Path

import pytest

from syntony.cli import main

TOY = ["train", "toy", "--steps", "600", "--eval-every", "200", "--eval-episodes", "20"]


def trained() -> list[str]:
    """Returns two runs that differ in a setting, and one that joins the first."""
    for name, words in {
        "one": ["--seeds", "2"],
        "slow": ["--seeds", "2", "--rate", "0.001"],
        "more": ["--seed", "2"],
    }.items():
        assert main([*TOY, *words, "--out", name, "--quiet"]) == 0
    return ["one", "slow", "more"]


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["compare", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_runs_of_ours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    # Nothing is cut off in a narrow terminal.
    monkeypatch.setenv("COLUMNS", "40")
    runs = trained()
    lines = said(runs, capsys).splitlines()
    assert re.match(
        r"no task, step 60\d \(the last that all seeds reached\): ", lines[0]
    )
    assert [line.split()[:2] for line in lines[2:4]] == [
        ["toy", "3"],
        ["toy", "rate=0.001"],
    ]
    assert lines[-1].startswith("note: of few seeds, bootstrapped intervals are too")
    assert not any("…" in line for line in lines)

    (task,) = json.loads(said(["fast=one,more", "slow=slow", "--json"], capsys))[
        "tasks"
    ]
    assert [group["label"] for group in task["groups"]] == ["fast", "slow"]
    assert [group["seeds"] for group in task["groups"]] == [3, 2]
    assert [pair["probability"] for pair in task["improvement"]] == [1.0]

    lines = said([*runs, "--at", "300", "--out", "found"], capsys).splitlines()
    written = sorted(str(path) for path in Path("found").iterdir())
    assert sorted(line for line in lines if line.startswith("found/")) == written
    ends = {Path(path).suffix for path in written}
    assert ends == {".md", ".tex", ".csv", ".json", ".svg", ".png"}
    (task,) = json.loads(Path("found/comparison.json").read_text())["tasks"]
    assert (task["step"], task["slowest"]["step"] >= 600) == (300, True)


def write_a_run() -> None:
    Path("one").mkdir()
    settings = {"system": "toy", "settings": {}}
    Path("one/settings.json").write_text(json.dumps(settings))
    score = dict.fromkeys(("eval/return_mean", "eval/return_mean_low"), 1.0)
    lines = [json.dumps({"step": step, "seed": 0} | score) for step in (0, 600)]
    Path("one/metrics.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", "there is nothing to compare; expected one run's folder or more"),
        ("nowhere", "there is no run nowhere; expected a run's folder"),
        ("one .", ". is not the folder of a run: no settings.json"),
        ("one one", "one is named twice; expected different runs"),
        ("one --at 1e9", "at is 1,000,000,000, beyond step 600, where"),
        ("one --at 0", "expected more than 0"),
        ("one --reach x", "--reach: 'x' is not a number; see syntony compare"),
        ("one --at x", "--at: 'x' is not a whole number; see syntony compare"),
        ("one --score eval/retrun_mean", "did you mean 'eval/return_mean'?"),
        ("one --out one/settings.json", "cannot write to one/settings.json: "),
        ("A=", "'A=' makes no sense; expected RUN or NAME=RUN,RUN"),
        ("=one", "'=one' makes no sense"),
        ("one --jsn", "unknown flag '--jsn'; did you mean '--json'?"),
    ],
)
def test_bad_words(words: str, expected: str, capsys: pytest.CaptureFixture[str]):
    if "one" in words.split():
        write_a_run()
    assert main(["compare", *words.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("syntony: ")
    assert err.count("\n") == 1
    assert expected in err
