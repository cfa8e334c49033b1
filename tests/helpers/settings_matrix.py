"""Runs every command on every system with and without JAX_ENABLE_X64=1.

    python tests/helpers/settings_matrix.py

prints a table, system by command, of whether the numbers are the same. For one system
it starts itself twice, as JAX's settings are those of a process.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import numpy as np

import syntony
from syntony.cli import main
from syntony.training import metrics_log

TEAM = ["--task", "Foraging-2s-5x5-2p-1f-coop?time_limit=5", "--num-envs", "2"]
LINK = ["--messages", "4", "--uses", "1", "--batch-size", "16", "--snr-db", "5"]
SYSTEMS: dict[str, list[str]] = {
    **{name: [name, *TEAM] for name in ("smpe", "maa2c", "mappo", "ia2c", "ippo")},
    **{
        name: [name, *TEAM, "--buffer-size", "8", "--batch-size", "2"]
        for name in ("qmix", "vdn")
    },
    "air": ["air", "--task", "probe-cue?cues=2", "--num-envs", "2"],
    "link": ["link", *LINK],
    "link spsa": ["link", *LINK, "--gradient", "spsa"],
    "link backprop": ["link", *LINK, "--gradient", "backprop"],
    "link gaussian": ["link", *LINK, "--receiver", "gaussian"],
    "link rayleigh": ["link", *LINK, "--channel", "rayleigh"],
}
"""Arguments of `train` for every system, and for every gradient and receiver."""
FAST_COMPILATION = {
    "XLA_FLAGS": "--xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true --xla_cpu_use_fusion_emitters=false",
    # The second process finds the programs of the first, if they are the same.
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}
"""Environment in which little time goes to the compiler."""
SMALL = ["--hidden", "8", "--eval-episodes", "4", "--quiet"]


def array_hash(arrays: Mapping[str, np.ndarray]) -> str:
    """Hash of arrays, with their names and types, without wall-clock times."""
    digest = hashlib.sha256()
    for name in sorted(arrays.keys() - {"wall_s", "sha256"}):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """Hash of the arrays of a file."""
    with np.load(path) as file:
        return array_hash(dict(file))


def run_numbers(run: Path) -> object:
    """Rows, checkpoints and weights of a run, without wall-clock times."""
    rows = [
        {name: value for name, value in row.items() if name != "wall_s"}
        for row in metrics_log.read_rows(run / "metrics.jsonl")
    ]
    files = [*sorted(run.glob("checkpoints/*.npz")), run / "model.npz"]
    hashes = {path.name: file_hash(path) for path in files}
    return [sorted(rows, key=lambda row: (row["seed"], row["step"])), hashes]


def output_of(argv: list[str]) -> object:
    """Exit code and output of a command, without times."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = main(argv)
    return [
        code,
        re.sub(r"\d+\.\d s|\"wall_s\": [0-9.]+|\d+s", "TIME", output.getvalue()),
    ]


def command_results(
    folder: Path, train_args: list[str]
) -> Iterator[tuple[str, object]]:
    """Yields every command, and from Python every call, with its numbers."""
    is_link = train_args[0] == "link"
    steps = ("20", "30") if is_link else ("20", "40")
    run = str(folder / "run")
    flags = [*train_args, *SMALL, "--steps", steps[0], "--eval-every", "10"]
    code = output_of(["train", *flags, "--seeds", "2", "--out", run])
    yield "train", [code, run_numbers(folder / "run")]
    code = output_of(["resume", run, "--steps", steps[1], "--quiet"])
    yield "resume", [code, run_numbers(folder / "run")]
    limits = ["--max-blocks", "2000"] if is_link else ["--episodes", "4"]
    yield "evaluate", output_of(["evaluate", run, "--json", *limits])
    if not is_link:
        yield "render", output_of(["render", run, "--episodes", "1"])
    yield "figures", output_of(["figures", run])
    yield "report", output_of(["report", run])
    yield "compare", output_of(["compare", run, "--json"])
    code = output_of(["check", train_args[0], "--json"])
    yield "check", code
    yield from python_results(run, is_link)


def python_results(run: str, is_link: bool) -> Iterator[tuple[str, object]]:
    """Yields every call on a run with its numbers."""
    loaded = syntony.load(run)
    samples = loaded.evaluate(episodes=4)
    yield (
        "load",
        array_hash({f"{s}{n}": x for s in samples for n, x in samples[s].items()}),
    )
    if is_link:
        sent = loaded.transmit(np.arange(4))
        yield "transmit", array_hash({"x": sent, "p": loaded.receive(sent)})
    trained = syntony.train(
        loaded.system, steps=10, seeds=[3], eval_episodes=2, out=f"{run}2", quiet=True
    )
    yield "train()", run_numbers(trained.path)


def results_of(name: str, folder: Path, *, x64: bool) -> dict[str, object]:
    """Numbers of every command on a system, in a process of its own.

    Raises:
        subprocess.CalledProcessError: a command raised an exception.
    """
    folder.mkdir(parents=True)
    argv = [sys.executable, __file__, *SYSTEMS[name]]
    env = os.environ | FAST_COMPILATION | {"JAX_ENABLE_X64": str(int(x64))}
    env["JAX_COMPILATION_CACHE_DIR"] = str(folder.parent / "programs")
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def differences(name: str, folder: Path) -> dict[str, str]:
    """By command "same", or what differs with and without JAX_ENABLE_X64."""
    one = results_of(name, folder / "32", x64=False)
    other = results_of(name, folder / "64", x64=True)
    assert one.pop("x64") is False
    assert other.pop("x64") is True
    assert one.keys() == other.keys()
    return {x: "same" if one[x] == other[x] else "DIFFERS" for x in one}


def print_matrix() -> None:
    """Prints a table of system by command."""
    with tempfile.TemporaryDirectory() as folder:
        for index, name in enumerate(SYSTEMS):
            row = differences(name, Path(folder, str(index)))
            cells = ", ".join(f"{command} {value}" for command, value in row.items())
            print(f"{name:15} {cells}", flush=True)


if __name__ == "__main__":
    if arguments := sys.argv[1:]:
        has_x64 = jax.config.values["jax_enable_x64"]
        results = {"x64": has_x64, **dict(command_results(Path(), arguments))}
        print(json.dumps(results))
    else:
        print_matrix()
