"""Commands on the checkpoints that a run keeps."""

import json
from pathlib import Path

import pytest

from syntony.cli import main
from syntony.training import checkpoint
from syntony.training.run import load

TRAIN = ["train", "toy", "--steps", "100", "--eval-every", "40", "--seeds", "2"]
TRAIN += ["--eval-episodes", "2", "--quiet", "--out", "run"]


def evaluation(arguments: str, capsys: pytest.CaptureFixture[str]) -> list[dict]:
    """Rows of the seeds in the output of `evaluate`."""
    argv = ["evaluate", "run", "--episodes", "5", "--json", *arguments.split()]
    assert main(argv) == 0
    return json.loads(capsys.readouterr().out)["seeds"]


def test_commands_use_the_checkpoint_that_is_chosen(
    capsys: pytest.CaptureFixture[str],
):
    assert main([*TRAIN, "--save-every", "5e1", "--keep-best"]) == 0
    for choice in ("best", 50):
        states = load("run", checkpoint=choice)
        rows = evaluation(f"--checkpoint {choice}", capsys)
        assert {row["seed"]: row["step"] for row in rows} == states.steps
    assert evaluation("--checkpoint 50 --seeds 1,0", capsys) == rows[::-1]
    assert main(["figures", "run", "--checkpoint", "50"]) == 0
    assert main(["resume", "run", "--save-every", "30", "--quiet", "--steps=130"]) == 0
    paths = checkpoint.checkpoint_paths(Path("run/checkpoints"), 0)
    assert {50, 100, 120} <= {*map(checkpoint.kept_step, paths)}


INVALID = [
    ("evaluate run --checkpoint best", "trained without --keep-best; expected one"),
    ("evaluate run --checkpoint 50", "no checkpoint of seed 0 at step 50; expect"),
    ("figures run --checkpoint 5e1", "no checkpoint of seed 0 at step 50; expect"),
    ("evaluate run --checkpoint fast", "'fast'; expected best, last or a step"),
    ("evaluate run --checkpoint 1.55e1", "'1.55e1'; expected best, last or a step"),
    ("render run --checkpoint -3", "--checkpoint"),
    ("evaluate run --seeds 7", "run has no seed 7; expected 0 to 1"),
    ("evaluate run --seeds 0,", "--seeds: '0,'; expected seeds, e.g. 0 or 0,2"),
    ("evaluate run --seeds 0-1", "--seeds: '0-1'; expected seeds, e.g. 0 or 0,2"),
    ("evaluate run --seeds 1,1", "[1, 1]; expected different numbers"),
    ("resume run --save-every 0", "save_every is 0; expected 1 to"),
    ("train toy --steps 9 --save-every 0 --out new", "save_every is 0; expected"),
]


def test_invalid_choices_are_one_line(capsys: pytest.CaptureFixture[str]):
    assert main(TRAIN) == 0
    for arguments, expected in INVALID:
        capsys.readouterr()
        assert main(arguments.split()) == 2, arguments
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("syntony: ")
        assert err.count("\n") == 1
        assert expected in err
