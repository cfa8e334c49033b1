"""Where a run came from: versions, hardware, the command, the commit. No paths."""

import platform
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from syntony.training.devices import process_cpu_count

PACKAGES = ("syntony", "jax", "jaxlib", "numpy", "equinox", "optax")


def collect_provenance() -> dict[str, Any]:
    """Returns what a reader needs in order to repeat a run, as JSON holds it."""
    versions = {name: version(name) for name in PACKAGES}
    return {
        "versions": versions | {"python": platform.python_version()},
        "commit": _git_commit(),
        "hardware": {
            "cpu": _cpu_model(),
            "cores": process_cpu_count(),
            "devices": [device.device_kind for device in jax.local_devices()],
        },
        "command": _command_line(sys.argv),
    }


def _command_line(argv: list[str]) -> str:
    if Path(argv[0]).name == "__main__.py":
        argv = ["syntony", *argv[1:]]
    # Only the last part of a path: where a machine keeps its files is nobody's matter.
    return shlex.join(re.sub(r"^(--[\w-]+=)?/.*/", r"\1", word) for word in argv)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()


def _git_commit() -> str | None:
    """Returns the commit of this source, marked if changed; None outside its clone."""
    source = Path(__file__).parents[1]
    git = ["git", "-C", str(source)]
    describe = [*git, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        # The clone must be ours, not a project that has this package installed in it.
        subprocess.run(
            [*git, "ls-files", "--error-unmatch", "errors.py"],
            check=True,
            capture_output=True,
        )
        done = subprocess.run(describe, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
