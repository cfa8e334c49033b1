"""Studies of others: damaged or hostile folders are refused or shown, in one line."""

import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from syntony.cli.main import main
from syntony.errors import InvalidInputError
from syntony.studies import study_folder
from syntony.studies.journal import TRIAL_NAME
from syntony.studies.processes import start_process
from syntony.studies.study_folder import StudyFolder
from syntony.studies.trial import Job

from .conftest import Sweep

ESCAPES = "\x1b]0;owned\x07\u202e<b>x</b>"
COMMANDS = {
    "watch": ["watch", "study", "--once"],
    "report": ["report", "study"],
    "compare": ["compare", "study"],
}
GRID = {"rate": [0.1, 0.3]}
NAMES = ["study.json", "trials.jsonl", "search.log", ".lock", "report.html", ".shared"]
FOLDERS = ["trials", "logs", "slurm"]
INNER = ["trials/TRIAL", "logs/TRIAL.log"]
OF_RUNS = ["trials/TRIAL/metrics.jsonl", "trials/TRIAL/settings.json"]
KINDS: dict[str, Callable[[Path, Path], None]] = {
    "link to a file": lambda path, outside: path.symlink_to(outside / "victim"),
    "link to nothing": lambda path, outside: path.symlink_to(outside / "absent"),
    "link to a folder": lambda path, outside: path.symlink_to(outside),
    "link to a device": lambda path, _: path.symlink_to("/dev/zero"),
    "pipe": lambda path, _: os.mkfifo(path),
    "hole": lambda path, _: make_hole(path),
}


def make_hole(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**41)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    (path / "victim").write_text("precious")
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finished") / "study"


@pytest.fixture
def trial(sweep: Sweep, finished: Path) -> str:
    """A finished study; the name of one of its trials."""
    if not finished.exists():
        sweep(grid=GRID)
        shutil.copytree("study", finished)
        shutil.rmtree("study")
    shutil.copytree(finished, "study")
    return next(iter(StudyFolder(Path("study")).records()))


def put(name: str, kind: str, trial: str, outside: Path) -> None:
    """Puts a link, a pipe or a hole at the place of a file of the study."""
    path = Path("study") / name.replace("TRIAL", trial)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    KINDS[kind](path, outside)


def check_one_line(code: int, err: str) -> None:
    assert code == 2, err
    assert err.startswith("syntony: ")
    assert err.count("\n") == 1, err
    assert err.strip().isprintable()


def check_outside(outside: Path) -> None:
    assert [path.name for path in outside.iterdir()] == ["victim"]
    assert (outside / "victim").read_text() == "precious"


@pytest.mark.parametrize("name", [*NAMES, *FOLDERS, *INNER])
@pytest.mark.parametrize("kind", KINDS)
def test_links_pipes_and_holes_are_refused(
    name: str, kind: str, trial: str, outside: Path
):
    put(name, kind, trial, outside)
    with pytest.raises(InvalidInputError) as refused:
        StudyFolder(Path("study")).check_content()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", [*NAMES, *FOLDERS, *INNER])
@pytest.mark.parametrize(
    "kind",
    [
        "link to a folder",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in KINDS
            if kind != "link to a folder"
        ),
    ],
)
def test_no_command_opens_them(
    name: str,
    kind: str,
    trial: str,
    outside: Path,
    sweep: Sweep,
    capfd: pytest.CaptureFixture[str],
):
    put(name, kind, trial, outside)
    for argv in COMMANDS.values():
        check_one_line(main(argv), capfd.readouterr().err)
    with pytest.raises(InvalidInputError) as refused:
        sweep(grid=GRID, seeds=2)
    assert "\n" not in str(refused.value)
    check_outside(outside)


@pytest.mark.parametrize("name", OF_RUNS)
@pytest.mark.parametrize("kind", ["link to a file", "link to a device", "pipe"])
def test_links_in_the_runs_of_a_study_are_not_read(
    name: str,
    kind: str,
    trial: str,
    outside: Path,
    capfd: pytest.CaptureFixture[str],
):
    put(name, kind, trial, outside)
    journal = Path("study/trials.jsonl")
    for event in ("done", "started"):
        with journal.open("a") as file:
            file.write(json.dumps({"trial": trial, "event": event}) + "\n")
        for argv in COMMANDS.values():
            code = main(argv)
            captured = capfd.readouterr()
            assert code in (0, 2), captured.err
            assert captured.err.count("\n") <= 1
            assert "precious" not in captured.out + captured.err
    check_outside(outside)


def test_a_log_is_not_written_through_a_link(trial: str, outside: Path):
    """Also where the link appeared after the folder was checked."""
    log = Path("study/logs") / f"{trial}.log"
    log.unlink(missing_ok=True)
    log.symlink_to(outside / "victim")
    job = Job(trial, [], Path("study/trials") / trial, log, Path.cwd())
    with pytest.raises(OSError, match="log"):
        start_process(job)
    shutil.rmtree("study/logs")
    Path("study/logs").symlink_to(outside)
    with pytest.raises(OSError, match="logs"):
        start_process(job)
    check_outside(outside)


EVENTS: dict[str, object] = {
    "no object": [1],
    "an event that is no text": {"trial": "T", "event": {}},
    "an unknown event": {"trial": "T", "event": "exploded"},
    "a name that leaves the folder": {"trial": "../outside", "event": "created"},
    "infinite steps": {"trial": "T", "event": "done", "steps": float("inf")},
    "steps that are no number": {"trial": "T", "event": "done", "steps": float("nan")},
    "infinite seconds": {"trial": "T", "event": "done", "seconds": float("inf")},
    "negative seconds": {"trial": "T", "event": "done", "seconds": -1e300},
    "a long number": {"trial": "T", "event": "done", "score": 10**400},
    "an infinite score": {"trial": "T", "event": "done", "score": -float("inf")},
    "a metric of escapes": {"trial": "T", "event": "done", "metric": ESCAPES},
    "an error of escapes": {"trial": "T", "event": "failed", "error": ESCAPES * 99},
    "a system of escapes": {"trial": "X", "event": "created", "system": ESCAPES},
    "flags of escapes": {
        "trial": "T",
        "event": "created",
        "system": "smpe",
        "flags": {ESCAPES: ESCAPES, "rate": ESCAPES},
        "seeds": [0],
    },
    "seeds beyond what there is": {
        "trial": "T",
        "event": "created",
        "system": "s",
        "seeds": [-1, 10**15, "0", True, *range(15_000)],
        "flags": [],
    },
    "deep flags": {"trial": "T", "event": "created", "flags": {"a": [[[[{}]]]]}},
    "many flags": {
        "trial": "T",
        "event": "created",
        "flags": {f"flag{i}": i for i in range(5000)},
    },
    "a huge number": {"trial": "T", "event": "created", "number": 2**63},
}


def add_event(event: object, trial: str) -> None:
    text = json.dumps(event).replace('"T"', json.dumps(trial))
    with Path("study/trials.jsonl").open("a") as file:
        file.write(text + "\n" + '{"a":' * 5000 + "\n")


@pytest.mark.parametrize("name", EVENTS)
def test_events_of_a_stranger_are_shown_or_left_out(
    name: str, trial: str, sweep: Sweep, capfd: pytest.CaptureFixture[str]
):
    add_event(EVENTS[name], trial)
    for argv in COMMANDS.values():
        code = main(argv)
        captured = capfd.readouterr()
        assert code in (0, 2), captured.err
        assert captured.err.count("\n") <= 1, captured.err
        for line in (captured.out + captured.err).splitlines():
            assert line.isprintable(), repr(line)
    page = Path("study/report.html").read_text()
    assert not set(page) & set("\x1b\x07\u202e")
    assert "<b>x</b>" not in page
    sweep(grid=GRID)


STUDY_JSON = {
    "no object": "[]",
    "deep": "[" * 100_000,
    "budgets that are no list": '{"budgets": 1}',
    "huge budgets": json.dumps(
        {"budgets": [{"title": ESCAPES, "trials": 10**19, "steps": -5}]}
    ),
    "many budgets": json.dumps({"budgets": [{"title": f"a{i}"} for i in range(200)]}),
    "escapes": json.dumps({"budget_note": ESCAPES, "slots": "a"}),
}


@pytest.mark.parametrize("name", STUDY_JSON)
@pytest.mark.usefixtures("trial")
def test_study_files_of_a_stranger(name: str, capfd: pytest.CaptureFixture[str]):
    Path("study/study.json").write_text(STUDY_JSON[name])
    for argv in COMMANDS.values():
        code = main(argv)
        captured = capfd.readouterr()
        assert code in (0, 2), captured.err
        assert captured.err.count("\n") <= 1, captured.err
        for line in (captured.out + captured.err).splitlines():
            assert line.isprintable(), repr(line)


def write_journal(size: int) -> None:
    """Writes a journal of many trials, each with flags of its own."""
    with Path("study/trials.jsonl").open("w") as file:
        while file.tell() < size:
            name = f"t{file.tell()}"
            flags = {f"{name}f{i}": i for i in range(20)}
            event = {"trial": name, "event": "created", "system": "s", "flags": flags}
            done = {"trial": name, "event": "done", "score": 1.0, "metric": "eval/x"}
            file.write(f"{json.dumps(event)}\n{json.dumps(done)}\n")


@pytest.mark.parametrize("size", [2**16, pytest.param(2**18, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("trial")
def test_large_journals_need_bounded_memory(
    size: int, capfd: pytest.CaptureFixture[str]
):
    write_journal(size)
    for argv in (COMMANDS["watch"], COMMANDS["report"]):
        tracemalloc.start()
        code = main(argv)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert code in (0, 2)
        assert capfd.readouterr().err.count("\n") <= 1
        assert peak < 300 * 2**20


def test_a_study_of_too_many_trials_is_refused(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(study_folder, "MAX_TRIALS", 3)
    with pytest.raises(InvalidInputError, match="has 4 trials; expected at most 3"):
        sweep(grid={"rate": [0.1, 0.2, 0.3, 0.4]})


def test_names_of_trials_stay_in_the_folder():
    for name in ("..", ".", "a/b", "/etc", "", "a\nb", "a\x1b"):
        assert not TRIAL_NAME.fullmatch(name)
