"""The walk through a run folder: every name that a run has, as every kind of file."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from syntony.errors import InvalidInputError
from syntony.training import folder_walk
from syntony.training.atomic_io import (
    TEMP_NAME,
    append_bytes,
    atomic_savez,
    atomic_write,
    atomic_write_bytes,
    make_folder,
)
from syntony.training.folder_walk import check_run_folder
from syntony.training.metrics_log import append_row, truncate_after
from syntony.training.run_folder import RunFolder
from syntony.visualization.output_files import create_folder, write_file

CHECKPOINT = "checkpoints/seed-0-000000000010.npz"
FILES = [
    "settings.json",
    "metrics.jsonl",
    "model.npz",
    "codebook.csv",
    "codebook-seed1.csv",
    "report.html",
    "evaluation.json",
    ".lock",
    "wandb-id",
    CHECKPOINT,
    "history/seed-0.npz",
    "figures/losses.svg",
    "figures/episodes.gif",
    "tensorboard/seed-0/events.out.tfevents.1",
]
FOLDERS = [*folder_walk.FOLDERS, "tensorboard/seed-0"]
UNKNOWN = ["slurm-1.out", "notes", "report.html.part", "checkpoints/x.part", "evil.py"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of a run in which every file is there."""
    path = tmp_path / "run"
    for name in FILES:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("{}")
    return path


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    (path / "victim").write_text("precious")
    return path


def no_file(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "absent")


KINDS: dict[str, Callable[[Path, Path], None]] = {
    "link to a file": lambda path, outside: path.symlink_to(outside / "victim"),
    "link to nothing": no_file,
    "link to a folder": lambda path, outside: path.symlink_to(outside),
    "link to itself": lambda path, _: path.symlink_to(path.name),
    "link to a device": lambda path, _: path.symlink_to("/dev/zero"),
    "pipe": lambda path, _: os.mkfifo(path),
}


def replace(path: Path, make: Callable[[Path, Path], None], outside: Path) -> None:
    if path.is_dir():
        path.rename(path.with_name("kept-away"))
    elif os.path.lexists(path):
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path, outside)


def test_a_whole_folder_passes(folder: Path):
    check_run_folder(folder)
    check_run_folder(folder / "nowhere")


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
@pytest.mark.parametrize("kind", KINDS)
def test_no_link_or_pipe_has_the_name_of_a_file_or_folder(
    name: str, kind: str, folder: Path, outside: Path
):
    replace(folder / name, KINDS[kind], outside)
    with pytest.raises(InvalidInputError, match=Path(name).name) as failure:
        check_run_folder(folder)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("name", FOLDERS)
def test_no_file_has_the_name_of_a_folder(name: str, folder: Path, outside: Path):
    replace(folder / name, lambda path, _: path.touch(), outside)
    with pytest.raises(InvalidInputError, match="is no folder"):
        check_run_folder(folder)


@pytest.mark.parametrize("name", UNKNOWN)
@pytest.mark.parametrize("kind", KINDS)
def test_unknown_names_are_ignored(name: str, kind: str, folder: Path, outside: Path):
    replace(folder / name, KINDS[kind], outside)
    check_run_folder(folder)
    assert os.path.lexists(folder / name)


@pytest.mark.parametrize("name", FILES)
def test_sizes_are_bounded(name: str, folder: Path):
    with (folder / name).open("wb") as file:
        file.truncate(2**40 + 1)  # A sparse file.
    with pytest.raises(InvalidInputError, match=r"too large: 1,099,511,627,777 bytes"):
        check_run_folder(folder)


def test_the_number_of_files_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder_walk, "MAX_ENTRIES", 20)
    for number in range(21):
        (folder / f"{number}").touch()
    with pytest.raises(InvalidInputError, match="holds more than 20 files"):
        check_run_folder(folder)


WRITES: dict[str, Callable[[Path], object]] = {
    "settings.json": lambda run: RunFolder(run).write_settings({}),
    "model.npz": lambda run: RunFolder(run).write_model({}),
    "metrics.jsonl": lambda run: append_row(
        run / "metrics.jsonl", {"step": 0, "seed": 0}
    ),
    "metrics.jsonl ": lambda run: truncate_after(run / "metrics.jsonl", {}),
    "report.html": lambda run: write_file(run / "report.html", b"page"),
    "figures/losses.svg": lambda run: atomic_write_bytes(
        run / "figures" / "losses.svg", b"page"
    ),
    "figures": lambda run: create_folder(run / "figures"),
    "history": lambda run: make_folder(run / "history"),
    CHECKPOINT: lambda run: atomic_savez(run / CHECKPOINT, {}),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("kind", list(KINDS)[:5])
@pytest.mark.parametrize("above", [False, True], ids=["the file", "its folder"])
def test_writes_follow_no_link(
    name: str, kind: str, above: bool, folder: Path, outside: Path
):
    """Also without the walk: a link could appear after it."""
    path = folder / name.strip()
    path = path.parent if above and path.parent != folder else path
    before = [*outside.iterdir()]
    replace(path, KINDS[kind], outside)
    try:
        WRITES[name](folder)
    except (OSError, InvalidInputError):
        assert path.is_symlink(), "refused"
    else:
        assert not path.is_symlink(), "the link itself was replaced"
    assert [*outside.iterdir()] == before
    assert (outside / "victim").read_text() == "precious"


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path):
    (tmp_path / "latest").symlink_to(folder)
    atomic_write_bytes(tmp_path / "latest" / "report.html", b"page")
    append_bytes(tmp_path / "latest" / "metrics.jsonl", b"line")
    atomic_savez(tmp_path / "latest" / CHECKPOINT, {})
    assert (folder / "report.html").read_bytes() == b"page"


def test_a_temporary_name_cannot_be_prepared(folder: Path):
    """Names are random, and not opened if they exist: two writers have two files."""
    with (
        atomic_write(folder / "report.html") as one,
        atomic_write(folder / "report.html") as other,
    ):
        one.write(b"one")
        other.write(b"other")
        parts = [path.name for path in folder.glob(".syntony-*")]
        assert len(parts) == 2
        assert all(map(TEMP_NAME.fullmatch, parts))
    assert (folder / "report.html").read_bytes() == b"one"
    assert not list(folder.glob(".syntony-*"))
