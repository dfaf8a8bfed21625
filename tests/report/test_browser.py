"""The page in a real browser: what a reader sees, moves, plays and hears."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from triptych.report.write import Options, report
from triptych.video import write_video

RED, BLUE = (200, 30, 30), (30, 30, 200)
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def _chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


# Where the tests must hold, a missing browser fails them.
pytestmark = pytest.mark.skipif(
    _chromium() is None and not os.environ.get("CI"),
    reason="needs Chromium (apt install chromium)",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    program = _chromium()
    assert program, "Chromium is not installed: apt install chromium"
    with sync_playwright() as playwright:
        # Tests run as any user, in containers too, and the page is our own.
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page_file(folders: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of the three studies, with frames of one colour an arm and what `predict` wrote."""
    root = tmp_path_factory.mktemp("browser")
    for study in ("segment", "detect", "classify"):
        folders.make_comparison(root / study, study, question=f"Which is better to {study}?")
    for arm, colour in (("first", RED), ("second", BLUE)):
        media = next((root / "segment" / arm / "seed-0/evaluations").iterdir()) / "media"
        media.mkdir()
        for number in range(2):
            dimmed = tuple(channel // (1 + number) for channel in colour)
            Image.new("RGB", (640, 320), dimmed).save(media / f"frame-{number}.png")
        (media / "captions.json").write_text(json.dumps({"frame-0.png": f"all of {arm}"}))
        (media / "sheets").mkdir()
        Image.new("RGB", (1200, 300), colour).save(media / "sheets" / "confusions.png")
    clip = root / "clip"
    clip.mkdir()
    frames = (np.full((96, 160, 3), 12 * number, np.uint8) for number in range(20))
    write_video(clip / "clip.mp4", frames, rate=Fraction(10))
    told = {"input": "clip", "frames": 20, "outputs": ["clip.mp4"]}
    told["models"] = [{"name": "street", "shares": {"road": 1.0}}]
    (clip / "summary.json").write_text(json.dumps(told))
    out = root / "page.html"
    shown = report([root / "segment", root / "detect", root / "classify", clip], out)
    assert shown["left_out"] == []
    return out


class Opened:
    """A page in a tab of its own, with all that it fetched and complained of."""

    def __init__(self, browser: Any, file: Path, size: dict[str, int], **options: Any) -> None:
        self.context = browser.new_context(viewport=size, **options)
        self.tab = self.context.new_page()
        self.fetched: list[str] = []
        self.complaints: list[str] = []
        self.tab.on("request", lambda request: self.fetched.append(request.url))
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.goto(file.as_uri())

    def until(self, condition: str) -> None:
        """Wait for what is asked in JavaScript. (Playwright's own way needs `eval`, which the page
        forbids.)"""
        from playwright.sync_api import Error

        for _ in range(200):
            with suppress(Error):  # a page that loads itself again answers nothing
                if self.tab.evaluate(condition):
                    return
            self.tab.wait_for_timeout(50)
        raise AssertionError(f"never: {condition}")

    def colour_at(self, x: float, y: float = 0.5) -> tuple[int, ...]:
        """Of the slider's pictures as they are drawn, at shares of their width and height."""
        content = self.tab.locator(".pair").first.screenshot()
        with Image.open(io.BytesIO(content)) as drawn:
            width, height = drawn.size
            return drawn.convert("RGB").getpixel((int(x * width), int(y * height)))


@pytest.fixture
def opened(browser: Any, page_file: Path) -> Iterator[Opened]:
    found = Opened(browser, page_file, DESKTOP)
    yield found
    found.context.close()


def near(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) < 12


def test_nothing_is_fetched_and_nothing_complains(opened: Opened, page_file: Path) -> None:
    tab = opened.tab
    tab.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    for picture in tab.locator("img, video").all():
        picture.scroll_into_view_if_needed()
    opened.until("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert tab.locator("img").count() >= 4
    assert {url for url in opened.fetched if not url.startswith("data:")} == {page_file.as_uri()}
    assert opened.complaints == []
    # That a complaint would be seen: the page itself forbids what is not in it.
    tab.evaluate("new Image().src = 'http://127.0.0.1:9/x.png'")
    tab.wait_for_timeout(200)
    assert "Content Security Policy" in " ".join(opened.complaints)


def test_the_border_moves_between_two_pictures(opened: Opened) -> None:
    pair = opened.tab.locator(".pair").first
    pair.scroll_into_view_if_needed()
    assert near(opened.colour_at(0.4), RED)
    assert near(opened.colour_at(0.6), BLUE)
    box = pair.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    opened.tab.mouse.move(box["x"] + 0.5 * box["width"], middle)
    opened.tab.mouse.down()
    opened.tab.mouse.move(box["x"] + 0.2 * box["width"], middle, steps=4)
    opened.tab.mouse.up()
    assert near(opened.colour_at(0.1), RED)
    assert near(opened.colour_at(0.4), BLUE)
    border = opened.tab.get_by_label("Move the border").first
    assert float(border.input_value()) == pytest.approx(20, abs=1)
    border.focus()
    opened.tab.keyboard.press("End")
    assert near(opened.colour_at(0.9), RED)
    for _ in range(30):
        opened.tab.keyboard.press("ArrowLeft")
    assert near(opened.colour_at(0.6), RED)
    assert near(opened.colour_at(0.8), BLUE)


def test_other_frames_and_arms_can_be_picked(opened: Opened) -> None:
    tab = opened.tab
    tab.locator(".pair").first.scroll_into_view_if_needed()
    tab.locator("[data-pick=frame]").first.select_option("frame-1")
    dimmed = tuple(channel // 2 for channel in RED)
    assert near(opened.colour_at(0.2), dimmed)
    tab.locator("[data-pick=left]").first.select_option("second")
    assert near(opened.colour_at(0.2), opened.colour_at(0.8))
    assert "second" in (tab.locator("[data-side=left]").first.get_attribute("alt") or "")


def test_the_video_plays(opened: Opened) -> None:
    video = opened.tab.locator("video")
    video.scroll_into_view_if_needed()
    assert video.get_attribute("aria-label")
    video.evaluate("async (video) => { await video.play(); }")
    opened.until("document.querySelector('video').currentTime > 0.5")
    assert video.evaluate("v => [v.videoWidth, v.videoHeight, v.error]") == [160, 96, None]


def background(tab: Any) -> str:
    return str(tab.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_light_and_dark(opened: Opened) -> None:
    tab, button = opened.tab, opened.tab.locator("#theme")
    assert background(tab) == "rgb(255, 255, 255)"
    tab.emulate_media(color_scheme="dark")
    assert background(tab) == "rgb(21, 23, 26)"
    button.focus()
    tab.keyboard.press("Enter")
    assert button.inner_text() == "Theme: light"
    assert background(tab) == "rgb(255, 255, 255)"
    tab.emulate_media(color_scheme="light")
    tab.keyboard.press("Enter")
    assert button.inner_text() == "Theme: dark"
    assert background(tab) == "rgb(21, 23, 26)"
    tab.reload()
    assert tab.locator("#theme").inner_text() == "Theme: dark"
    assert background(tab) == "rgb(21, 23, 26)"


def test_a_keyboard_reaches_the_results(opened: Opened) -> None:
    tab = opened.tab
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the results"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize(
    ("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"]
)
def test_it_fits_and_a_screen_reader_can_read_it(
    browser: Any, page_file: Path, tmp_path: Path, size: dict[str, int], scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = Opened(browser, page_file, size, color_scheme=scheme)
    try:
        tab = found.tab
        tab.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        assert tab.evaluate("document.scrollingElement.scrollWidth") <= size["width"]
        broken = Axe().run(tab).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in broken] == []
        tab.screenshot(path=tmp_path / "page.png", full_page=True)
        with Image.open(tmp_path / "page.png") as drawn:
            assert drawn.width == size["width"]
            assert drawn.height > 2000
        assert found.complaints == []
    finally:
        found.context.close()


def test_a_watched_page_loads_itself_again_where_one_was(
    browser: Any, page_file: Path, tmp_path: Path
) -> None:
    folder, file = page_file.parent / "segment", tmp_path / "page.html"
    report([folder], file, Options(reload=1))
    found = Opened(browser, file, DESKTOP)
    try:
        tab = found.tab
        tab.evaluate("window.scrollTo(0, 700); window.before = true")
        loaded = "window.before === undefined && document.readyState === 'complete'"
        found.until(f"{loaded} && window.scrollY > 0")
        assert tab.evaluate("window.scrollY") == 700
    finally:
        found.context.close()


def test_a_page_does_not_move_while_its_pictures_load(browser: Any, page_file: Path) -> None:
    found = Opened(browser, page_file, DESKTOP)
    try:
        tab = found.tab
        tab.add_init_script(
            "document.addEventListener('DOMContentLoaded', () => {"
            " window.first = document.scrollingElement.scrollHeight; });"
        )
        tab.reload(wait_until="load")
        found.until("Array.from(document.images).some((each) => each.complete)")
        assert tab.locator(".pair img").count() > 0
        assert tab.locator("video").count() == 1
        assert tab.evaluate("document.scrollingElement.scrollHeight - window.first") == 0
    finally:
        found.context.close()
