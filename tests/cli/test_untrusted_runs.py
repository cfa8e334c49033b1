"""Hostile run folders: no command runs code of one, or leaves it, or hangs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hostile_folders import (
    COMMANDS,
    ESCAPES,
    HOSTILE,
    LOGS,
    READING,
    STATES,
    is_repeated,
    iter_attacks,
    make_folders,
    run_command,
    settings_with,
)
from toy_system import Toy

from syntony.cli.main import main
from syntony.systems import registry as systems
from syntony.training.loop import train

# The settings are edited: reports and tables warn of that, as they should.
pytestmark = pytest.mark.filterwarnings("ignore:.*settings.json was changed after")
OPENED: list[tuple[str, str]] | None = None
"""Events of the interpreter while a test listens: opened and changed files."""
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")
FORBIDDEN = (
    "subprocess.Popen",
    "socket.connect",
    "os.system",
    "os.exec",
    "pickle.find",
)


def listen(event: str, arguments: tuple[Any, ...]) -> None:
    if OPENED is None or not (event == "open" or event in (*CHANGES, *FORBIDDEN)):
        return
    path = arguments[0] if arguments else ""
    if event == "subprocess.Popen" and path == "git":
        # Asked for the commit of this source.
        return
    OPENED.append((event, os.fsdecode(path) if isinstance(path, str | bytes) else ""))


sys.addaudithook(listen)


@contextmanager
def listening() -> Iterator[list[tuple[str, str]]]:
    """Yields the list of events within the context."""
    global OPENED
    OPENED = events = []
    try:
        yield events
    finally:
        OPENED = None


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(systems.SYSTEMS, "toy", Toy)
        train(Toy(), steps=40, eval_every=20, eval_episodes=2, out=path, quiet=True)
    return path


@pytest.fixture(autouse=True)
def folders(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run `own`, a copy `gift` to be made hostile, and files outside of it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    make_folders(run)
    monkeypatch.setattr("sys.path", [*sys.path])
    sys.modules.pop("evil", None)


def check(code: int, captured: Any, opened: list[tuple[str, str]]) -> None:
    assert code == 2, captured.err
    assert captured.err.startswith("syntony: ")
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.strip().isprintable()
    assert Path("outside/victim").read_text() == "precious"
    assert [path.name for path in Path("outside").iterdir()] == ["victim"]
    assert not [event for event, _ in opened if event in FORBIDDEN]
    here = Path.cwd()
    # A name without a folder is relative to the descriptor of one that was opened.
    paths = [here / name for event, name in opened if event == "open" and "/" in name]
    inner = [path.relative_to(here) for path in paths if path.is_relative_to(here)]
    assert {path.parts[0] for path in inner if path.parts} <= {
        "gift",
        "own",
        "state",
        "runs",
    }


@pytest.mark.parametrize(
    ("command", "hostile"),
    [
        pytest.param(*x, marks=pytest.mark.slow if is_repeated(*x) else ())
        for x in iter_attacks()
    ],
)
def test_hostile_folders_are_refused(
    command: str, hostile: str, capfd: pytest.CaptureFixture[str]
):
    HOSTILE[hostile]()
    before = Path("outside/victim").stat().st_mtime_ns
    with listening() as opened:
        code = run_command(command)
    captured = capfd.readouterr()
    names_code = hostile.startswith("code") or hostile == "a program"
    needs_no_code = names_code and command in (*READING, "report", "figures")
    if needs_no_code or (hostile in LOGS and command in STATES):
        # What needs no code, or not that file, is shown.
        assert code == 0, captured.err
        code, captured = 2, captured._replace(err="syntony: as expected\n")
    check(code, captured, opened)
    assert Path("outside/victim").stat().st_mtime_ns == before


def test_a_report_tells_what_is_missing(capfd: pytest.CaptureFixture[str]):
    HOSTILE["code beside it"]()
    assert main(["report", "gift"]) == 0
    out = capfd.readouterr().out
    assert "gift: only logged metrics are shown; gift names code and was not" in out
    assert "python:evil:f; where you know that code, add --trust" in out
    assert "add --trust" in Path("gift/report.html").read_text()
    assert main(["figures", "gift"]) == 0
    assert "add --trust" in capfd.readouterr().out


def test_trust_is_said_on_the_command_line(capfd: pytest.CaptureFixture[str]):
    HOSTILE["code beside it"]()
    assert main(["evaluate", "gift", "--trust"]) == 2
    assert "evil" in capfd.readouterr().err
    assert Path("outside/mark").exists(), "the module was imported"


@pytest.mark.parametrize(("answer", "imported"), [("y\n", True), ("\n", False)])
def test_a_question_on_a_terminal(
    answer: str,
    imported: bool,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    HOSTILE["code beside it"]()
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert main(["evaluate", "gift"]) == 2
    err = capfd.readouterr().err
    assert "this machine: python:evil:f;" in err
    assert "Use this code? [y/N]" in err
    assert Path("outside/mark").exists() == imported


TEXTS = {
    "settings": settings_with(preset=ESCAPES, command=ESCAPES, commit=ESCAPES),
    "name": lambda: Path("gift").rename(f"gift{ESCAPES[:-2]}") and None,
}


@pytest.mark.parametrize("where", TEXTS)
@pytest.mark.parametrize(
    "command", ["evaluate", "report", "figures", "compare", "watch"]
)
def test_texts_of_a_folder_are_visible(
    where: str, command: str, capfd: pytest.CaptureFixture[str]
):
    TEXTS[where]()
    (name,) = (str(path) for path in Path().glob("gift*"))
    main([name if word == "gift" else word for word in COMMANDS[command]])
    captured = capfd.readouterr()
    for line in (captured.out + captured.err).splitlines():
        assert line.isprintable(), repr(line)
    pages = [path.read_text() for path in Path().glob("gift*/*.html")]
    for page in pages:
        assert not set(page) & set("\x1b\x07\x9b\u202e\u2066")
