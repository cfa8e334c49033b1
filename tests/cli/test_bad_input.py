"""Invalid input is reported in one line on stderr, with exit code 2."""

import json
import os
from pathlib import Path

import pytest

from syntony.cli import main
from syntony.training.run_folder import RunFolder

MAX_LENGTH = 250
"""Characters: no error is longer than a few lines of a terminal."""


def error_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The line on stderr of a command that ends with exit code 2."""
    assert main(argv) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("syntony: ")
    assert output.err.count("\n") == 1
    assert len(output.err) < MAX_LENGTH
    return output.err


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("trian", "unknown command 'trian'; did you mean 'train'?"),
        ("--verbose", "unknown command '--verbose'"),
        ("train", "train what? expected smpe, smpe_official, maa2c"),
        ("train --gamma 0.9", "train what? expected smpe, smpe_official, maa2c"),
        ("train smp", "unknown system 'smp'; did you mean 'smpe'?"),
        ("train toy --rat 0.1", "unknown flag '--rat'; did you mean '--rate'?"),
        ("train toy --rat=0.1", "unknown flag '--rat'; did you mean '--rate'?"),
        ("train toy 0.1", "'0.1' is one argument too many"),
        ("train toy --quiet yes", "'yes' is one argument too many"),
        ("train toy --rate x", "--rate: 'x' is not a number"),
        ("train toy --rate nan", "--rate: 'nan' is not a number"),
        ("train toy --rate 1e999", "--rate: '1e999' is not a finite number"),
        ("train toy --rate", "Missing value for argument '--rate'"),
        ("train toy --size 0", "size is 0; expected at least 1"),
        ("train toy --size 2.5", "--size: '2.5' is not a whole number"),
        ("train toy --steps 0", "steps is 0; expected 1"),
        ("train toy --steps -1", "steps is -1; expected 1"),
        ("train toy --steps 1e99", "expected 1 to 2,013,265,919"),
        ("train toy --seeds 0", "seeds is 0; expected 1"),
        ("train toy --seed -1", "seed is -1; expected 0"),
        ("train toy --seeds 1,1", "seed 1 is given twice; expected once"),
        ("train toy --seeds 1,9999999999", "a seed is 9999999999; expected 0 to"),
        ("train toy --seeds 1,2 --seed 3", "seed is 3 and seeds is a list; expected"),
        ("train toy --seeds 1 2", "'2' is one argument too many"),
        ("train toy --seed 0 --seed 1", "--seed is given twice; expected once"),
        ("train toy --steps 1,5", "--steps: '1,5' is not a whole number"),
        ("train toy --steps=", "--steps: '' is not a whole number"),
        ("train toy --steps ١٠", "is not a whole number"),
        ("train toy --steps １０", "is not a whole number"),
        ("train toy --rate １", "is not a number"),
        ("train smpe --actor-lr 0", "actor_lr is 0.0; expected"),
        ("train mappo --critic-lr 0", "critic_lr is 0.0; expected"),
        ("train smpe --belief-lr 0", "belief_lr is 0.0; expected"),
        ("train qmix --learning-rate 0", "learning_rate is 0.0; expected"),
        ("train link --learning-rate 0", "learning_rate is 0.0; expected"),
        ("train toy --rate 0,1", "--rate: '0,1' is not a number"),
        ("train toy --rate=", "--rate: '' is not a number"),
        ("train toy --out=", "the run folder is ''; expected the path"),
        ("train TOY", "unknown system 'TOY'; did you mean 'toy'?"),
        ("train smpe --hidden 128,128", "--hidden is '128,128'; expected one width"),
        ("train smpe --task=", "unknown task ''"),
        ("train link --channel=", "unknown channel ''"),
        ("train link --channel awgn?snr_db=1,5", "snr_db is '1,5'; expected a number"),
        ("train link --snr-db 1,5", "--snr-db: '1,5' is not a number"),
        ("evaluate run --episodes 1 --episodes 2", "--episodes is given twice"),
        ("train toy --eval-every 0", "eval_every is 0; expected 1"),
        ("train toy --eval-episodes 0", "eval_episodes is 0; expected 1"),
        ("train toy --out file", "cannot write to file: "),
        ("train toy --out file/run", "cannot write to file/run: "),
        ("train toy --out /proc/run", "cannot write to /proc/run: "),
        ("train toy --out full", "full holds 'of things' and no run"),
        ("train smpe --task Foragin-8x8", "did you mean 'Foraging-2s-8x8-3p-2f-coop'?"),
        ("train smpe --task", "Missing value for argument '--task'"),
        ("train smpe --preset papr", "unknown preset 'papr'; did you mean 'paper'?"),
        (
            "train smpe --hash-input men",
            "--hash-input: unknown value 'men'; did you mean",
        ),
        ("train smpe --num-envs 0", "num_envs is 0; expected"),
        ("train smpe --gamma 1.5", "gamma is 1.5; expected"),
        ("train link --messages 1", "messages is 1; expected 2 to"),
        ("train link --uses 0", "uses is 0; expected 1 to"),
        ("train link --snr-db nan", "--snr-db: 'nan' is not a number"),
        ("train link --snr-db 1e9", "snr_db is 1000000000.0; expected"),
        (
            "train link --perturbation-variance 1",
            "perturbation_variance is 1.0; expected between 0 and 1",
        ),
        (
            "train link --perturbation-variance 0",
            "perturbation_variance is 0.0; expected between 0 and 1",
        ),
        ("train link --channel awgm", "unknown channel 'awgm'; did you mean 'awgn'?"),
        ("train link --channel rician?k=3", "unknown parameter of rician 'k'"),
        ("train link --channel python:nowhere:f", "there is no module 'nowhere'"),
        (
            "train link --feedback nois",
            "unknown feedback 'nois'; did you mean 'noisy'?",
        ),
        (
            "train link --channel quantizer --gradient backprop",
            "quantizer+awgn has no gradient; expected 'policy' or 'spsa'",
        ),
        ("train link --gradient forward", "--gradient: unknown value 'forward'"),
        ("train link --batch-size 1", "batch_size is 1; expected at least 2"),
        ("train link --preset papr", "unknown preset 'papr'; did you mean 'paper'?"),
        ("train link --task Foraging-8x8", "unknown flag '--task'"),
        # What defines an algorithm is no flag of it.
        ("train mappo --objective ppo", "unknown flag '--objective'"),
        ("train ippo --critic-input joint", "unknown flag '--critic-input'"),
        ("train ia2c --critic-input joint", "unknown flag '--critic-input'"),
        ("train qmix --mixing sum", "unknown flag '--mixing'"),
        ("train vdn --mixing monotonic", "unknown flag '--mixing'"),
        ("evaluate run --snr-db 0:12:1", "leave out --snr-db"),
        ("evaluate run --reference qpsk", "leave out --reference"),
        ("evaluate run --max-blocks 5", "leave out --max-blocks"),
        ("evaluate run --with run --reference qpsk", "leave out --reference"),
        ("evaluate " + "a" * 5000, "File name too long"),
        ("train toy --out " + "a" * 5000, "File name too long"),
        ("report " + "a/" * 5000, "File name too long"),
        ("compare " + "a" * 5000, "File name too long"),
        ("watch " + "a" * 5000, "File name too long"),
        ("verify " + "a" * 5000, "File name too long"),
        ("evaluate", "Missing from syntony evaluate: RUN"),
        ("evaluate nowhere", "there is no run nowhere"),
        ("evaluate file", "file is not the folder of a run"),
        ("evaluate full", "full is not the folder of a run: no settings.json"),
        ("evaluate run --episodes 0", "episodes is 0; expected at least 1"),
        ("evaluate run --episodes x", "--episodes: 'x' is not a whole number"),
        ("evaluate run run", "'run' is one argument too many"),
        ("resume", "Missing from syntony resume: RUN"),
        ("resume nowhere", "there is no run nowhere"),
        ("resume run --steps 99", "steps is 99, but the run in run goes to 100"),
        ("resume run --steps 0", "steps is 0; expected 1"),
        ("list sytems", "unknown list 'sytems'; did you mean 'systems'?"),
        ("demo --steps 3", "unknown flag '--steps'"),
    ],
)
def test_invalid_arguments(
    command: str, expected: str, capsys: pytest.CaptureFixture[str]
):
    Path("file").touch()
    Path("full").mkdir()
    Path("full", "of things").touch()
    if " run" in command:
        assert main(["train", "toy", "--steps", "100", "--out", "run", "--quiet"]) == 0
    assert expected in error_line(command.split(), capsys)


def test_other_settings_in_the_folder(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "toy", "--steps", "100", "--out", "run", "--quiet"]) == 0
    argv = ["train", "toy", "--steps", "100", "--out", "run", "--rate", "0.5"]
    error = error_line(argv, capsys)
    assert "run holds another run: descent.rate is 0.1, not 0.5; try another" in error


def test_folder_in_use(capsys: pytest.CaptureFixture[str]):
    argv = ["train", "toy", "--steps", "100", "--out", "run", "--quiet"]
    with RunFolder(Path("run")).acquire_lock():
        assert f"run is in use by process {os.getpid()} on" in error_line(argv, capsys)


def edit_settings(change: dict, *drop: str) -> None:
    path = Path("run/settings.json")
    settings = json.loads(path.read_text()) | change
    path.write_text(json.dumps({n: v for n, v in settings.items() if n not in drop}))


def truncate_checkpoints() -> None:
    for path in Path("run/checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:99])


def delete_checkpoints() -> None:
    for path in Path("run/checkpoints").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda: Path("run/settings.json").write_text("{"), "cannot be read"),
        (lambda: Path("run/settings.json").write_text("[]"), "no JSON object"),
        (
            lambda: edit_settings({"system": "smp"}),
            "unknown system 'smp'; did you mean 'smpe'",
        ),
        (lambda: edit_settings({}, "system"), "system is missing"),
        (lambda: edit_settings({}, "settings"), "settings is missing"),
        (
            lambda: edit_settings({"steps": "x"}),
            "steps is 'x'; expected a whole number",
        ),
        (lambda: edit_settings({"seeds": 0}), "seeds is 0; expected 1"),
        (
            lambda: edit_settings({"settings": 1}),
            "settings is 1; expected the fields of Toy",
        ),
        (
            lambda: edit_settings({"settings": {"sise": 4}}),
            "settings 'sise'; did you mean 'size'",
        ),
        (truncate_checkpoints, "is damaged"),
        (delete_checkpoints, "checkpoint"),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "resume"])
def test_damaged_runs(
    command: str, damage, expected: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["train", "toy", "--steps", "100", "--out", "run", "--quiet"]) == 0
    damage()
    assert expected in error_line([command, "run"], capsys)


def test_checkpoints_with_other_shapes(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "toy", "--steps", "100", "--out", "run", "--quiet"]) == 0
    settings = json.loads(Path("run/settings.json").read_text())["settings"]
    edit_settings({"settings": settings | {"size": 5}})
    error = error_line(["evaluate", "run"], capsys)
    assert "was trained with other settings than settings.json has" in error
