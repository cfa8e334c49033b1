"""The public names: lazy, complete, and documented."""

import ast
import inspect
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import syntony

STUB = ast.parse(Path(syntony.__file__).with_suffix(".pyi").read_text())
MODULES = {
    alias.name: f"syntony.{node.module}"
    for node in STUB.body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}
ALIASES = {"AnyChannel", "EvalSamples", "Metrics", "Policy"}
"""Public types without a name and a docstring of their own."""
API_PAGES = sorted((Path(__file__).parents[1] / "docs" / "api").glob("*.md"))
API = "\n".join(page.read_text() for page in API_PAGES)
DOCUMENTED = set(re.findall(r"^::: (\S+)$", API, re.MULTILINE))
NAMES = [name for name in syntony.__all__ if name != "__version__"]


def test_every_public_name_exists_and_is_documented():
    for name in NAMES:
        public, module = getattr(syntony, name), MODULES[name]
        if name not in ALIASES:
            assert public.__name__ == name
            assert inspect.getdoc(public)
        page_has_it = {module, f"{module}.{name}"} & DOCUMENTED
        assert page_has_it, f"{module}.{name} is not in docs/api"


def test_all_names_can_be_imported_at_once():
    names: dict[str, object] = {}
    exec("from syntony import *", names)
    assert len(NAMES) > 30
    assert {*NAMES} < {*names}
    assert dir(syntony) == syntony.__all__


def test_version():
    assert syntony.__version__ == version("syntony")


def test_other_names_raise():
    with pytest.raises(AttributeError, match="Smpee"):
        syntony.Smpee  # noqa: B018  # type: ignore[attr-defined]


def test_import_is_lazy():
    code = "import sys, syntony; assert not {'jax', 'numpy', 'rich'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
