"""The documentation in a real browser, opened from disk: nothing cut off or missing."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SITE = Path(__file__).parents[2] / "site"
# A server names that of a missing page by absolute paths.
PAGES = sorted(x for x in SITE.rglob("*.html") if x.name != "404.html")
if not PAGES:
    pytest.skip("needs the site: make docs", allow_module_level=True)

VIEWS = {
    "wide": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}
MAX_API_BYTES = 300_000
"""Size of a page of the API, at most."""
MEASURE = """() => ({
    broken: [...document.images].filter((x) => x.complete && !x.naturalWidth)
        .map((x) => x.src),
    errors: document.querySelectorAll(".katex-error").length,
    unrendered: [...document.querySelectorAll(".arithmatex")]
        .filter((x) => !x.querySelector(".katex")).length,
    cut: [...document.querySelectorAll("div.arithmatex")]
        .filter((x) => x.scrollWidth > x.clientWidth + 1).length,
    overflow: document.documentElement.scrollWidth - innerWidth,
    background: getComputedStyle(document.body).backgroundColor,
})"""


@pytest.mark.parametrize("view", VIEWS)
def test_pages_are_whole(browser: Any, view: str):
    page = browser.new_page(**VIEWS[view])
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda r: outside(r.url) and problems.append(r.url))
    for path in PAGES:
        page.goto(path.as_uri())
        found = page.evaluate(MEASURE)
        where = path.relative_to(SITE)
        problems += [f"{where}: no image {src}" for src in found["broken"]]
        for name in ("errors", "unrendered", *(["cut"] if view != "phone" else [])):
            if found[name]:
                problems.append(f"{where}: {found[name]} equations {name}")
        if found["overflow"] > 0:
            problems.append(f"{where}: scrolls sideways by {found['overflow']} px")
        is_dark = max(int(x) for x in channels(found["background"])) < 128
        assert is_dark == (view == "dark"), where
    assert not problems


def outside(url: str) -> bool:
    """Whether a request goes to the network."""
    return not url.startswith(("file:", "data:", "blob:"))


def channels(color: str) -> list[str]:
    """Red, green and blue of a CSS color `rgb(…)` or `rgba(…)`."""
    return color.partition("(")[2].rstrip(")").split(",")[:3]


def test_links_open_pages_by_a_click(browser: Any):
    page = browser.new_page()
    page.goto((SITE / "index.html").as_uri())
    page.get_by_role("link", name="Install", exact=True).first.click()
    page.wait_for_url("**/install.html")
    assert page.get_by_role("heading", name="Install", exact=False).first.is_visible()


def test_pages_of_the_api_are_small():
    sizes = {p.name: p.stat().st_size for p in (SITE / "api").glob("*.html")}
    assert len(sizes) > 10
    assert not {name: size for name, size in sizes.items() if size > MAX_API_BYTES}
