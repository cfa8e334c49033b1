"""`import syntony` is quick and has all public names."""

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import syntony

ALIASES = {"EvalSamples", "Metrics", "Policy"}
"""Public types without a name of their own."""


def test_every_public_name_exists():
    names = [name for name in dir(syntony) if name[0] != "_"]
    assert len(names) > 30
    for name in names:
        assert name in ALIASES or getattr(syntony, name).__name__ == name


def test_the_names_for_type_checkers_are_the_same():
    """The block for type checkers, the map of lazy imports and `__all__` agree."""
    tree = ast.parse(Path(syntony.__file__).read_text())
    imports = [
        (alias.name, node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("syntony.")
        for alias in node.names
    ]
    assert dict(imports) == syntony._MODULES
    assert sorted(syntony.__all__) == sorted(syntony._MODULES)


def test_version():
    assert syntony.__version__ == version("syntony")


def test_other_names_raise():
    with pytest.raises(AttributeError, match="no attribute 'Smpee'"):
        syntony.Smpee  # noqa: B018


def test_import_is_lazy():
    code = "import sys, syntony; assert not {'jax', 'numpy', 'rich'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
