"""The pictures in the documentation: all there; those of results as published."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
COPIES = sorted((DOCS / "images").glob("results-*.svg"))
PICTURE = re.compile(r"!\[[^\]]+\]\(([^)]+)\)")


def test_pictures_of_results_are_the_published_ones():
    assert COPIES
    for copy in COPIES:
        folder = copy.stem.removeprefix("results-")
        assert (
            copy.read_text()
            == (REPOSITORY / "results" / folder / "curves.svg").read_text()
        ), f"copy results/{folder}/curves.svg to {copy}"


def test_every_picture_exists():
    shown = 0
    for page in [REPOSITORY / "README.md", *DOCS.rglob("*.md")]:
        for name in PICTURE.findall(page.read_text()):
            shown += 1
            assert (page.parent / name).exists(), f"{page.name}: {name}"
    assert shown > 10
