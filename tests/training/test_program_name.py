"""Commands that are printed can be typed as they are printed."""

import os
import stat
from pathlib import Path

import pytest

from syntony.training.program_name import program_name


def write_program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_name_is_what_the_shell_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program = write_program(tmp_path / ".venv" / "bin" / "syntony")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setattr("sys.argv", [str(program), "demo"])
    # As `make demo` calls it: no environment is active.
    assert program_name() == os.path.join(".venv", "bin", "syntony")
    monkeypatch.setenv("PATH", str(program.parent))
    assert program_name() == "syntony"
    # Another installation is first on PATH.
    other = write_program(tmp_path / "other" / "syntony")
    monkeypatch.setenv(
        "PATH", os.pathsep.join(map(str, (other.parent, program.parent)))
    )
    assert program_name() == os.path.join(".venv", "bin", "syntony")
    # From another folder the whole path is shorter to read than one through "..".
    monkeypatch.chdir(other.parent)
    assert program_name() == str(program)


def test_a_python_program_names_the_command(monkeypatch: pytest.MonkeyPatch):
    for called in ("train.py", "", "/somewhere/syntony/__main__.py"):
        monkeypatch.setattr("sys.argv", [called])
        assert program_name() == "syntony"
