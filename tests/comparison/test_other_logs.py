"""Logs of other libraries that are damaged or of a stranger: one line, or a table."""

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from syntony.cli.main import main
from syntony.comparison import other_logs
from syntony.comparison.other_logs import read_other_log
from syntony.errors import InvalidInputError

ESCAPES = "\x1b]0;owned\x07\u202e"
HUGE = 10**300
CONFIG = {"seed": 1, "name": "qmix", "env_args": {"key": "lbforaging:Foraging-v3"}}
METRICS = {"test_return_mean": {"steps": [0, 10], "values": [0.1, 0.5]}}
CSV = "env_step,returned_episode_returns\n"


def epymarl(config: object, metrics: object) -> Path:
    folder = Path("log")
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def table(content: str | bytes, suffix: str = ".csv") -> Path:
    path = Path(f"log{suffix}")
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def values(steps: object, returns: object) -> dict[str, object]:
    return {"test_return_mean": {"steps": steps, "values": returns}}


LOGS: dict[str, Callable[[], Path]] = {
    "EPyMARL": lambda: epymarl(CONFIG, METRICS),
    "CSV": lambda: table(f"{CSV}0,0.1\n10,0.5\n"),
    "escapes in the name": lambda: epymarl(CONFIG | {"name": ESCAPES}, METRICS),
    "escapes in the task": lambda: epymarl(
        CONFIG | {"env_args": {"key": ESCAPES}}, METRICS
    ),
    "escapes in the settings": lambda: epymarl(CONFIG | {ESCAPES: ESCAPES}, METRICS),
    "escapes in columns": lambda: table(f"{ESCAPES},b\n1,2\n"),
    "a long name": lambda: epymarl(CONFIG | {"name": "a" * 10**6}, METRICS),
    "a name that is no text": lambda: epymarl(CONFIG | {"name": [[[[]]]]}, METRICS),
    "a huge seed": lambda: epymarl(CONFIG | {"seed": 10**19}, METRICS),
    "a negative seed": lambda: epymarl(CONFIG | {"seed": -1}, METRICS),
    "a seed of text": lambda: epymarl(CONFIG | {"seed": "1"}, METRICS),
    "huge steps": lambda: epymarl(CONFIG, values([HUGE * 1.0, 1], [1, 2])),
    "negative steps": lambda: epymarl(CONFIG, values([-5, -1], [1, 2])),
    "huge returns": lambda: epymarl(CONFIG, values([0, 1], [1e308, -1e308])),
    "returns that are no list": lambda: epymarl(CONFIG, values({"a": 1}, 3)),
    "returns that are not finite": lambda: epymarl(
        CONFIG, values([0, 1], [float("nan"), float("inf")])
    ),
    "no object": lambda: epymarl([], METRICS),
    "deep": lambda: table("[" * 100_000, ".json"),
    "deep lines": lambda: table('{"a":' * 100_000, ".jsonl"),
    "no rows": lambda: table("{}", ".json"),
    "rows that are no objects": lambda: table('1\n"a"\n[]\n', ".jsonl"),
    "no text": lambda: table(b"\xff\xfe\x00"),
    "a zero byte": lambda: table(f"{CSV}\x001,2\n"),
    "a long line": lambda: table(f"{CSV}{'1' * 3_000_000},1\n"),
    "a long field": lambda: table(f"{CSV}{'1' * 200_000},1\n"),
    "a long number": lambda: table(f"{CSV}1,{'9' * 5000}\n"),
    "huge numbers of a table": lambda: table(f"{CSV}1e300,1\n0,1e308\n1,-1e308\n"),
    "many columns": lambda: table(",".join(map(str, range(20_000))) + "\n1\n"),
    "an empty file": lambda: table(""),
}
WHOLE = ("EPyMARL", "CSV")


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("options", ["", "--json", "--export out.csv"])
def test_logs_of_a_stranger(name: str, options: str, capfd: pytest.CaptureFixture[str]):
    path = LOGS[name]()
    code = main(["compare", str(path), *options.split()])
    captured = capfd.readouterr()
    assert code in (0, 2), captured.err
    assert code == 0 or name not in WHOLE, captured.err
    assert captured.err.count("\n") == (code == 2), captured.err
    assert len(captured.err) < 1500
    for line in (captured.out + captured.err).splitlines():
        assert line.isprintable(), repr(line)


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "log.csv"])
@pytest.mark.parametrize("kind", ["link", "pipe", "device"])
def test_links_and_pipes_are_refused(name: str, kind: str):
    epymarl(CONFIG, METRICS)
    Path("victim").write_text(json.dumps(CONFIG))
    path = Path(name) if name == "log.csv" else Path("log") / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else Path("victim").absolute())
    with pytest.raises(InvalidInputError) as refused:
        read_other_log(path if name == "log.csv" else path.parent)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_large_json_needs_bounded_memory():
    """Lists of nothing take the most memory for their text."""
    path = table("[" + "[],{}," * 600_000 + "0]", ".json")
    tracemalloc.start()
    with pytest.raises(InvalidInputError, match="has the columns"):
        read_other_log(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 * 2**20
    table("[" + "[],{}," * 1_000_000 + "0]", ".json")
    with pytest.raises(InvalidInputError, match="too large"):
        read_other_log(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_the_number_of_returns_is_bounded(suffix: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(other_logs, "MAX_POINTS", 3)
    row = {"env_step": 1, "returned_episode_returns": 1}
    texts = {".csv": CSV + "1,1\n" * 4, ".jsonl": (json.dumps(row) + "\n") * 4}
    path = table(texts[suffix], suffix)
    with pytest.raises(InvalidInputError, match="at most 3 returns"):
        read_other_log(path)
