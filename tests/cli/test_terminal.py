"""Every screen fits a terminal of 80 columns; logs say what runs, and how fast."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import pytest
from rich.cells import cell_len

from syntony.cli import main
from syntony.cli.console import make_console, make_table, print_columns, print_table
from syntony.cli.demos import demo, link, team
from syntony.cli.help_text import common_options
from syntony.cli.main import COMMANDS

COLUMNS = 80
CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TOY = ["train", "toy", "--steps", "1e3", "--eval-every", "400", "--eval-episodes", "20"]


class Terminal(io.StringIO):
    """Standard output that is a terminal of 80 by 24 characters."""

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        """What was printed, without control sequences."""
        return CONTROL_SEQUENCE.sub("", self.getvalue())

    def lines(self) -> list[str]:
        return re.split(r"[\r\n]+", self.text())

    def too_wide(self) -> list[str]:
        return [line for line in self.lines() if cell_len(line) > COLUMNS]


@contextmanager
def terminal(kind: str = "xterm") -> Iterator[Terminal]:
    """Context in which what is printed goes to a terminal of a kind."""
    output = Terminal()
    size = {"TERM": kind, "COLUMNS": str(COLUMNS), "LINES": "24"}
    # pytest sets its own standard output after the fixtures: this is the test's.
    with redirect_stdout(output), pytest.MonkeyPatch.context() as environment:
        for name, value in size.items():
            environment.setenv(name, value)
        yield output


def screen_of(*commands: list[str]) -> Terminal:
    """What commands print to a terminal, which all end without an error."""
    with terminal() as output:
        assert [main(argv) for argv in commands] == [0] * len(commands)
    return output


@pytest.mark.parametrize("command", ["", "train", *COMMANDS])
def test_help_fits(command: str):
    screen = screen_of([*command.split(), "--help"])
    assert "usage: syntony" in screen.text()
    assert not screen.too_wide()


@pytest.mark.parametrize("system", ["smpe", "qmix", "link", "air", "toy"])
def test_help_of_a_system_shows_common_options_first(system: str):
    screen = screen_of(["train", system, "--help"])
    assert not screen.too_wide()
    first, _, rest = screen.text().partition("-h, --help")
    title = re.compile(r"common options \(default\): *\n")
    # Below them is the frame of the first group.
    common = title.split(first)[1].rstrip().splitlines()[:-1]
    assert 4 <= len(common) <= 20
    flags = re.findall(r"^  (--[\w-]+)", "\n".join(common), re.MULTILINE)
    assert {"--steps", "--seeds", "--out"} <= {*flags}
    # Each of them is one of the command's options, which are listed below in groups.
    assert all(re.search(rf"{flag}\b", rest) for flag in flags)


def test_common_options_are_those_with_a_default():
    text = common_options({"steps": "9", "quiet": "", "unknown": "1"})
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["--steps", "--quiet"]


def test_screens_of_a_run_fit():
    screen = screen_of(
        [*TOY, "--seeds", "2", "--out", "a-run-whose-folder-has-a-long-name"],
        [*TOY, "--rate", "0.01", "--out", "other"],
        ["resume", "other"],
        ["watch", "other", "--once"],
        ["evaluate", "a-run-whose-folder-has-a-long-name"],
        ["compare", "a-run-whose-folder-has-a-long-name", "other"],
        ["verify", "other"],
        ["list"],
    )
    assert not screen.too_wide()
    # All listings, each below its title.
    titles = ["systems:", "tasks:", "channels:", "presets:"]
    assert [line for line in screen.lines() if line in titles] == titles


def test_a_wide_table_is_divided_between_its_columns():
    table = make_table(["SNR dB", *(f"code number {i}" for i in range(9))])
    table.add_row("-10", *(f"{i}.25e-03 (1e-3, 2e-3)" for i in range(9)))
    with terminal() as screen:
        print_table(make_console(), table)
    assert not screen.too_wide()
    text = screen.text()
    assert all(text.count(f"{i}.25e-03 (1e-3, 2e-3)") == 1 for i in range(9))
    assert text.count("SNR dB") == text.count("-10") == 3


def test_a_file_gets_a_table_in_one_piece(capsys: pytest.CaptureFixture[str]):
    table = make_table(["", *(f"column {i}" for i in range(40))])
    table.add_row("row", *map(str, range(40)))
    print_table(make_console(), table)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_identifiers_are_not_divided():
    pattern = "-".join(["x"] * 34)
    with terminal() as screen:
        print_columns([("a-name", "a text of many words " * 5), ("", f"any {pattern}")])
    assert not screen.too_wide()
    assert f"    any {pattern}\n" in screen.text()


@pytest.mark.parametrize("kind", ["dumb", "file"])
def test_a_log_says_what_runs_and_how_fast(
    kind: str, capsys: pytest.CaptureFixture[str]
):
    command = [*TOY, "--seeds", "3,4", "--out", "log"]
    if kind == "dumb":
        with terminal("dumb") as screen:
            assert main(command) == 0
        text = screen.text()
    else:
        assert main(command) == 0
        text = capsys.readouterr().out
    assert "\x1b" not in text
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[:4]] == [
        *("run", "system", "seeds", "device")
    ]
    assert lines[:3] == [
        "run     log",
        "system  toy",
        "seeds   3, 4 (1,000 steps each)",
    ]
    evaluations = [line for line in lines if line.startswith("seed ")]
    assert len(evaluations) == 8
    # The last ones were made in the middle of the training at the earliest.
    assert re.search(r"  [\d,]+ steps/s, (\d+m )?\d+s left", evaluations[-1])
    assert not [line for line in lines if cell_len(line) > COLUMNS]
    (done,) = [line for line in lines if line.startswith("done: ")]
    assert re.fullmatch(r"done: return -?\d+\.\d{3} \(mean of 2 seeds\)", done)
    assert lines[-1] == "next: syntony evaluate log"


def test_alarms_of_the_compiler_are_not_shown(monkeypatch: pytest.MonkeyPatch):
    Path("empty").mkdir()
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    main(["verify", "empty"])
    # Read by XLA when it is loaded: 3 are the messages that end the process.
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    main(["verify", "empty"])
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_texts_of_the_demo_fit():
    program = ".venv/bin/syntony"
    next_steps = demo.NEXT_STEPS.format(
        program=program, team="runs/demo/team", link="runs/demo/link"
    )
    texts = (link.INTRODUCTION, team.INTRODUCTION, next_steps)
    lines = [re.sub(r"\[/?bold\]", "", x) for text in texts for x in text.splitlines()]
    assert not [line for line in lines if cell_len(line) > 78]
