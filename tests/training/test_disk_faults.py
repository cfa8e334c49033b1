"""Every write of a small run fails once, and the power is cut after every write."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faulty_disk import Write, clear, faulty_disk, replay
from toy_system import Toy

from syntony.errors import InvalidInputError
from syntony.training.loop import train
from syntony.training.run import load
from syntony.training.run_folder import RunFolder
from syntony.training.signals import SaveError
from syntony.training.verification import verify_run

AssertSame = Callable[[Path, Path, range], None]
CRASH = (pytest.mark.slow, pytest.mark.crash)
EVALUATIONS: dict[str, Any] = {"steps": 40, "eval_every": 20, "eval_episodes": 2}


def train_toy(path: Path) -> None:
    """Three evaluations: at the start, in the middle and at the end."""
    train(Toy(), out=path, quiet=True, **EVALUATIONS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "run"
    train_toy(path)
    return path


@pytest.fixture(scope="module")
def writes(tmp_path_factory: pytest.TempPathFactory) -> list[Write]:
    """All changes of the disk by the run, in order."""
    folder = tmp_path_factory.mktemp("recorded")
    with faulty_disk(folder) as disk:
        train_toy(folder / "run")
    return disk.writes


def check_fault(number: int, error: int, path: Path) -> str:
    """Trains with one call that fails; returns what it was to change."""
    with faulty_disk(path.parent, number, error) as disk:
        try:
            train_toy(path)
        except (SaveError, InvalidInputError) as raised:
            message = str(raised)
            assert "\n" not in message
            assert str(path) in message
        else:
            # What a lock file says is of no importance, and a new folder that cannot be
            # synced is told by the first write into it.
            before = disk.writes[number - 1].kind
            assert ".lock" in disk.failed or before == "mkdir", disk.failed
    return disk.failed


def check_whole(path: Path) -> None:
    """The newest saved state opens, and whatever is there is undamaged."""
    if not RunFolder(path).contains_run():
        return
    run = load(path, system=Toy())
    if list(path.glob("checkpoints/*.npz")):
        assert run.states
    assert not list(path.rglob("*.part"))


@pytest.mark.parametrize(
    ("error", "every"),
    [
        (errno.ENOSPC, 7),
        *(
            pytest.param(error, 1, marks=CRASH)
            for error in (errno.ENOSPC, errno.EIO, errno.EPIPE)
        ),
    ],
)
def test_a_call_that_fails_loses_nothing(
    error: int,
    every: int,
    writes: list[Write],
    whole: Path,
    tmp_path: Path,
    assert_same_run: AssertSame,
):
    path = tmp_path / "run"
    failed = [
        check_fault_and_resume(number, error, path, whole, assert_same_run)
        for number in range(0, len(writes), every)
    ]
    assert all(failed), "each call was reached"


def check_fault_and_resume(
    number: int, error: int, path: Path, whole: Path, assert_same_run: AssertSame
) -> str:
    failed = check_fault(number, error, path)
    check_whole(path)
    train_toy(path)
    assert_same_run(whole, path, range(1))
    assert not verify_run(path).problems, failed
    clear(path)
    return failed


@pytest.mark.parametrize(
    "every", [7, pytest.param(1, marks=CRASH)], ids=["some", "all"]
)
@pytest.mark.parametrize("only_synced", [True, False], ids=["synced", "written"])
def test_a_power_cut_loses_nothing(
    every: int,
    only_synced: bool,
    writes: list[Write],
    whole: Path,
    tmp_path: Path,
    assert_same_run: AssertSame,
):
    """After every prefix of the writes the same command ends with the same bits."""
    path = tmp_path / "run"
    for number in range(0, len(writes) + 1, every):
        replay(writes[:number], tmp_path, only_synced=only_synced)
        check_whole_or_partial(path)
        train_toy(path)
        assert_same_run(whole, path, range(1))
        assert not verify_run(path).problems, number
        clear(path)


def check_whole_or_partial(path: Path) -> None:
    """As `check_whole`; a power cut also leaves temporary files."""
    if RunFolder(path).contains_run() and list(path.glob("checkpoints/*.npz")):
        assert load(path, system=Toy()).states


def test_the_record_has_every_kind_of_change(writes: list[Write]):
    kinds = {write.kind for write in writes}
    assert kinds == {"create", "write", "sync", "rename", "unlink", "mkdir"}
    names = {Path(write.target).name for write in writes if write.target}
    assert {"settings.json", "model.npz"} <= names
