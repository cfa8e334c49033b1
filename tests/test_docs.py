"""The pictures in the documentation: all there; those of results as published."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
COPIES = sorted((DOCS / "images").glob("results-*.svg"))
PUBLISHED = {path.read_text() for path in (REPOSITORY / "results").rglob("curves.svg")}
PICTURE = re.compile(r"!\[[^\]]+\]\(([^)]+)\)")


def test_pictures_of_results_are_the_published_ones():
    assert COPIES
    for copy in COPIES:
        assert copy.read_text() in PUBLISHED, f"{copy} is no curves.svg of results"


def test_every_picture_exists():
    shown = 0
    for page in [REPOSITORY / "README.md", *DOCS.rglob("*.md")]:
        for name in PICTURE.findall(page.read_text()):
            shown += 1
            assert (page.parent / name).exists(), f"{page.name}: {name}"
    assert shown > 10
