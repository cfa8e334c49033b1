"""`syntony verify`, and how other commands tell of a damaged run."""

import shutil
import sys
from pathlib import Path

import pytest
from toy_system import Toy

from syntony.cli.main import main
from syntony.training.loop import train


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    train(Toy(), steps=40, eval_every=20, eval_episodes=2, out=path, quiet=True)
    return path


@pytest.fixture
def run(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(original, "run"))


def test_a_whole_run(run: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["verify", str(run)]) == 0
    assert capsys.readouterr().out == (
        "run is whole: settings.json, 2 checkpoints, 3 lines of metrics.jsonl, the "
        "seal of 4 files\n"
    )


def test_a_damaged_run(run: Path, capsys: pytest.CaptureFixture[str]):
    (run / "model.npz").write_bytes(b"")
    (run / "metrics.jsonl").unlink()
    assert main(["verify", str(run)]) == 2
    out, err = capsys.readouterr()
    assert "model.npz was changed after the run had ended\n" in out
    assert "metrics.jsonl has lost lines of seed 0: 0 of at least 3 are left\n" in out
    assert err == "syntony: run is not whole: 4 problems\n"


def test_no_run(capsys: pytest.CaptureFixture[str]):
    assert main(["verify", "nowhere"]) == 2
    assert "there is no run nowhere" in capsys.readouterr().err


@pytest.mark.filterwarnings("default:run")
@pytest.mark.parametrize("command", ["compare", "report"])
def test_other_commands_warn_in_one_line(
    command: str, run: Path, capsys: pytest.CaptureFixture[str]
):
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join([lines[0], lines[2]]))
    assert main([command, str(run)]) == 0
    err = capsys.readouterr().err
    assert err.startswith("syntony: run: metrics.jsonl: line 2 (seed 0, step ")
    assert err.endswith("; all problems: syntony verify run\n")
    assert err.count("\n") == 1


def test_verify_needs_no_jax(run: Path):
    import subprocess

    code = (
        "import sys; from syntony.cli.main import main; "
        f"assert main(['verify', {str(run)!r}]) == 0; "
        "assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
