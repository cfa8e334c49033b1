"""A log that cannot be written: the run goes on, and one line says so at the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from syntony.training.log_stream import LogStream
from syntony.training.metrics_log import read_rows

HELPERS = str(Path(__file__).parents[1] / "helpers")
TRAIN = """
import sys
from toy_system import Toy
from syntony.cli import main
import syntony
def execute():
    options = dict(steps=40, eval_every=20, eval_episodes=2)
    syntony.train(Toy(), out=sys.argv[1], **options)
execute()
"""


def test_what_cannot_be_written_is_dropped():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        log = LogStream(stream)
        for _ in range(2):
            log.write("a line\n")
            log.flush()
        assert isinstance(log.error, BrokenPipeError)
        assert log.encoding.lower().startswith("utf")
        assert not log.isatty()


@pytest.mark.parametrize("kind", ["a full disk", "a pipe without a reader"])
def test_a_run_goes_on_without_its_log(kind: str, tmp_path: Path):
    read, write = os.pipe()
    os.close(read)
    full = os.open("/dev/full", os.O_WRONLY)
    stdout = full if kind == "a full disk" else write
    result = subprocess.run(
        [sys.executable, "-c", TRAIN, str(tmp_path / "run")],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([HELPERS, *sys.path])},
        text=True,
        check=False,
    )
    os.close(write)
    os.close(full)
    assert result.returncode == 0, result.stderr
    assert "could not be written" in result.stderr
    assert [row["step"] >= 40 for row in read_rows(tmp_path / "run/metrics.jsonl")][-1]
