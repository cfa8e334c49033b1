"""A report in a real browser: no errors or requests; use by mouse and by keyboard."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_runs

from syntony.report.page import write_report

pytestmark = pytest.mark.slow

SIZES = {"wide": (1280, 900), "phone": (390, 844), "print": (718, 1047)}
PAST_THE_PAGE = """() => [...document.querySelectorAll("table, svg, figure, .block")]
    .filter((x) => x.getBoundingClientRect().right > 719)
    .map((x) => x.outerHTML.slice(0, 120))"""
LOCAL = ("file:", "data:", "blob:")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    runs = [
        report_runs.team(folder / "<img src=x onerror=alert(1)>"),
        report_runs.plain_team(folder / "plain"),
        report_runs.link(folder / "link"),
    ]
    return write_report(runs, folder / "report.html")


class OpenPage:
    """An open page, and its errors, dialogs and network requests."""

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
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: self.problems.append(dialog.message))
        self.page.on("console", self._on_console)
        self.page.on("request", self._on_request)
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("html[data-ready=yes]", timeout=120_000)

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith(LOCAL):
            self.problems.append(request.url)


@pytest.fixture(scope="module")
def shared(browser: Any, file: Path) -> Iterator[OpenPage]:
    open_page = OpenPage(browser, file)
    yield open_page
    open_page.context.close()


@pytest.fixture
def opened(shared: OpenPage) -> Iterator[OpenPage]:
    """The shared page with its player at the first step; opening a new one is slow."""
    player = shared.page.locator(".player").first
    player.get_by_label("agent A", exact=True).check()
    player.locator(".stage").press("Home")
    yield shared
    assert shared.problems == []


@pytest.mark.parametrize("size", ["wide", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_fits_the_screen_and_has_the_theme(
    browser: Any, file: Path, tmp_path: Path, size: str, theme: str
):
    open_page = OpenPage(browser, file, size, theme)
    page = open_page.page
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= SIZES[size][0], "nothing is wider than the screen"
    num_plots = page.locator(".js-plotly-plot .main-svg").count()
    assert num_plots >= page.locator("figure").count()
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    pixels = read_pixels(tmp_path / "page.png")
    assert (pixels[0, :5].mean() < 0.5) == (theme == "dark")
    # Text has contrast to its background.
    assert pixels.std() > 0.05
    open_page.context.close()
    assert open_page.problems == []


def test_it_is_printed_light_and_within_the_page(
    browser: Any, file: Path, tmp_path: Path
):
    open_page = OpenPage(browser, file, "print", "dark")
    page = open_page.page
    page.emulate_media(media="print")
    page.evaluate("() => { dispatchEvent(new Event('beforeprint')); }")
    page.wait_for_timeout(1000)
    assert page.evaluate(PAST_THE_PAGE) == []
    assert page.locator("details.section:not([open])").count() == 0
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert read_pixels(tmp_path / "page.png")[0, :5].mean() > 0.9, "light"
    page.evaluate("() => { dispatchEvent(new Event('afterprint')); }")
    page.emulate_media(media="screen")
    assert page.locator("details.section:not([open])").count() > 0
    open_page.context.close()
    assert open_page.problems == []


def read_pixels(path: Path) -> np.ndarray:
    from matplotlib import image

    return image.imread(path)[..., :3]


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits for a condition.

    Playwright's own wait evaluates text as code, which the page forbids.

    Raises:
        AssertionError: the condition did not become true.
    """
    for _ in range(200):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("the condition did not become true")


def step_text(page: Any) -> str:
    return page.locator(".player output").first.inner_text()


def pause_midway(page: Any) -> str:
    """Plays and pauses; returns the step. On a busy machine a click may come too late.

    Raises:
        AssertionError: the player did not pause before the end.
    """
    player = page.locator(".player").first
    play = player.get_by_role("button", name="Play")
    pause = player.get_by_role("button", name="Pause")
    last = player.locator("input[type=range]").get_attribute("max")
    for _ in range(20):
        player.locator(".stage").press("Home")
        play.click()
        wait_until(lambda: int(step_text(page).split()[1]) >= 2)
        # Not by its name, which changes at the end of the episode.
        player.locator("[data-action=play]").click()
        if pause.count():
            pause.click()
        elif not step_text(page).startswith(f"step {last} of "):
            return step_text(page)
    raise AssertionError("the player did not pause before the end")


def test_the_player_by_mouse(opened: OpenPage):
    page, player = opened.page, opened.page.locator(".player").first
    assert step_text(page).startswith("step 0 of ")
    before = player.locator(".scene svg").inner_html()
    player.get_by_label("One step forward").click()
    assert step_text(page).startswith("step 1 of ")
    assert player.locator(".scene svg").inner_html() != before
    player.get_by_label("One step back").click()
    assert step_text(page).startswith("step 0 of ")
    assert player.locator(".scene svg").inner_html() == before
    title = player.locator(".obs-window").first.inner_text()
    player.get_by_label("agent B", exact=True).click()
    assert player.locator(".obs-window").first.inner_text() != title
    paused = pause_midway(page)
    page.wait_for_timeout(1000)
    assert step_text(page) == paused
    slider = player.locator("input[type=range]")
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    assert step_text(page).startswith(f"step {slider.get_attribute('max')} of ")


def test_the_player_by_keys(opened: OpenPage):
    page, player = opened.page, opened.page.locator(".player").first
    player.locator(".stage").focus()
    page.keyboard.press("ArrowRight")
    assert step_text(page).startswith("step 1 of ")
    page.keyboard.press("End")
    last = player.locator("input[type=range]").get_attribute("max")
    assert step_text(page).startswith(f"step {last} of ")
    page.keyboard.press("ArrowLeft")
    assert step_text(page).startswith(f"step {int(last or 0) - 1} of ")
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    play = player.locator("[data-action=play]")
    assert play.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Space")
    assert play.get_attribute("aria-pressed") == "false"
    # The agents are one radio group: arrow keys select among them.
    player.locator("input[type=radio]").first.focus()
    page.keyboard.press("ArrowRight")
    assert player.locator("input[type=radio]").nth(1).is_checked()


def test_the_slider_of_a_constellation_by_keys(opened: OpenPage):
    page = opened.page
    figure = page.locator("figure", has_text="Constellation").last
    output, slider = figure.locator("output"), figure.locator("input[type=range]")
    assert output.inner_text() == "40"
    first_x = "(figure) => figure.querySelector('.plot').data[0].x[0]"
    end = figure.evaluate(first_x)
    slider.focus()
    page.keyboard.press("Home")
    assert output.inner_text() == "0"
    assert figure.evaluate(first_x) != end
    page.keyboard.press("ArrowRight")
    assert output.inner_text() == "10"
    figure.get_by_role("button", name="Play").click()
    wait_until(lambda: output.inner_text() == "40")


@pytest.mark.parametrize("suffix", ["SVG", "PNG"])
def test_figures_are_downloaded(opened: OpenPage, suffix: str, tmp_path: Path):
    page = opened.page
    # The learning curves are folded; a link to them opens them.
    page.locator("nav a", has_text="Learning").first.click()
    button = page.get_by_role("button", name=f"Download Return as {suffix}", exact=True)
    with page.expect_download() as download:
        button.click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.suffix == f".{suffix.lower()}"
    start = path.read_bytes()[:60]
    assert start.startswith(b"<svg" if suffix == "SVG" else b"\x89PNG")


def test_the_scene_is_downloaded(opened: OpenPage, tmp_path: Path):
    with opened.page.expect_download() as download:
        opened.page.get_by_label("Download the top view as SVG").first.click()
    path = tmp_path / "scene.svg"
    download.value.save_as(path)
    assert b"<circle" in path.read_bytes()


def test_the_theme_is_switched_and_stored(opened: OpenPage):
    page = opened.page
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.locator("#theme").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(background) != light
    paper = "document.querySelector('.js-plotly-plot').layout.paper_bgcolor"
    wait_until(lambda: page.evaluate(paper) == "#171b21")
    page.reload()
    page.wait_for_selector("html[data-ready=yes]", timeout=120_000)
    assert page.evaluate(background) != light
    page.locator("#theme").click()
    assert page.evaluate(background) == light


def test_everything_is_reachable_by_keyboard_and_has_a_name(opened: OpenPage):
    page = opened.page
    first = page.locator("a, button, input, [tabindex='0']").first
    assert first.get_attribute("class") == "skip"
    unnamed = page.evaluate(
        """[...document.querySelectorAll("button, input, [tabindex='0']")].filter((x) =>
        !(x.textContent.trim() || x.getAttribute("aria-label") || x.closest("label")))
        .map((x) => x.outerHTML)"""
    )
    assert unnamed == []
    assert page.locator(".plot:not([aria-label])").count() == 0
