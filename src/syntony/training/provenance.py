"""Provenance of a run: versions, commit, hardware and command line; no paths."""

import os
import platform
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import jax

from syntony.training.devices import cpu_info_lines, process_cpu_count
from syntony.training.safe_io import JsonObject

PACKAGES = ("syntony", "jax", "jaxlib", "numpy", "equinox", "optax")
"""Packages whose versions are stored."""


def collect_provenance() -> JsonObject:
    """Versions, commit, hardware and command line of this process, as JSON values."""
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
    # Only the last part of each path: run folders may be published.
    return shlex.join(re.sub(r"^(--[\w-]+=)?/.*/", r"\1", arg) for arg in argv)


def _cpu_model() -> str:
    lines = cpu_info_lines()
    if not lines:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()


def _git_commit() -> str | None:
    """Commit of this source, with `-dirty` if changed; None outside its git clone."""
    source = Path(__file__).parents[1]
    if not (source.parents[1] / ".git").exists():
        # Installed elsewhere: a repository around it is another project's.
        return None
    try:
        # The clone must track this package, not only contain an installation of it.
        _git(source, "ls-files", "--error-unmatch", "errors.py")
        commit = _git(source, "rev-parse", "HEAD").strip()
        changes = _git(source, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}-dirty" if changes else commit


def _git(folder: Path, *arguments: str) -> str:
    """Output of a git command in a folder that reads alone.

    Without locks, which would disturb the user's own git commands (`git describe
    --dirty` takes one all the same), and in the repository of the folder, whatever a
    git hook or alias has set.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    result = subprocess.run(
        ["git", "--no-optional-locks", "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return result.stdout
