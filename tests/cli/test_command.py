"""The commands, from the words that are typed to what is printed and left behind."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from syntony.cli import main
from syntony.cli.help import MAIN_HELP, TRAIN_HELP
from syntony.systems.registry import SYSTEMS

TOY = ["train", "toy", "--steps", "1e3", "--eval-every", "400", "--eval-episodes", "20"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> str:
    """A finished run of two seeds in the folder `run`."""
    assert main([*TOY, "--seeds", "2", "--out", "run", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    return "run"


def help_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*words, "--help"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def test_help_names_every_command_and_system(capsys: pytest.CaptureFixture[str]):
    assert help_of([], capsys) == MAIN_HELP
    assert help_of(["train"], capsys) == TRAIN_HELP
    assert main([]) == 0
    assert capsys.readouterr().out == MAIN_HELP
    for name in {*SYSTEMS} - {"toy"}:
        assert name in MAIN_HELP
        assert f"\n  {name} " in TRAIN_HELP


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["evaluate"], ["RUN", "--episodes INT", "--json", "default: 1000"]),
        (["resume"], ["RUN", "--steps INT", "in environment steps"]),
        (["list"], ["systems, tasks, channels or presets"]),
        (["demo"], ["--out DIR"]),
        (
            ["train", "smpe"],
            ["--task ID", "--gamma FLOAT", "(default: 0.99)", "--hashed mean|sample|"],
        ),
        (["train", "maa2c"], ["--preset", "--seeds INT", "--out DIR", "--quiet "]),
    ],
)
def test_help_of_each_command(
    words: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
):
    said = help_of(words, capsys)
    for text in expected:
        assert text in said


def test_every_constant_of_a_nested_record_is_a_flag(
    capsys: pytest.CaptureFixture[str],
):
    said = help_of(["train", "toy"], capsys)
    assert "--rate FLOAT" in said
    assert main([*TOY, "--rate", "0.2", "--noise=1e-3", "--out", "run"]) == 0
    settings = json.loads(Path("run/settings.json").read_text())
    assert settings["settings"]["descent"] == {"rate": 0.2, "noise": 0.001}


def test_help_is_quick():
    # JAX alone takes most of a second to import: help must not.
    code = (
        "import sys, syntony.cli; syntony.cli.main(); assert 'jax' not in sys.modules"
    )
    for words in (["--help"], ["train", "--help"], ["evaluate", "--help"], ["-V"]):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "syntony", "--version"], capture_output=True, text=True
    )
    assert re.fullmatch(r"syntony \d+\.\d+\.\d+\n", done.stdout)


def test_a_plain_terminal_is_enough():
    code = "import sys, syntony.cli; sys.exit(syntony.cli.main())"
    plain = os.environ | {"PYTHONIOENCODING": "ascii"}
    for words, status in (["list", "systems"], 0), (["evaluate", "--episodes", "x"], 2):
        command = [sys.executable, "-c", code, *words]
        done = subprocess.run(command, capture_output=True, env=plain)
        assert done.returncode == status
        assert b"Traceback" not in done.stderr
        assert (done.stdout + done.stderr).isascii()


def test_training_prints_a_line_an_evaluation(capsys: pytest.CaptureFixture[str]):
    assert main([*TOY, "--out", "run"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[:2] == ["compiling", "training"]
    number = r"-?\d+\.\d{3}"
    for line, step in zip(lines[2:6], (0, 400, 800, 1000), strict=True):
        match = re.match(rf"seed 0  step +([\d,]+) .* return ({number}) \[", line)
        assert match is not None
        assert 0 <= int(match[1].replace(",", "")) - step < 3
    assert lines[6:] == [
        "done: run holds metrics.jsonl, model.npz, checkpoints/",
        "next: syntony evaluate run",
    ]
    assert said.err == ""


def test_evaluate_prints_a_table(run: str, capsys: pytest.CaptureFixture[str]):
    assert main(["evaluate", run, "--episodes", "30"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "30 episodes each" in said[0]
    assert said[1].split() == ["steps", "return", "return", "greedy"]
    heads = [line.split("  ")[0] for line in said[2:]]
    assert heads == ["untrained", "seed 0", "seed 1", "all seeds"]


def test_a_narrow_terminal_cuts_off_no_number(
    run: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "30")
    assert main(["evaluate", run, "--episodes", "30"]) == 0
    table = capsys.readouterr().out
    assert "…" not in table
    assert table.count("[") == table.count("]") > 4


def test_evaluate_prints_one_json_object(run: str, capsys: pytest.CaptureFixture[str]):
    assert main(["evaluate", run, "--episodes", "30", "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    found = json.loads(said.out)
    assert [line["seed"] for line in found["seeds"]] == [0, 1]
    means = [line["eval/return_mean"] for line in found["seeds"]]
    assert found["all"]["eval/return_mean"] == pytest.approx(sum(means) / 2)
    for line in (*found["seeds"], found["all"], found["untrained"]):
        low, high = (line[f"eval/return_mean_{end}"] for end in ("low", "high"))
        assert low <= line["eval/return_mean"] <= high
    # Learning helps.
    assert found["untrained"]["eval/return_mean"] < found["all"]["eval/return_mean"]


def test_evaluating_twice_gives_the_same(run: str, capsys: pytest.CaptureFixture[str]):
    said = []
    for _ in range(2):
        assert main(["evaluate", run, "--episodes", "30", "--json"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]


def test_the_same_command_goes_on(run: str, capsys: pytest.CaptureFixture[str]):
    same = [*TOY, "--seeds", "2", "--out", run]
    before = Path(run, "metrics.jsonl").read_text()
    assert main(same) == 0
    assert capsys.readouterr().out.startswith("done: run")
    assert main(["resume", run]) == 0
    assert Path(run, "metrics.jsonl").read_text() == before
    assert main([*same, "--steps", "1600"]) == 0
    assert main(["resume", run, "--steps", "2000", "--quiet"]) == 0
    last = Path(run, "metrics.jsonl").read_text().splitlines()[-1]
    assert 2000 <= json.loads(last)["step"] < 2003


def test_a_divergence_is_said_in_a_line(capsys: pytest.CaptureFixture[str]):
    jax.config.update("jax_debug_nans", False)
    try:
        assert main([*TOY, "--explodes-at", "500", "--out", "run", "--quiet"]) == 1
    finally:
        jax.config.update("jax_debug_nans", True)
    said = capsys.readouterr().err
    assert re.fullmatch(
        r"syntony: seed 0 diverged at step 50\d: train/loss is nan; last good "
        r"checkpoint: run/checkpoints/seed-0-00000000040\d\.npz; try .*\n",
        said,
    )


def test_list(capsys: pytest.CaptureFixture[str]):
    for what, expected in [
        ("systems", "smpe "),
        ("tasks", "Foraging-2s-8x8-3p-2f-coop "),
        ("presets", "paper "),
    ]:
        assert main(["list", what]) == 0
        assert expected in capsys.readouterr().out
