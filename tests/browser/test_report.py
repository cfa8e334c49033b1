"""A report in a real browser: no error, no request, and all of it by mouse and keys."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_runs as trained

from syntony.report.page import write_report

pytestmark = pytest.mark.slow
playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install playwright"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
if CHROMIUM is None:
    pytest.skip("needs chromium, e.g. apt install chromium", allow_module_level=True)

SIZES = {"wide": (1280, 900), "phone": (390, 844)}
LOCAL = ("file:", "data:", "blob:")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    runs = [
        trained.team(folder / "<img src=x onerror=alert(1)>"),
        trained.plain_team(folder / "plain"),
        trained.link(folder / "link"),
    ]
    return write_report(runs, folder / "report.html")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as start:
        options = {"args": ["--no-sandbox", "--disable-gpu"], "headless": True}
        browser = start.chromium.launch(executable_path=CHROMIUM, **options)
        yield browser
        browser.close()


class Watched:
    """An open page, and what went wrong on it."""

    def __init__(
        self, browser: Any, file: Path, size: str = "wide", theme: str = "light"
    ):
        width, height = SIZES[size]
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            accept_downloads=True,
        )
        self.page = self.context.new_page()
        self.troubles: list[str] = []
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("dialog", lambda dialog: self.troubles.append(dialog.message))
        self.page.on("console", self._heard)
        self.page.on("request", self._asked)
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("html[data-ready=yes]", timeout=120_000)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(LOCAL):
            self.troubles.append(request.url)


@pytest.fixture(scope="module")
def shared(browser: Any, file: Path) -> Iterator[Watched]:
    watched = Watched(browser, file)
    yield watched
    watched.context.close()


@pytest.fixture
def opened(shared: Watched) -> Iterator[Watched]:
    """Yields the page with its player at the start; it takes long to open a new one."""
    player = shared.page.locator(".player").first
    player.get_by_label("agent 1", exact=True).check()
    player.locator(".stage").press("Home")
    yield shared
    assert shared.troubles == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_looks_right(
    browser: Any, file: Path, tmp_path: Path, size: str, theme: str
):
    watched = Watched(browser, file, size, theme)
    page = watched.page
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= SIZES[size][0], "nothing is wider than the screen"
    drawn = page.locator(".js-plotly-plot .main-svg").count()
    assert drawn >= page.locator("figure").count()
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    pixels = playwright_pixels(tmp_path / "page.png")
    assert (pixels[0, :5].mean() < 0.5) == (theme == "dark")
    # Text stands out from what is behind it.
    assert pixels.std() > 0.05
    watched.context.close()
    assert watched.troubles == []


def playwright_pixels(path: Path) -> np.ndarray:
    from matplotlib import image

    return image.imread(path)[..., :3]


def until(true: Callable[[], bool]) -> None:
    """Waits; Playwright's own way would have the page evaluate text, which it forbids.

    Raises:
        AssertionError: it never came true.
    """
    for _ in range(200):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("it never came true")


def step_of(page: Any) -> str:
    return page.locator(".player output").first.inner_text()


def paused_midway(page: Any) -> str:
    """Plays and pauses; returns where. A busy machine may hear a click at the end only.

    Raises:
        AssertionError: it never stopped before the end.
    """
    player = page.locator(".player").first
    play = player.get_by_role("button", name="Play")
    pause = player.get_by_role("button", name="Pause")
    last = player.locator("input[type=range]").get_attribute("max")
    for _ in range(20):
        player.locator(".stage").press("Home")
        play.click()
        until(lambda: int(step_of(page).split()[1]) >= 2)
        # Not by its name: where the episode has ended, this plays it once more.
        player.locator("[data-do=play]").click()
        if pause.count():
            pause.click()
        elif not step_of(page).startswith(f"step {last} of "):
            return step_of(page)
    raise AssertionError("it never stopped before the end")


def test_the_player_by_mouse(opened: Watched):
    page, player = opened.page, opened.page.locator(".player").first
    assert step_of(page).startswith("step 0 of ")
    before = player.locator(".board svg").inner_html()
    player.get_by_label("One step forward").click()
    assert step_of(page).startswith("step 1 of ")
    assert player.locator(".board svg").inner_html() != before
    player.get_by_label("One step back").click()
    assert step_of(page).startswith("step 0 of ")
    assert player.locator(".board svg").inner_html() == before
    windows = player.locator(".lens").first.inner_text()
    player.get_by_label("agent 2", exact=True).click()
    assert player.locator(".lens").first.inner_text() != windows
    stopped = paused_midway(page)
    page.wait_for_timeout(1000)
    assert step_of(page) == stopped
    slider = player.locator("input[type=range]")
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    assert step_of(page).startswith(f"step {slider.get_attribute('max')} of ")


def test_the_player_by_keys(opened: Watched):
    page, player = opened.page, opened.page.locator(".player").first
    player.locator(".stage").focus()
    page.keyboard.press("ArrowRight")
    assert step_of(page).startswith("step 1 of ")
    page.keyboard.press("End")
    last = player.locator("input[type=range]").get_attribute("max")
    assert step_of(page).startswith(f"step {last} of ")
    page.keyboard.press("ArrowLeft")
    assert step_of(page).startswith(f"step {int(last or 0) - 1} of ")
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    play = player.locator("[data-do=play]")
    assert play.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Space")
    assert play.get_attribute("aria-pressed") == "false"
    # Agents are one group: arrow keys choose among them.
    player.locator("input[type=radio]").first.focus()
    page.keyboard.press("ArrowRight")
    assert player.locator("input[type=radio]").nth(1).is_checked()


def test_the_slider_of_a_constellation_by_keys(opened: Watched):
    page = opened.page
    figure = page.locator("figure", has_text="What is sent").last
    said, slider = figure.locator("output"), figure.locator("input[type=range]")
    assert said.inner_text() == "40"
    first_x = "(figure) => figure.querySelector('.plot').data[0].x[0]"
    end = figure.evaluate(first_x)
    slider.focus()
    page.keyboard.press("Home")
    assert said.inner_text() == "0"
    assert figure.evaluate(first_x) != end
    page.keyboard.press("ArrowRight")
    assert said.inner_text() == "10"
    figure.get_by_role("button", name="Play").click()
    until(lambda: said.inner_text() == "40")


@pytest.mark.parametrize("form", ["SVG", "PNG"])
def test_figures_are_downloaded(opened: Watched, form: str, tmp_path: Path):
    page = opened.page
    button = page.get_by_role("button", name=f"Download Return as {form}", exact=True)
    with page.expect_download() as download:
        button.click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.suffix == f".{form.lower()}"
    start = path.read_bytes()[:60]
    assert start.startswith(b"<svg" if form == "SVG" else b"\x89PNG")


def test_the_board_is_downloaded(opened: Watched, tmp_path: Path):
    with opened.page.expect_download() as download:
        opened.page.get_by_label("Download the board as SVG").first.click()
    path = tmp_path / "board.svg"
    download.value.save_as(path)
    assert b"<circle" in path.read_bytes()


def test_the_theme_is_switched_and_kept(opened: Watched):
    page = opened.page
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.locator("#theme").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(colour) != light
    paper = "document.querySelector('.js-plotly-plot').layout.paper_bgcolor"
    until(lambda: page.evaluate(paper) == "#171b21")
    page.reload()
    page.wait_for_selector("html[data-ready=yes]", timeout=120_000)
    assert page.evaluate(colour) != light
    page.locator("#theme").click()
    assert page.evaluate(colour) == light


def test_everything_is_reached_by_keys_and_has_a_name(opened: Watched):
    page = opened.page
    first = page.locator("a, button, input, [tabindex='0']").first
    assert first.get_attribute("class") == "skip"
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, input, [tabindex='0']")].filter((x) =>
        !(x.textContent.trim() || x.getAttribute("aria-label") || x.closest("label")))
        .map((x) => x.outerHTML)"""
    )
    assert nameless == []
    assert page.locator(".plot:not([aria-label])").count() == 0
