"""`train --from`: training that starts from the weights of another run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from syntony.cli import main
from syntony.training.run import load

TRAIN = "train toy --steps 90 --quiet --eval-every 40 --eval-episodes 4"


def test_a_run_starts_from_another(capsys: pytest.CaptureFixture[str]):
    assert main([*TRAIN.split(), "--seeds", "2", "--keep-best", "--out", "a"]) == 0
    flags = "--from a:1 --from-checkpoint best --from-part point --out b"
    assert main([*TRAIN.split(), *flags.split()]) == 0
    best = load("a", checkpoint="best")
    entry: Any = json.loads(Path("b/settings.json").read_text())["started_from"]
    assert (entry["path"], entry["checkpoint"]) == ("a", "best")
    assert (entry["part"], entry["from_seeds"]) == ("point", [1])
    assert entry["seeds"]["0"]["step"] == best.steps[1]
    first = load("b", checkpoint="last").metrics()[0]
    point = np.asarray(best.states[1].x)
    assert first["eval/return_mean_greedy"] == pytest.approx(-np.sum(point**2))
    assert main(["resume", "b", "--steps", "150", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


INVALID = [
    ("--from nowhere", "there is no run nowhere; expected a run's folder"),
    ("--from a:7", "a has no seed 7; expected 0"),
    ("--from a --from-checkpoint 3", "a has no checkpoint of seed 0 at step 3"),
    ("--from a --from-checkpoint new", "'new'; expected best, last or a step"),
    ("--from-part point", "are of --from RUN, which is missing"),
    ("--from-checkpoint best", "are of --from RUN, which is missing"),
    ("--from a --from-part piont", "did you mean 'point'?"),
    ("--form a", "unknown flag '--form'; did you mean '--from'?"),
    ("--from a --size 4", "the weights of a do not fit: point is float32(3,) there"),
]


def test_what_does_not_fit_is_one_line(capsys: pytest.CaptureFixture[str]):
    assert main([*TRAIN.split(), "--out", "a"]) == 0
    for flags, expected in INVALID:
        assert main([*TRAIN.split(), *flags.split(), "--out", "b"]) == 2, flags
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("syntony: ")
        assert err.count("\n") == 1
        assert expected in err
