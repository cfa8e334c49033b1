"""A lock says who holds it, and how they ended."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from syntony.errors import InvalidInputError
from syntony.training.locks import exclusive_lock, read_exit_status, read_lock_owner


def test_a_holder_is_named_while_it_holds(tmp_path: Path):
    path = tmp_path / ".lock"
    with exclusive_lock(path):
        holder = read_lock_owner(path)
        assert holder is not None
        assert (holder.pid, holder.host) == (os.getpid(), socket.gethostname())
        assert holder.is_local()
        assert holder.is_alive()
        assert read_exit_status(path) is None
    assert read_lock_owner(path) is None
    assert read_exit_status(path) == "finished"


def test_how_a_holder_ended_is_left(tmp_path: Path):
    path = tmp_path / ".lock"
    with pytest.raises(ZeroDivisionError), exclusive_lock(path):
        raise ZeroDivisionError
    assert read_exit_status(path) == "stopped"


def test_another_process_is_refused_by_name(tmp_path: Path):
    path = tmp_path / ".lock"
    code = """
import sys
from pathlib import Path
from syntony.training.locks import held
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
        with pytest.raises(InvalidInputError, match=expected), exclusive_lock(path):
            pass
        other.kill()
        other.wait()
    # The dead hold nothing, though their name is still there.
    holder = read_lock_owner(path)
    assert holder is not None
    assert not holder.is_alive()
    with exclusive_lock(path):
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
    assert read_lock_owner(path) is None
    assert read_exit_status(path) is None
    with exclusive_lock(path):
        assert read_lock_owner(path) is not None
