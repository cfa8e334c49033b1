"""The run folder: locking, settings, and folders that are refused."""

import os
from pathlib import Path

import pytest

from syntony.errors import InvalidInputError
from syntony.training.run_folder import RunFolder, next_free_path, open_run_folder


def test_a_locked_folder_is_refused(tmp_path: Path):
    path = tmp_path / "run"
    # The lock belongs to an open file: a second one acts like another process.
    with (
        RunFolder(path).acquire_lock(),
        pytest.raises(InvalidInputError, match=f"in use by process {os.getpid()} on "),
        RunFolder(path).acquire_lock(),
    ):
        pass
    with RunFolder(path).acquire_lock():
        pass


def test_partial_files_are_removed(tmp_path: Path):
    folder = RunFolder(tmp_path / "run")
    with folder.acquire_lock():
        pass
    part = f".syntony-{'0' * 16}.part"
    (folder.checkpoints_dir / part).touch()
    (folder.path / part).touch()
    (folder.checkpoints_dir / "mine.part").touch()
    with folder.acquire_lock():
        left = [path.name for path in folder.path.rglob("*.part")]
    assert left == ["mine.part"], "only files of this library are deleted"


def test_a_path_of_a_file_is_refused(tmp_path: Path):
    (tmp_path / "run").touch()
    with (
        pytest.raises(InvalidInputError, match=r"cannot write to .*/run: "),
        RunFolder(tmp_path / "run").acquire_lock(),
    ):
        pass


def test_settings_are_read_as_written(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.write_settings({"system": "smpe", "β": 0.1})
    assert folder.read_settings() == {"system": "smpe", "β": 0.1}


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read"), ("[]", "no JSON object"), ("\udcff", "cannot be read")],
)
def test_damaged_settings_are_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "settings.json").write_text(text, errors="surrogateescape")
    with pytest.raises(InvalidInputError, match=message):
        RunFolder(tmp_path).read_settings()


def test_folders_without_a_run_are_refused(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="there is no run"):
        RunFolder(tmp_path / "nowhere").read_settings()
    with pytest.raises(InvalidInputError, match=r"no settings\.json"):
        RunFolder(tmp_path).read_settings()


def test_the_next_free_path(tmp_path: Path):
    (tmp_path / "smpe-1").mkdir()
    assert next_free_path(tmp_path, "smpe") == tmp_path / "smpe-2"


@pytest.mark.parametrize("name", ["", "b\0d", "a" * 5000])
def test_a_path_that_no_folder_can_have_is_refused(name: str):
    with pytest.raises(InvalidInputError, match=r"^the run folder is '"):
        open_run_folder(name)
