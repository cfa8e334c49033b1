"""Strict type checks of a user's project find its mistakes, and nothing else."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent / "user_project"
MARK = "# error"


def lines_with_errors() -> set[str]:
    """`FILE:LINE` of each error that pyright reports, with the installed package."""
    command = [sys.executable, "-m", "pyright", "--project", str(PROJECT)]
    command += ["--pythonpath", sys.executable, "--outputjson"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    return {
        f"{Path(found['file']).name}:{found['range']['start']['line'] + 1}"
        for found in json.loads(process.stdout)["generalDiagnostics"]
    }


def marked_lines() -> set[str]:
    return {
        f"{path.name}:{number}"
        for path in PROJECT.glob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if line.endswith(MARK)
    }


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="pyright needs Node.js")
def test_a_users_project_passes_strict_checks():
    assert len(marked_lines()) > 5
    assert lines_with_errors() == marked_lines()
