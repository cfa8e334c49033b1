"""Hostile run folders: no command runs code of one, or leaves it, or hangs."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from toy_system import Toy

from syntony.cli.main import main
from syntony.systems import registry as systems
from syntony.training.loop import train

COMMANDS = {
    "evaluate": ["evaluate", "gift", "--episodes", "1"],
    "evaluate with": ["evaluate", "own", "--with", "gift", "--episodes", "1"],
    "resume": ["resume", "gift", "--steps", "60", "--quiet"],
    "train": ["train", "toy", "--out", "gift", "--steps", "60", "--quiet"],
    "train from": ["train", "toy", "--from", "gift", "--steps", "1", "--quiet"],
    "report": ["report", "gift"],
    "figures": ["figures", "gift"],
    "render": ["render", "gift"],
    "compare": ["compare", "own", "gift"],
    "watch": ["watch", "gift", "--once"],
}
READING = ("compare", "watch")
"""Commands that read settings and metrics alone, and write nothing there."""
STATES = ("train from",)
"""Commands that read settings and states alone."""
OTHERS = ("evaluate with", "train from", "render", "train")
"""Commands that open a run as `evaluate` or `resume` do."""
LOGS = ("a deep row", "escapes in a metric")
"""Folders with a hostile metrics log."""
ESCAPES = "\x1b]0;title\x07\x1b[2J\x9b31m\u202edetsurt\u2066\n\r"
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
    shutil.copytree(run, "own")
    shutil.copytree(run, "gift")
    Path("outside").mkdir()
    Path("outside/victim").write_text("precious")
    mark = str(tmp_path / "outside" / "mark")
    for folder in ("gift", "."):
        code = f"import pathlib\npathlib.Path({mark!r}).touch()"
        (Path(folder) / "evil.py").write_text(code)
    monkeypatch.setattr("sys.path", [*sys.path])
    sys.modules.pop("evil", None)


def settings_with(**entries: object) -> Callable[[], None]:
    def change() -> None:
        path = Path("gift/settings.json")
        settings = json.loads(path.read_text())
        path.write_text(json.dumps(settings | entries))

    return change


def link(name: str, target: str) -> Callable[[], None]:
    def make() -> None:
        path = Path("gift") / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(exist_ok=True, parents=True)
        path.symlink_to(Path(target).absolute())

    return make


def text(name: str, content: str) -> Callable[[], None]:
    return lambda: Path(f"gift/{name}").write_text(content) and None


def pipe(name: str) -> Callable[[], None]:
    def make() -> None:
        Path(f"gift/{name}").unlink(missing_ok=True)
        os.mkfifo(f"gift/{name}")

    return make


HOSTILE = {
    "code of the folder": settings_with(system="python:gift.evil:f"),
    "code beside it": settings_with(system="python:evil:f"),
    "code as a task": settings_with(system="maa2c", task={"id": "pettingzoo:evil"}),
    "code as a channel": settings_with(system="link", channel={"id": "python:evil:f"}),
    "a program": settings_with(
        system="maa2c", task={"id": "pettingzoo:evil?python=/bin/sh"}
    ),
    "links to a file": link("report.html", "outside/victim"),
    "links to nothing": link("metrics.jsonl", "outside/absent"),
    "links to a folder": link("figures", "outside"),
    "links within figures": link("figures/losses.svg", "outside/victim"),
    "links within tensorboard": link("tensorboard/seed-0", "outside"),
    "links to checkpoints": link("checkpoints", "outside"),
    "links to settings": link("settings.json", "own/settings.json"),
    "links to the lock": link(".lock", "outside/victim"),
    "a pipe": pipe("metrics.jsonl"),
    "a pipe as settings": pipe("settings.json"),
    "deep settings": text("settings.json", "[" * 100_000),
    "nested settings": text(
        "settings.json",
        '{"system": "toy", "settings": ' + '{"a":' * 900 + "1" + "}" * 901,
    ),
    "a deep row": text("metrics.jsonl", '{"a":' * 100_000 + "\n"),
    "escapes in a metric": text(
        "metrics.jsonl",
        json.dumps({"step": 0, "seed": 0, f"eval/{ESCAPES}": 1.0}) + "\n",
    ),
}


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
        (command, hostile)
        for command in COMMANDS
        for hostile in HOSTILE
        if command not in OTHERS or hostile in ("code beside it", *LOGS)
    ],
)
def test_hostile_folders_are_refused(
    command: str, hostile: str, capfd: pytest.CaptureFixture[str]
):
    HOSTILE[hostile]()
    before = Path("outside/victim").stat().st_mtime_ns
    with listening() as opened:
        code = main(COMMANDS[command])
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
