"""A report is one safe file: nothing outside is asked for, nothing said outside is markup."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.engine.canvas import Canvas
from impasto.engine.options import Options
from impasto.engine.report import Exhibit, report_page, write_report
from impasto.engine.result import Status, StylizeResult
from impasto.engine.trace import Trace, TracePoint
from impasto.errors import ImpastoError

HOSTILE = "\"'><img src=x onerror=alert(1)>&amp;$title ${x}.png"


class Page(HTMLParser):
    """The tags of a page with their attributes, its text, and what is inside some tags."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.inside: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.inside[tag] = self.inside.get(tag, "") + data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def result() -> StylizeResult:
    pixels = np.random.default_rng(5).integers(0, 256, (30, 40, 3), np.uint8)
    return StylizeResult(
        image=pixels,
        status=Status.FINISHED,
        loss=3.0,
        losses={"content_loss.relu4_2": 1.0, "style_loss.relu1_1": 2.0},
        iterations=2,
        evaluations=2,
        model="vgg19",
        backend="onnxruntime",
        precision="f32",
        seconds={"load": 1.0, "total": 3700.0},
        options=Options(size=40, iterations=2, seed=3),
        execution={"mode": "whole"},
        sizes=((40, 30),),
    )


@pytest.fixture
def photo(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        path = tmp_path / name
        Image.fromarray(np.full((30, 40, 3), 90, np.uint8)).save(path, "PNG")
        return path

    return make


def recorded() -> Trace:
    trace = Trace()
    losses = {"content_loss.relu4_2": 1.0, "style_loss.relu1_1": 2.0}
    trace._points = [TracePoint(i, 1, 40, 30, i, 9.0 / i, losses, 1.0) for i in (1, 2)]
    trace._last = trace._points[-1]
    return trace


def test_nothing_outside_the_page_is_asked_for(
    result: StylizeResult, photo: Callable[[str], Path]
) -> None:
    page = Page(report_page(result, Exhibit(photo("a.png"), [photo("b.png")], recorded())))
    addresses = [
        value
        for _, attributes in page.tags
        for key, value in attributes.items()
        if key in ("src", "href", "srcset", "action", "data") and value
    ]
    assert len(addresses) == 5
    assert all(address.startswith("data:") for address in addresses)
    assert not re.search(r"url\(|@import|https?:", page.inside["style"])
    assert page.open == []


def test_the_policy_allows_this_style_and_script_and_nothing_else(
    result: StylizeResult, photo: Callable[[str], Path]
) -> None:
    page = Page(report_page(result, Exhibit(photo("a.png"), [photo("b.png")])))
    (policy,) = (
        attributes["content"]
        for attributes in page.attributes("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.inside[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    inline = [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    assert not inline
    assert not any("style" in attributes for _, attributes in page.tags)


def test_a_hostile_file_name_is_only_text(
    result: StylizeResult, photo: Callable[[str], Path]
) -> None:
    content, style = photo(HOSTILE.replace("/", "")), photo("javascript:alert(1).png")
    plain = Page(report_page(result, Exhibit(photo("a.png"), [photo("b.png")], recorded())))
    page = Page(report_page(result, Exhibit(content, [style], recorded(), style), style.parent))
    added = len(page.attributes("a"))
    assert len(page.tags) == len(plain.tags) + 1 + added
    assert content.name in page.inside["h1"]
    assert page.attributes("a")[0]["href"] == "javascript%3Aalert%281%29.png"


def test_the_command_is_quoted_and_escaped(
    result: StylizeResult, photo: Callable[[str], Path]
) -> None:
    content = photo("it's <b>.png")
    text = report_page(result, Exhibit(content, [photo("b.png")], None, Path("o.png")))
    shown = re.search("<code>(.*?)</code>", text)
    assert shown
    assert unescape(shown[1]).startswith("impasto paint '")
    assert "--size 40" in shown[1]
    assert "--seed 3" in shown[1]


def test_a_texture_has_no_photo(result: StylizeResult, photo: Callable[[str], Path]) -> None:
    text = report_page(result, Exhibit(Canvas(30, 40), [photo("b.png")]))
    page = Page(text)
    assert page.inside["h1"] == "A texture in the style of b.png"
    assert len(page.attributes("img")) == 2
    assert not page.attributes("input")
    assert "impasto texture " in text


def test_arrays_have_no_command(result: StylizeResult) -> None:
    grey = np.full((30, 40, 3), 128, np.uint8)
    text = report_page(result, Exhibit(grey, [grey]))
    assert "<pre>" not in text
    assert "given as arrays" in text


def test_pictures_are_embedded_at_screen_size(result: StylizeResult, tmp_path: Path) -> None:
    large = np.random.default_rng(1).integers(0, 256, (500, 3000, 3), np.uint8)
    page = Page(report_page(replace(result, image=large), Exhibit(large, [large] * 30)))
    images = page.attributes("img")
    assert len(images) == 2 + 1 + 24
    for attributes in images:
        data = (attributes["src"] or "").removeprefix("data:image/webp;base64,")
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.format == "WEBP"
            assert max(image.size) <= 1280
            assert image.size == (int(attributes["width"] or 0), int(attributes["height"] or 0))
    assert "and 6 more style pictures" in page.inside["p"]


def test_a_picture_that_is_gone_is_said_to_be(
    result: StylizeResult, photo: Callable[[str], Path]
) -> None:
    content = photo("a.png")
    content.unlink()
    page = Page(report_page(result, Exhibit(content, [photo("b.png")])))
    assert "can no longer be read" in page.inside["p"]
    assert not page.attributes("input")


def test_numbers_that_are_not_finite_are_shown(result: StylizeResult) -> None:
    grey = np.full((30, 40, 3), 128, np.uint8)
    cut = replace(result, loss=float("inf"), losses={}, status=Status.CANCELLED, resumed_from=7)
    text = report_page(cut, Exhibit(grey, [grey]))
    assert "resumed after iteration 7" in text
    assert "Cancelled" in text


def test_only_changed_settings_come_first(result: StylizeResult) -> None:
    grey = np.full((30, 40, 3), 128, np.uint8)
    text = report_page(result, Exhibit(grey, [grey]))
    settings = text[text.index('id="settings"') : text.index("<details>")]
    assert re.findall("<td>(--[a-z-]+)</td>", settings) == ["--size", "--seed", "--iterations"]
    assert "--style-layers" in text


def test_it_is_written_whole_or_not_at_all(result: StylizeResult, tmp_path: Path) -> None:
    grey = np.full((30, 40, 3), 128, np.uint8)
    exhibit = Exhibit(grey, [grey])
    write_report(tmp_path / "r.html", result, exhibit)
    assert (tmp_path / "r.html").read_text("utf-8") == report_page(result, exhibit, tmp_path)
    with pytest.raises(ImpastoError, match=r"gone.r\.html could not be written"):
        write_report(tmp_path / "gone" / "r.html", result, exhibit)
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_a_name_that_is_no_text_does_not_stop_it(result: StylizeResult, tmp_path: Path) -> None:
    grey = np.full((30, 40, 3), 128, np.uint8)
    odd = tmp_path / "odd\udcff.png"
    write_report(tmp_path / "r.html", result, Exhibit(odd, [grey], None, odd))
    assert "odd" in (tmp_path / "r.html").read_text("utf-8")
