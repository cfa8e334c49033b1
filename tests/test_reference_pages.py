"""The generated pages of the documentation are current, and complete."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from syntony.evaluation.metric_info import METRICS

ROOT = Path(__file__).parents[1]
BEGINNINGS = {"eval/return", "eval/return_mean_agent_"}
"""Beginnings of names; the page describes those that go on with a number."""


def test_pages_are_those_that_are_generated():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        from write_reference import (  # pyright: ignore[reportMissingImports]
            FOLDER,
            pages,
        )
    finally:
        sys.path.pop(0)
    for name, text in pages().items():
        assert (FOLDER / name).read_text() == text, (
            f"{name} is old; run python benchmarks/write_reference.py"
        )


def logged_names() -> Iterator[str]:
    """Yields the metrics that the code names: constants that begin as keys do."""
    for path in (ROOT / "src" / "syntony").rglob("*.py"):
        if path.name == "metric_info.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Constant(str(text)) if text.startswith(("eval/", "train/")):
                    yield text


def test_every_logged_metric_is_described():
    names = {name for name in logged_names() if name.partition("/")[2].isidentifier()}
    assert len(names) > 15
    assert names - BEGINNINGS == {*METRICS}
