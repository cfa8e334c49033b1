"""Tests of the documentation: figures, names of the glossary, code of the guides."""

import importlib
import re
from pathlib import Path
from typing import get_type_hints

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
COPIES = sorted((DOCS / "images").glob("results-*.svg"))
PUBLISHED = {path.read_text() for path in (REPOSITORY / "results").rglob("curves.svg")}
FIGURE = re.compile(r"!\[[^\]]+\]\(([^)]+)\)")
GLOSSARY = (DOCS / "glossary.md").read_text()
TABLES = [line for line in GLOSSARY.splitlines() if line.startswith("|")]
NAMES = sorted(set(re.findall(r"`([a-z_]+(?:\.\w+)+)`", "\n".join(TABLES))))


def test_figures_of_results_are_the_published_ones():
    assert COPIES
    for copy in COPIES:
        assert copy.read_text() in PUBLISHED, f"{copy} is no curves.svg of results"


def test_every_figure_exists():
    count = 0
    for page in [REPOSITORY / "README.md", *DOCS.rglob("*.md")]:
        for name in FIGURE.findall(page.read_text()):
            count += 1
            assert (page.parent / name).exists(), f"{page.name}: {name}"
    assert count > 10


def test_every_name_of_the_glossary_exists():
    assert len(NAMES) > 100
    assert not [name for name in NAMES if not exists(name)]


def exists(name: str) -> bool:
    """Whether a name, or the field of a class, is defined in `syntony`."""
    *path, last = name.split(".")
    owner, members = import_longest_module(path)
    for member in members:
        owner = getattr(owner, member)
    return hasattr(owner, last) or last in get_type_hints(owner)


def import_longest_module(path: list[str]) -> tuple[object, list[str]]:
    """The module that a dotted path begins with, and the rest of the path."""
    for length in range(len(path), 0, -1):
        try:
            module = importlib.import_module(".".join(["syntony", *path[:length]]))
        except ModuleNotFoundError:
            continue
        return module, path[length:]
    raise AssertionError(f"no module syntony.{path[0]}")


def test_the_task_of_the_guide_is_that_of_the_example():
    guide = (DOCS / "guide" / "own-task.md").read_text()
    example = (REPOSITORY / "examples" / "your_own_task.py").read_text().splitlines()
    code = re.search(r"```python\n(.*?)```", guide, re.DOTALL)
    assert code is not None
    assert not [line for line in code[1].splitlines() if line not in example]
