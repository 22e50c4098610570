"""The report in a real browser: the slider, the theme, and not one request or error."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.engine.options import Options
from impasto.engine.report import Exhibit, write_report
from impasto.engine.stylize import stylize
from impasto.engine.trace import Trace

pytestmark = pytest.mark.browser

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(2)
    photo, style = (rng.integers(0, 256, (60, 90, 3), np.uint8) for _ in range(2))
    trace = Trace()
    options = Options(
        size=96,
        scales="48,96",
        iterations=3,
        content_layers=("relu2_1",),
        style_layers=("relu1_1", "relu2_1"),
    )
    result = stylize(photo, [style], options, callback=trace)
    path = folder / "report.html"
    write_report(path, result, Exhibit(photo, [style], trace, folder / "out.png"))
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path, "There is no chromium in PATH; name yours: CHROMIUM=/path/to/it"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(params=[(1200, 800), (360, 640)], ids=["wide", "narrow"])
def page(request: pytest.FixtureRequest, browser: Any, report: Path) -> Iterator[Any]:
    """Open the report, and hold it to silence."""
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=True)
    opened = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda each: asked.append(each.url))
    opened.goto(report.as_uri())
    yield opened
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    context.close()


def edge(page: Any) -> float:
    """Return where the edge is, as a share of the picture's width."""
    return float(
        page.evaluate(
            """() => {
                const box = document.querySelector(".compare").getBoundingClientRect();
                const edge = document.querySelector(".compare .edge").getBoundingClientRect();
                return (edge.left + edge.width / 2 - box.left) / box.width;
            }"""
        )
    )


def test_mouse_keys_and_touch_move_the_slider(page: Any) -> None:
    assert edge(page) == pytest.approx(0.5, abs=0.01)
    box = page.locator(".compare").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, middle, steps=3)
    page.mouse.up()
    assert edge(page) == pytest.approx(0.25, abs=0.01)
    # It has the focus now.
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert edge(page) == pytest.approx(0.30, abs=0.015)
    page.keyboard.press("End")
    assert edge(page) == pytest.approx(1, abs=0.01)
    page.touchscreen.tap(box["x"] + 0.7 * box["width"], middle)
    assert edge(page) == pytest.approx(0.7, abs=0.01)
    slider = page.get_by_role("slider")
    assert slider.get_attribute("aria-valuetext") == "30 % painted"
    clip = page.evaluate(
        "() => getComputedStyle(document.querySelector('.compare .after')).clipPath"
    )
    assert clip.startswith("inset(0")


def test_nothing_is_wider_than_the_window(page: Any) -> None:
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    natural = page.evaluate("() => [...document.images].map((image) => image.naturalWidth)")
    assert all(natural)


def test_the_pictures_lie_on_each_other_in_their_proportions(page: Any) -> None:
    """A small picture is enlarged, and one taller than the window is not let out of it."""
    for height in (640, 200):
        page.set_viewport_size({"width": page.viewport_size["width"], "height": height})
        before = page.locator(".compare .before").bounding_box()
        after = page.locator(".compare .after").bounding_box()
        assert before == pytest.approx(after, abs=0.6)
        assert before["width"] / before["height"] == pytest.approx(1.5, rel=0.02)
        assert before["height"] <= 0.86 * height
    page.set_viewport_size({"width": 1200, "height": 800})
    assert page.locator(".compare").bounding_box()["width"] == pytest.approx(480, abs=1)


def test_light_and_dark(page: Any) -> None:
    def paper() -> tuple[int, ...]:
        text = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        return tuple(int(number) for number in text[4:-1].split(","))

    page.emulate_media(color_scheme="light")
    assert min(paper()) > 200
    page.emulate_media(color_scheme="dark")
    assert max(paper()) < 60


def test_the_policy_stops_a_script_that_is_not_the_page_s(browser: Any, report: Path) -> None:
    """What would run if escaping failed does not run."""
    opened = browser.new_page()
    opened.goto(report.as_uri())
    ran = opened.evaluate(
        """() => new Promise((done) => {
            window.ran = false;
            document.addEventListener("securitypolicyviolation", () => done(window.ran));
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
        })"""
    )
    assert ran is False
    opened.close()
