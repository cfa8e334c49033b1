"""Modules that must not be imported when a command starts."""

import subprocess
import sys

PROGRAM = """
import sys
import syntony.cli
import syntony.training.loop
print(*sys.modules)
"""


def test_scipy_stats_is_imported_only_where_it_is_used():
    """Importing it takes half a second, of every start of every command."""
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    modules = process.stdout.split()
    assert "syntony.training.loop" in modules
    assert "scipy.stats" not in modules
