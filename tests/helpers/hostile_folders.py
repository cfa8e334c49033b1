"""Hostile run folders, and the commands that open them.

    python tests/helpers/hostile_folders.py

opens each of them by each command, in the current folder, for a tracer of system calls.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from toy_system import Toy

from syntony.cli.main import main
from syntony.errors import InvalidInputError, visible
from syntony.presets import registry as presets
from syntony.systems import registry as systems
from syntony.training.run import load

NEW = ["--out", "runs/new", "--quiet"]
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
    "verify": ["verify", "gift"],
    "train config": ["train", "--config", "gift/settings.json", *NEW],
    "train config of a folder": ["train", "--config", "gift", *NEW],
}
PYTHON: dict[str, Callable[[], object]] = {
    "load": lambda: (load("gift").states, load("gift").metrics()),
    "player": lambda: load("gift").player(),
}
"""Calls that open a run as commands do."""
READING = ("compare", "watch")
"""Commands that read settings and metrics alone, and write nothing there."""
STATES = ("train from",)
"""Commands that read settings and states alone."""
OTHERS = ("evaluate with", "train from", "render", "train")
"""Commands that open a run as `evaluate` or `resume` do."""
CONFIGS = ("train config", "train config of a folder")
"""Commands that read the settings alone, as a configuration file."""
LOGS = ("a deep row", "escapes in a metric")
"""Folders with a hostile metrics log."""
ESCAPES = "\x1b]0;title\x07\x1b[2J\x9b31m\u202edetsurt\u2066\n\r"


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
    def make() -> None:
        Path(f"gift/{name}").write_text(content)

    return make


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


IN_SETTINGS = [
    name for name in HOSTILE if name.startswith("code") or "settings" in name
]
IN_SETTINGS.append("a program")
"""Folders whose settings are hostile."""


def run_command(name: str) -> int:
    """Exit code of a command, or of a call as that of a command."""
    if name in COMMANDS:
        return main(COMMANDS[name])
    try:
        PYTHON[name]()
    except InvalidInputError as error:
        print(f"syntony: {visible(str(error))}", file=sys.stderr)
        return 2
    return 0


def make_folders(run: Path) -> None:
    """A run `own`, a copy `gift` to be made hostile, and files outside of it."""
    shutil.copytree(run, "own")
    shutil.copytree(run, "gift")
    Path("outside").mkdir()
    Path("outside/victim").write_text("precious")
    mark = os.path.abspath("outside/mark")
    for folder in ("gift", "."):
        code = f"import pathlib\npathlib.Path({mark!r}).touch()"
        (Path(folder) / "evil.py").write_text(code)


def clear_folders() -> None:
    """Deletes what `make_folders` and commands have made."""
    for name in ("own", "gift", "outside", "runs"):
        shutil.rmtree(name, ignore_errors=True)


def iter_attacks() -> Iterator[tuple[str, str]]:
    """Yields each command with each hostile folder that it is tried on."""
    for command in (*COMMANDS, *PYTHON):
        for hostile in HOSTILE:
            if command not in CONFIGS or hostile in IN_SETTINGS:
                yield command, hostile


def is_repeated(command: str, hostile: str) -> bool:
    """Whether another command that opens runs in the same way is tried on a folder."""
    return command in (*OTHERS, *CONFIGS) and hostile not in ("code beside it", *LOGS)


def open_all(run: Path, hostile: str) -> None:
    """Opens a hostile folder by each command, in a copy."""
    for command in (*COMMANDS, *PYTHON):
        make_folders(run)
        HOSTILE[hostile]()
        # Told to the tracer: what follows is of the command.
        os.path.exists(f"/attack/{command}/{hostile}")
        run_command(command)
        os.path.exists("/attack/end")
        clear_folders()


if __name__ == "__main__":
    systems.SYSTEMS["toy"] = Toy
    presets.PRESETS["toy"] = {"paper": "none"}
    presets.preset = lambda *_: Toy()
    for name in sys.argv[2:] or HOSTILE:
        open_all(Path(sys.argv[1]).absolute(), name)
