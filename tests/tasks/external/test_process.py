"""Environments in processes of their own: the same results, and every way to fail."""

import ast
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from syntony.errors import EnvironmentStepError, InvalidInputError
from syntony.tasks.external import process
from syntony.tasks.external.adapter import MultiAgentEnv
from syntony.tasks.external.external_env import ExternalEnv, make_env
from syntony.tasks.external.other_python import env_server
from syntony.tasks.external.process import EnvProcess
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory

pytest.importorskip("gymnasium")

HELPERS = Path(__file__).parents[2] / "helpers"
FRAGILE = f"pettingzoo:fragile_envs?python={sys.executable}"
ACTION = np.array([1, 2])


@pytest.fixture(autouse=True)
def python_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HELPERS))


@pytest.fixture
def opened() -> Iterator[list[MultiAgentEnv]]:
    envs: list[MultiAgentEnv] = []
    yield envs
    for env in envs:
        env.close()


def process_of(env: Any) -> "subprocess.Popen[bytes]":
    return env._process._process


def script(folder: Path, text: str) -> Path:
    """Program that takes the place of a Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def rollout(env: ExternalEnv) -> Trajectory:
    """Two episodes of random play, one in each of two copies."""

    def act(obs: Any, mask: Any, noise: Any, hidden: Any) -> tuple[Any, Any, Any]:
        del obs
        action = np.argmax(np.where(mask, noise, -np.inf), axis=-1)
        return action, np.zeros(action.shape, np.float32), hidden

    return env.rollout(act, (), jax.random.key(0), episodes=2, num_envs=2)


def test_the_results_are_those_of_an_environment_of_this_process():
    """Read with its spaces, masks and limit; written out by hand."""
    env = task(FRAGILE)
    assert isinstance(env, ExternalEnv)
    sizes = env.num_agents, env.num_actions, env.obs_dim, env.time_limit
    assert sizes == (2, 3, 5, 3)
    trajectory = jax.device_get(rollout(env))
    children = [process_of(x) for x in env.env_pool._idle]
    env.close()
    assert [child.returncode for child in children] == [-signal.SIGKILL] * 2
    assert trajectory.valid.all()
    assert trajectory.truncated[-1].all()
    np.testing.assert_array_equal(trajectory.obs[:, 0, 0, 0], range(4))
    seeds = trajectory.obs[0, :, 1, 1]
    for e in range(2):
        second = [[t, seeds[e], 0.0, 1.0, 0.0] for t in range(4)]
        np.testing.assert_array_equal(trajectory.obs[:, e, 1], second)
    assert not trajectory.action_mask[:, :, 0, 2].any()
    # The first action has the number 1 there.
    first = trajectory.action[..., 0] + 1.0
    np.testing.assert_array_equal(trajectory.reward[..., 0], first)
    np.testing.assert_array_equal(trajectory.reward[..., 1], 0.5)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("kill", "its process was ended by the signal SIGKILL"),
        ("leave", "its process ended with exit code 7; it printed: last [31mwords"),
        ("sleep", "its process did not answer a call in 0.5 seconds"),
        ("garble", "the answer of its process to a call cannot be read: no frame of"),
    ],
)
def test_a_process_that_fails_is_told_in_one_line_and_ended(
    fault: str, message: str, opened: list[MultiAgentEnv]
):
    env = make_env(f"{FRAGILE}&fault={fault}&timeout_s=0.5")
    opened.append(env)
    env.reset(0)
    env.step(ACTION)
    with pytest.raises(EnvironmentStepError) as raised:
        env.step(ACTION)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
    assert process_of(env).returncode is not None
    with pytest.raises(EnvironmentStepError, match="its process has ended"):
        env.reset(0)


def test_exceptions_and_output_leave_the_process_alive(opened: list[MultiAgentEnv]):
    """What the environment prints, also past Python, is no part of the protocol."""
    env = make_env(f"{FRAGILE}&fault=crash")
    opened.append(env)
    faulty: Any = env
    remote = faulty._env._env
    for fault, message in (
        ("crash", r"^it raised KeyError: 'no\\nserver' \(fragile_envs.py:\d+\)$"),
        ("exit", r"^it raised SystemExit: out of memory \(fragile_envs.py:\d+\)$"),
    ):
        with pytest.raises(EnvironmentStepError, match=message):
            getattr(remote, fault)()
    remote.chat()
    env.reset(0)
    assert env.step(ACTION).reward.tolist() == [2.0, 0.5]
    np.testing.assert_array_equal(np.asarray(env.render()), np.full((4, 6, 3), 40))


def test_closing_waits_for_a_short_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "CLOSING_TIMEOUT_S", 0.2)
    env = make_env(f"{FRAGILE}&fault=stay")
    start = time.monotonic()
    with pytest.raises(EnvironmentStepError, match="did not answer"):
        env.close()
    assert time.monotonic() - start < 10
    assert process_of(env).returncode == -signal.SIGKILL


def test_an_environment_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FRAGILE_IMPORT", "1")
    with pytest.raises(InvalidInputError) as raised:
        task(FRAGILE)
    expected = "it raised RuntimeError: the simulator has no license (fragile_envs.py:"
    assert f"{FRAGILE}: {sys.executable}: {expected}" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # Without packages.
        (
            f'exec "{sys.executable}" -I -S "$@"',
            "its process ended with exit code 1; it printed: ModuleNotFoundError: No "
            "module named 'numpy'; expected Python 3.8 or newer that has NumPy",
        ),
        (
            'exec cat "$1"',
            "the answer of its process to its start cannot be read: no frame",
        ),
        ("echo not a Python at all, indeed", "its start cannot be read: no frame of"),
        ("exit 3", "its process ended with exit code 3; expected Python 3.8"),
        ("exec sleep 60", "its process did not answer its start in 0.3 seconds"),
    ],
)
def test_a_program_that_is_no_such_python(
    tmp_path: Path, text: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    if "sleep" in text:
        monkeypatch.setattr(process, "OPENING_TIMEOUT_S", 0.3)
    path = script(tmp_path, text)
    with pytest.raises(InvalidInputError) as raised:
        task(f"pettingzoo:fragile_envs?python={path}&timeout_s=0.3")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("python=/no/python", "python=/no/python is no program; expected the absolute"),
        ("python=bin/python", "python=bin/python is no program; expected the absolute"),
        ("python=3.8", "python=3.8 is no program"),
        (f"python={sys.executable}&timeout_s=0", "timeout_s is 0; expected seconds"),
        (f"python={sys.executable}&timeout_s=true", "timeout_s is True; expected sec"),
        (f"python={sys.executable}&timeout_s=1e999", "timeout_s is inf; expected sec"),
    ],
)
def test_invalid_parameters(parameters: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        task(f"pettingzoo:fragile_envs?{parameters}")


@pytest.mark.slow
def test_no_process_is_left_when_this_one_is_killed():
    code = (
        "import os, sys\n"
        "from syntony.tasks.external.process import EnvProcess\n"
        "process = EnvProcess(sys.executable, 60.0)\n"
        "process.greet()\n"
        "print(process._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    paths = os.pathsep.join(sys.path)
    environment = os.environ | {"PYTHONPATH": paths}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    pid = int(result.stdout)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "Z" not in state_of(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def frame(header: bytes, numbers: bytes = b"", magic: bytes = b"SYN1") -> bytes:
    return struct.pack("<4sIQ", magic, len(header), len(numbers)) + header + numbers


HOSTILE = {
    "magic": frame(b"[]", magic=b"SYN2"),
    "huge": struct.pack("<4sIQ", b"SYN1", 2**31, 0),
    "no JSON": frame(b"["),
    "no text": frame(b"\xff\xfe"),
    "deep": frame(b"[" * 100_000),
    "no reply": frame(b'{"d": []}'),
    "unknown reply": frame(b'["do", "this"]'),
    "short reply": frame(b'["value"]'),
    "handle": frame(b'["object", "x", null]'),
    "tag": frame(b'["value", {"x": 1}]'),
    "two tags": frame(b'["value", {"o": 1, "t": 2}]'),
    "unhashable": frame(b'["value", {"d": [[[], 1]]}]'),
    "pairs": frame(b'["value", {"d": 3}]'),
    "dtype": frame(b'["value", {"a": ["|O", [1]]}]', b"12345678"),
    "few": frame(b'["value", {"a": ["<f8", [9]]}]', b"12345678"),
    "many": frame(b'["value", {"a": ["<f4", [1]]}]', b"12345678"),
    "negative": frame(b'["value", {"a": ["<f8", [-1]]}]'),
    "large shape": frame(b'["value", {"a": ["<f8", [0, 9999999999999999999999]]}]'),
    "space": frame(b'["value", {"s": ["Box", {"d": [["low", 1]]}]}]'),
    "space of text": frame(b'["value", {"s": ["Discrete", "n"]}]'),
}
"""Frames that do not follow the protocol, by what is wrong."""


@pytest.mark.parametrize("kind", HOSTILE)
def test_frames_that_do_not_follow_the_protocol(kind: str, tmp_path: Path):
    (tmp_path / "frames").write_bytes(frame(b'["hello", "3"]') + HOSTILE[kind])
    path = script(tmp_path, f"cat '{tmp_path}/frames'; exec sleep 20")
    process = EnvProcess(str(path), 5.0)
    process.greet()
    with pytest.raises(EnvironmentStepError, match="cannot be read: ") as raised:
        process.request({"op": "get"}, "render")
    assert "\n" not in str(raised.value)
    assert not process.kill.alive


def test_values_are_the_same_on_the_other_side():
    value = [
        *(None, True, -3, 2**70, 0.1, float("inf"), "ä\n", (1, [2.0]), {(1, "a"): {}}),
        *(np.arange(6, dtype=np.int16).reshape(2, 3), np.zeros((0, 3)), np.ones(())),
        np.array([1.5, np.nan], ">f4"),
    ]
    content = memoryview(env_server.pack(value))

    def read(size: int) -> bytes:
        nonlocal content
        part, content = bytes(content[:size]), content[size:]
        return part

    again = env_server.read_frame(read, make_space=process.make_space, resolve=int)
    assert isinstance(again, list)
    assert again[:9] == value[:9]
    for ours, theirs in zip(value[9:], again[9:], strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    assert not len(content)


def test_the_server_is_for_python_3_8_and_imports_only_numpy():
    path = Path(env_server.__file__)
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    nodes = list(ast.walk(tree))
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    names |= {str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)}
    others = {x.partition(".")[0] for x in names} - set(sys.stdlib_module_names)
    assert others == {"numpy"}
