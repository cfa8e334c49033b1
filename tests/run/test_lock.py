"""A lock says who holds it, and how they ended."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from syntony.errors import BadInput
from syntony.run.lock import held, holder_of, left_as


def test_a_holder_is_named_while_it_holds(tmp_path: Path):
    path = tmp_path / ".lock"
    with held(path):
        holder = holder_of(path)
        assert holder is not None
        assert (holder.pid, holder.host) == (os.getpid(), socket.gethostname())
        assert holder.here()
        assert holder.alive()
        assert left_as(path) is None
    assert holder_of(path) is None
    assert left_as(path) == "finished"


def test_how_a_holder_ended_is_left(tmp_path: Path):
    path = tmp_path / ".lock"
    with pytest.raises(ZeroDivisionError), held(path):
        raise ZeroDivisionError
    assert left_as(path) == "stopped"


def test_another_process_is_refused_by_name(tmp_path: Path):
    path = tmp_path / ".lock"
    code = """
import sys
from pathlib import Path
from syntony.run.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        expected = f"in use by process {other.pid} on {socket.gethostname()}$"
        with pytest.raises(BadInput, match=expected), held(path):
            pass
        other.kill()
        other.wait()
    # The dead hold nothing, though their name is still there.
    holder = holder_of(path)
    assert holder is not None
    assert not holder.alive()
    with held(path):
        pass


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", '{"pid": 1}', "[" * 900, "\udcff", "x" * 2000),
        '{"pid": -1, "host": "a", "inode": 1}',
        '{"pid": 1, "host": "a\\u001b[31m", "inode": 1}',
        '{"pid": 1, "host": ["a"], "inode": 1}',
    ],
)
def test_what_says_nothing_is_nobody(text: str, tmp_path: Path):
    path = tmp_path / ".lock"
    path.write_text(text, errors="surrogateescape")
    assert holder_of(path) is None
    assert left_as(path) is None
    with held(path):
        assert holder_of(path) is not None
