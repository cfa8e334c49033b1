"""The documentation in a real browser, opened from disk: nothing cut off or missing."""

import json
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
    # A4 between margins of 1 cm.
    "print": {"viewport": {"width": 718, "height": 1047}, "color_scheme": "dark"},
}
MAX_API_BYTES = 300_000
"""Size of a page of the API, at most."""
CUT = {
    "wide": "div.arithmatex",
    "dark": "div.arithmatex",
    "phone": "h1",
    "print": "div.arithmatex, pre, .md-typeset__table, table",
}
"""Elements that may not scroll sideways; in print also code and tables."""
MEASURE = """() => ({
    broken: [...document.images].filter((x) => x.complete && !x.naturalWidth)
        .map((x) => x.src),
    errors: document.querySelectorAll(".katex-error").length,
    unrendered: [...document.querySelectorAll(".arithmatex")]
        .filter((x) => !x.querySelector(".katex")).length,
    cut: [...document.querySelectorAll(SELECTOR)]
        .filter((x) => x.scrollWidth > x.clientWidth + 1)
        .map((x) => x.textContent.trim().slice(0, 40)),
    overflow: document.documentElement.scrollWidth - innerWidth,
    background: getComputedStyle(document.body).backgroundColor,
})"""


@pytest.mark.parametrize("view", VIEWS)
def test_pages_are_whole(browser: Any, view: str):
    page = browser.new_page(**VIEWS[view])
    page.emulate_media(media="print" if view == "print" else "screen")
    problems: list[str] = []
    watch(page, problems)
    for path in PAGES:
        page.goto(path.as_uri())
        found = page.evaluate(MEASURE.replace("SELECTOR", json.dumps(CUT[view])))
        where = path.relative_to(SITE)
        problems += [f"{where}: no image {src}" for src in found["broken"]]
        problems += [f"{where}: cut off: {text}" for text in found["cut"]]
        for name in ("errors", "unrendered"):
            if found[name]:
                problems.append(f"{where}: {found[name]} equations {name}")
        if found["overflow"] > 0:
            problems.append(f"{where}: scrolls sideways by {found['overflow']} px")
        is_dark = max(int(x) for x in channels(found["background"])) < 128
        assert is_dark == (view == "dark"), where
    page.close()
    assert not problems


def watch(page: Any, problems: list[str]) -> None:
    """Collects errors, console messages, missing files and requests to the network."""
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda r: note_missing(r, problems))
    page.on("request", lambda r: outside(r.url) and problems.append(r.url))
    page.on(
        "console",
        lambda m: m.type in ("error", "warning") and problems.append(m.text),
    )


def note_missing(request: Any, problems: list[str]) -> None:
    """Notes a file that is not there, but not one that the next page interrupted."""
    if request.failure != "net::ERR_ABORTED":
        problems.append(f"missing: {request.url}")


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


@pytest.mark.parametrize(
    ("words", "found"),
    [("resume", "guide/runs"), ("install", "install"), ("QMIX", "algorithms/qmix")],
)
def test_search_finds_pages_from_disk(browser: Any, words: str, found: str):
    page = browser.new_page()
    problems: list[str] = []
    watch(page, problems)
    page.goto((SITE / "theory" / "link.html").as_uri())
    page.keyboard.press("Control+k")
    page.keyboard.type(words)
    page.get_by_text("results", exact=False).first.wait_for()
    page.wait_for_timeout(1000)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{found}.html*")
    page.close()
    assert not problems


def test_pages_of_the_api_are_small():
    sizes = {p.name: p.stat().st_size for p in (SITE / "api").glob("*.html")}
    assert len(sizes) > 10
    assert not {name: size for name, size in sizes.items() if size > MAX_API_BYTES}
