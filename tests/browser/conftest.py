"""Chromium, without which these tests are skipped."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright: pip install playwright"
    )
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs chromium, e.g. apt install chromium")
    with playwright.sync_playwright() as start:
        options = {"args": ["--no-sandbox", "--disable-gpu"], "headless": True}
        browser = start.chromium.launch(executable_path=chromium, **options)
        yield browser
        browser.close()
