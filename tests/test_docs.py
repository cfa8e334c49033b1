"""Tests of the documentation: links, names of the glossary, code of the guides."""

import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, get_type_hints

import pytest

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
COPIES = sorted((DOCS / "images").glob("results-*.svg"))
PAGES = sorted(
    page
    for folder in (".", ".github", "docs", "results")
    for page in (REPOSITORY / folder).glob("*.md" if folder == "." else "**/*.md")
)
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
URL = re.compile(r"https?://[^\s)>\"'\]]+")
GLOSSARY = (DOCS / "glossary.md").read_text()
TABLES = [line for line in GLOSSARY.splitlines() if line.startswith("|")]
NAMES = sorted(set(re.findall(r"`([a-z_]+(?:\.\w+)+)`", "\n".join(TABLES))))


def test_figures_of_the_documentation_are_drawn_from_results(tmp_path: Path):
    sys.path.insert(0, str(REPOSITORY / "benchmarks"))
    try:
        import draw_results  # pyright: ignore[reportMissingImports]
    finally:
        sys.path.pop(0)
    names = [*draw_results.LEARNING_CURVES, *draw_results.ERROR_RATES]
    copies = {x.name: x.read_text() for x in COPIES}
    assert copies.keys() == {f"results-{name}.svg" for name in names}
    for name in ("simple-spread-3", "rware-tiny-2ag-hard"):
        drawn = draw_results.figures.save_figure(
            draw_results.draw(name), tmp_path / f"results-{name}", ["svg"]
        )
        assert drawn[0].read_text() == copies[drawn[0].name], (
            f"{drawn[0].name} is old; run python benchmarks/draw_results.py"
        )


def test_results_have_no_pictures():
    """A picture is stored once, where it is shown."""
    folder = REPOSITORY / "results"
    assert not [x for end in ("svg", "png", "gif") for x in folder.rglob(f"*.{end}")]


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yields the file and the heading of each link or figure in the repository."""
    for target in LINK.findall(CODE.sub("", page.read_text())):
        if not URL.match(target):
            name, _, heading = target.partition("#")
            yield page.parent / name if name else page, heading


def headings(page: Path) -> set[str]:
    """Headings of a page, in the form in which links name them."""
    titles = HEADING.findall(re.sub("```.*?```", "", page.read_text(), flags=re.DOTALL))
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_links_to_files_resolve():
    found = [(page, path) for page in PAGES for path, _ in links(page)]
    assert len(found) > 50
    assert not [(page.name, str(path)) for page, path in found if not path.exists()]


def test_links_to_headings_resolve():
    # The headings of the API are made of docstrings; the build of the site checks them.
    found = [
        (path, heading)
        for page in PAGES
        for path, heading in links(page)
        if heading and path.parent.name != "api"
    ]
    assert len(found) > 10
    assert not [(p.name, heading) for p, heading in found if heading not in headings(p)]


def test_pages_of_the_site_link_to_its_own_files():
    for page in DOCS.rglob("*.md"):
        for path, _ in links(page):
            assert path.resolve().is_relative_to(DOCS), f"{page.name}: {path}"


def test_addresses_of_the_project_are_those_it_declares():
    """No link points to a repository or a site of Syntony that does not exist."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = tuple(project.get("urls", {}).values())
    settings = ["mkdocs.yml", "pyproject.toml", "CITATION.cff"]
    texts = [path.read_text() for path in [*PAGES, *map(REPOSITORY.joinpath, settings)]]
    found = [url for text in texts for url in URL.findall(text)]
    assert found
    assert not [
        url
        for url in found
        if "syntony" in url.lower() and not url.startswith(declared)
    ]


@pytest.mark.parametrize("name", ["katex", "iframe-worker"])
def test_vendored_scripts_are_those_of_their_release(name: str):
    folder = DOCS / "assets" / name
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    stored = dict(line.split()[::-1] for line in lines if not line.startswith("#"))
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*.*")}
    files |= {"LICENSE": folder / "LICENSE"}
    assert {n: sha256(p.read_bytes()).hexdigest() for n, p in files.items()} == stored


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
    names: dict[str, Any] = {"__name__": "your_own_task"}
    exec(code[1], names)
    assert names["Corridor"](length=7).id == "python:your_own_task:Corridor?length=7"


def test_the_algorithm_of_the_guide_is_the_example():
    """Its code blocks, one after the other, are the file after its docstring."""
    guide = (DOCS / "how-to" / "add-an-algorithm.md").read_text()
    example = (REPOSITORY / "examples" / "your_own_algorithm.py").read_text()
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    code = example.split('"""', 2)[2]
    assert nonempty_lines("".join(blocks)) == nonempty_lines(code)


def test_the_networks_of_the_guide_are_those_of_the_example():
    guide = (DOCS / "how-to" / "networks.md").read_text()
    example = (REPOSITORY / "examples" / "your_own_networks.py").read_text()
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    assert len(blocks) == 3
    lines = nonempty_lines(example)
    assert all(line in lines for line in nonempty_lines("".join(blocks)))


def nonempty_lines(text: str) -> list[str]:
    # Without indentation: the formatter moves a block of methods to the margin.
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_every_test_that_a_promise_names_exists():
    text = (DOCS / "promises.md").read_text()
    names = re.findall(r"`(tests/[\w/]+\.py)`", text)
    assert len(names) > 10
    for name in names:
        assert (REPOSITORY / name).exists(), name
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"`make ([\w-]+)`", text):
        assert f"\n{target}:" in makefile, target
