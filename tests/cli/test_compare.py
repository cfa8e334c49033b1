"""`syntony compare` on small trained runs, and its invalid arguments."""

import json
import re
from pathlib import Path

import pytest

from syntony.cli import main

TOY = ["train", "toy", "--steps", "600", "--eval-every", "200", "--eval-episodes", "20"]


def train_runs() -> list[str]:
    """Two runs with different settings, and one more seed of the first."""
    for name, flags in {
        "one": ["--seeds", "2"],
        "slow": ["--seeds", "2", "--rate", "0.001"],
        "more": ["--seed", "2"],
    }.items():
        assert main([*TOY, *flags, "--out", name, "--quiet"]) == 0
    return ["one", "slow", "more"]


def output_of(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["compare", *argv]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_trained_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    # Nothing is truncated in a narrow terminal.
    monkeypatch.setenv("COLUMNS", "40")
    runs = train_runs()
    lines = output_of(runs, capsys).splitlines()
    assert re.match(
        r"no task, step 60\d \(the last that all seeds reached\): ", lines[0]
    )
    assert [line.split()[:2] for line in lines[2:4]] == [
        ["toy", "3"],
        ["toy", "rate=0.001"],
    ]
    assert lines[-1].startswith("note: of few seeds, bootstrapped intervals are too")
    assert not any("…" in line for line in lines)

    (task,) = json.loads(output_of(["fast=one,more", "slow=slow", "--json"], capsys))[
        "tasks"
    ]
    assert [group["label"] for group in task["groups"]] == ["fast", "slow"]
    assert [group["seeds"] for group in task["groups"]] == [3, 2]
    assert [pair["probability"] for pair in task["probability_of_improvement"]] == [1.0]

    lines = output_of(
        [*runs, "--at-step", "300", "--out", "compared"], capsys
    ).splitlines()
    written = sorted(str(path) for path in Path("compared").iterdir())
    assert sorted(line for line in lines if line.startswith("compared/")) == written
    suffixes = {Path(path).suffix for path in written}
    assert suffixes == {".md", ".tex", ".csv", ".json", ".svg", ".png"}
    (task,) = json.loads(Path("compared/comparison.json").read_text())["tasks"]
    assert (task["step"], task["shortest_run"]["step"] >= 600) == (300, True)


def write_run() -> None:
    Path("one").mkdir()
    settings = {"system": "toy", "settings": {}}
    Path("one/settings.json").write_text(json.dumps(settings))
    metrics = dict.fromkeys(("eval/return_mean", "eval/return_mean_low"), 1.0)
    lines = [json.dumps({"step": step, "seed": 0} | metrics) for step in (0, 600)]
    Path("one/metrics.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", "there is nothing to compare; expected one run's folder or more"),
        ("nowhere", "there is no run nowhere; expected a run's folder"),
        ("one .", ". is not the folder of a run: no settings.json"),
        ("one one", "one is named twice; expected different runs"),
        ("one --at-step 1e9", "at_step is 1,000,000,000, beyond step 600, where"),
        ("one --at-step 0", "expected more than 0"),
        ("one --threshold x", "--threshold: 'x' is not a number; see syntony compare"),
        (
            "one --at-step x",
            "--at-step: 'x' is not a whole number; see syntony compare",
        ),
        ("one --metric eval/retrun_mean", "did you mean 'eval/return_mean'?"),
        ("one --out one/settings.json", "cannot write to one/settings.json: "),
        ("A=", "'A=' is invalid; expected RUN or NAME=RUN,RUN"),
        ("=one", "'=one' is invalid"),
        ("one --jsn", "unknown flag '--jsn'; did you mean '--json'?"),
    ],
)
def test_invalid_arguments(
    arguments: str, expected: str, capsys: pytest.CaptureFixture[str]
):
    if "one" in arguments.split():
        write_run()
    assert main(["compare", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("syntony: ")
    assert err.count("\n") == 1
    assert expected in err
