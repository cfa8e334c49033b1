"""Writes the tutorials of the documentation as notebooks, without outputs.

    python benchmarks/write_notebooks.py

Each page of `docs/tutorials` becomes a notebook beside it: its Python code is in cells,
the text between in others. Links lead to the pages of the documentation.
"""

import json
import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "tutorials"
CODE = re.compile(r"```python\n(.*?)```\n", re.DOTALL)


def main() -> None:
    """Writes all notebooks."""
    for page in sorted(FOLDER.glob("*.md")):
        page.with_suffix(".ipynb").write_text(notebook(page.read_text()))


def notebook(page: str) -> str:
    """Notebook of a page in Markdown, as JSON."""
    # Text and code alternate: the page begins and ends with text.
    parts = [part.strip() for part in CODE.split(page)]
    cells = [
        _code(text) if index % 2 else _text(text)
        for index, text in enumerate(parts)
        if text
    ]
    for index, cell in enumerate(cells):
        cell["id"] = f"cell-{index}"
    content = {
        "cells": cells,
        "metadata": {"language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def code_cells(notebook: str) -> list[str]:
    """Python code of the cells of a notebook."""
    cells = json.loads(notebook)["cells"]
    return ["".join(x["source"]) for x in cells if x["cell_type"] == "code"]


def _text(text: str) -> dict[str, object]:
    source = text.splitlines(keepends=True)
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _code(text: str) -> dict[str, object]:
    source = text.splitlines(keepends=True)
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": source,
    }


if __name__ == "__main__":
    main()
