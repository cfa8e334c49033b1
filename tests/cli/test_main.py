"""Commands, from their arguments to their output and files."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import jax
import pytest

from syntony.cli import main
from syntony.cli.arguments import LoggingOptions
from syntony.cli.help_text import main_help, train_help
from syntony.cli.main import COMMANDS
from syntony.cli.train import ConfigOptions, StartOptions, TrainOptions
from syntony.systems.registry import SYSTEMS

TOY = ["train", "toy", "--steps", "1e3", "--eval-every", "400", "--eval-episodes", "20"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> str:
    """A finished run of two seeds in the folder `run`."""
    assert main([*TOY, "--seeds", "2", "--out", "run", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    return "run"


def help_of(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*argv, "--help"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return output.out


def test_help_names_every_command_and_system(capsys: pytest.CaptureFixture[str]):
    usages = {name: command.usage for name, command in COMMANDS.items()}
    assert help_of([], capsys) == main_help(usages)
    assert help_of(["train"], capsys) == train_help()
    assert main([]) == 0
    assert capsys.readouterr().out == main_help(usages)
    for name, usage in usages.items():
        assert f"\n  {name} {usage}" in main_help(usages)
    for name in {*SYSTEMS} - {"toy"}:
        assert name in main_help(usages)
        assert f"\n  {name} " in train_help()


def test_help_is_readable_at_80_columns(capsys: pytest.CaptureFixture[str]):
    for argv in ([], ["train"], ["train", "toy"], *([name] for name in COMMANDS)):
        assert max(map(len, help_of(argv, capsys).splitlines())) <= 80


def test_both_help_texts_of_train_agree(capsys: pytest.CaptureFixture[str]):
    """The one without tyro shows the same docstrings as tyro's own."""
    quick, full = help_of(["train"], capsys), help_of(["train", "toy"], capsys)
    full_words = " ".join(full.replace("│", " ").split())
    flags = [*re.findall(r"\n  (--[a-z-]+)", quick)]
    classes = TrainOptions, StartOptions, ConfigOptions, LoggingOptions
    options = [name.rstrip("_") for x in classes for name in x.__annotations__]
    assert flags == [f"--{name.replace('_', '-')}" for name in options]
    for option in " ".join(quick.split("systems:")[2].split()).split(" --"):
        text = option.partition(" (default: ")[0].removeprefix("--")
        assert text in full_words


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["evaluate"], ["RUN", "--episodes INT", "--json", "default: 1000"]),
        (["resume"], ["RUN", "--steps INT", "in environment steps"]),
        (["list"], ["systems, tasks, channels or presets"]),
        (["demo"], ["--out DIR"]),
        (
            ["train", "smpe"],
            [
                "--task ID",
                "--gamma FLOAT",
                "(default: 0.99)",
                "--hash-input mean|sample|",
            ],
        ),
        (
            ["train", "maa2c"],
            ["--preset", "--seeds K|A,B,...", "--out DIR", "--quiet "],
        ),
    ],
)
def test_help_of_each_command(
    argv: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
):
    output = help_of(argv, capsys)
    for text in expected:
        assert text in output


def test_every_field_of_a_nested_dataclass_is_a_flag(
    capsys: pytest.CaptureFixture[str],
):
    assert "--rate FLOAT" in help_of(["train", "toy"], capsys)
    assert main([*TOY, "--rate", "0.2", "--noise=1e-3", "--out", "run"]) == 0
    settings = json.loads(Path("run/settings.json").read_text())
    assert settings["settings"]["descent"] == {"rate": 0.2, "noise": 0.001}


@pytest.mark.parametrize(
    ("argv", "slow_modules"),
    [
        (["--help"], {"jax", "tyro"}),
        (["train", "--help"], {"jax", "tyro"}),
        (["-V"], {"jax", "tyro"}),
        *(([name, "--help"], {"jax"}) for name in COMMANDS if name != "train"),
    ],
)
def test_help_imports_no_slow_module(argv: list[str], slow_modules: set[str]):
    code = (
        "import sys, syntony.cli; syntony.cli.main()\n"
        f"assert not {slow_modules} & {{*sys.modules}}"
    )
    process = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True)
    assert (process.returncode, process.stderr) == (0, b"")


def test_python_m_syntony_is_the_command():
    process = subprocess.run(
        [sys.executable, "-m", "syntony", "--version"], capture_output=True, text=True
    )
    assert process.stdout == f"syntony {version('syntony')}\n"


def test_ascii_terminal():
    code = "import sys, syntony.cli; sys.exit(syntony.cli.main())"
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    for argv, status in (["list", "systems"], 0), (["evaluate", "--episodes", "x"], 2):
        command = [sys.executable, "-c", code, *argv]
        process = subprocess.run(command, capture_output=True, env=env)
        assert process.returncode == status
        assert b"Traceback" not in process.stderr
        assert (process.stdout + process.stderr).isascii()


def test_training_prints_a_line_per_evaluation(capsys: pytest.CaptureFixture[str]):
    assert main([*TOY, "--out", "run"]) == 0
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert lines[4:6] == ["compiling", "training"]
    number = r"-?\d+\.\d{3}"
    for line, step in zip(lines[6:10], (0, 400, 800, 1000), strict=True):
        match = re.match(rf"seed 0 +([\d,]+) .* return ({number}) ±", line)
        assert match is not None
        assert 0 <= int(match[1].replace(",", "")) - step < 3
    assert re.fullmatch(rf"done: return {number}", lines[10])
    assert lines[11:] == [
        "run: run (metrics.jsonl, model.npz, checkpoints/)",
        "next: syntony evaluate run",
    ]
    assert output.err == ""


def test_evaluate_prints_a_table(run: str, capsys: pytest.CaptureFixture[str]):
    assert main(["evaluate", run, "--episodes", "30"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "30 episodes each" in lines[0]
    assert lines[1].split() == ["steps", "return", "return", "greedy"]
    labels = [line.split("  ")[0] for line in lines[2:]]
    assert labels == ["untrained", "seed 0", "seed 1", "all seeds"]


def test_narrow_terminal_truncates_no_number(
    run: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "30")
    assert main(["evaluate", run, "--episodes", "30"]) == 0
    table = capsys.readouterr().out
    assert "…" not in table
    assert table.count("[") == table.count("]") > 4


def test_evaluate_prints_one_json_object(run: str, capsys: pytest.CaptureFixture[str]):
    assert main(["evaluate", run, "--episodes", "30", "--json"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    results = json.loads(output.out)
    assert [row["seed"] for row in results["seeds"]] == [0, 1]
    means = [row["eval/return_mean"] for row in results["seeds"]]
    assert results["all"]["eval/return_mean"] == pytest.approx(sum(means) / 2)
    for row in results["seeds"]:
        low, high = (row[f"eval/return_mean_{end}"] for end in ("low", "high"))
        assert low <= row["eval/return_mean"] <= high
    # Of two seeds, both are shown instead of an interval.
    assert results["all"]["eval/return_mean_low"] is None
    assert results["untrained"]["eval/return_mean_high"] is None
    # Training improves the return.
    assert results["untrained"]["eval/return_mean"] < results["all"]["eval/return_mean"]


def test_evaluating_twice_gives_the_same(run: str, capsys: pytest.CaptureFixture[str]):
    outputs = []
    for _ in range(2):
        assert main(["evaluate", run, "--episodes", "30", "--json"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]


def test_the_same_command_continues_the_run(
    run: str, capsys: pytest.CaptureFixture[str]
):
    command = [*TOY, "--seeds", "2", "--out", run]
    before = Path(run, "metrics.jsonl").read_text()
    assert main(command) == 0
    assert "\ndone: nothing was left to do\n" in capsys.readouterr().out
    assert main(["resume", run]) == 0
    assert Path(run, "metrics.jsonl").read_text() == before
    longer = [x.replace("1e3", "1600") for x in command]
    assert main(longer) == 0
    assert main(["resume", run, "--steps", "2000", "--quiet"]) == 0
    last = Path(run, "metrics.jsonl").read_text().splitlines()[-1]
    assert 2000 <= json.loads(last)["step"] < 2003


def test_divergence_is_reported_in_one_line(capsys: pytest.CaptureFixture[str]):
    jax.config.update("jax_debug_nans", False)
    try:
        assert main([*TOY, "--explodes-at", "500", "--out", "run", "--quiet"]) == 1
    finally:
        jax.config.update("jax_debug_nans", True)
    error = capsys.readouterr().err
    assert re.fullmatch(
        r"syntony: seed 0 diverged at step 50\d: train/loss is nan; last good "
        r"checkpoint: run/checkpoints/seed-0-00000000040\d\.npz; try .*\n",
        error,
    )


def test_list(capsys: pytest.CaptureFixture[str]):
    for what, expected in [
        ("systems", "smpe "),
        ("tasks", "Foraging-2s-8x8-3p-2f-coop "),
        ("presets", "paper "),
    ]:
        assert main(["list", what]) == 0
        assert expected in capsys.readouterr().out
