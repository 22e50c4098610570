"""`impasto show`, and the flags that say how a picture's file is written."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

Impasto = Callable[..., Any]


@pytest.fixture
def job(pictures: Path, quick: tuple[str, ...]) -> tuple[object, ...]:
    return ("paint", pictures / "photo.png", pictures / "painting.png", *quick, "--seed", "3")


def test_the_command_shown_paints_the_same_picture(
    impasto: Impasto, job: tuple[object, ...], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = pictures / "out.png"
    assert impasto(*job, "-o", out, "--init", "noise", "--bit-depth", "16").code == 0
    shown = impasto("show", out)
    assert shown.code == 0
    assert shown.out.startswith(f"{out}: PNG, 48x36 pixels, Impasto ")
    command = shlex.split(shown.last_line)
    assert command[:6] == ["impasto", "paint", "photo.png", "painting.png", "-o", "out.png"]
    monkeypatch.chdir(pictures)
    assert impasto(*command[1:], "--overwrite", "-o", "again.png").code == 0
    assert (pictures / "again.png").read_bytes() == out.read_bytes()


def test_json_has_every_setting(impasto: Impasto, job: tuple[object, ...], pictures: Path) -> None:
    out = pictures / "out.webp"
    assert impasto(*job, "-o", out, "--quality", "50").code == 0
    told = json.loads(impasto("show", out, "--json").out)
    assert told["format"] == "WEBP"
    assert told["options"]["quality"] == 50
    assert (told["content"], told["styles"], told["iterations"]) == (
        "photo.png",
        ["painting.png"],
        3,
    )
    assert told["command"][:2] == ["impasto", "paint"]


def test_pictures_on_the_way_tell_their_iteration(
    impasto: Impasto, job: tuple[object, ...], pictures: Path
) -> None:
    assert impasto(*job, "-o", pictures / "out.png", "--save-every", "2").code == 0
    told = json.loads(impasto("show", pictures / "out_2.png", "--json").out)
    assert (told["iterations"], told["options"]["iterations"]) == (2, 3)
    shown = impasto("show", pictures / "out_2.png")
    assert "options" in shown.last_line


def test_a_picture_without_settings_is_said_to_have_none(
    impasto: Impasto, job: tuple[object, ...], pictures: Path
) -> None:
    assert impasto(*job, "-o", pictures / "out.png", "--no-metadata").code == 0
    for name in ("out.png", "photo.png"):
        shown = impasto("show", pictures / name)
        assert (shown.code, shown.out) == (1, "")
        assert "--no-metadata" in shown.err
    assert impasto("show", pictures / "none.png").code == 2


def test_a_text_cannot_steer_the_terminal(impasto: Impasto, pictures: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Software", "\x1b[2Jevil\x9b")
    info.add_itxt("Impasto", json.dumps({"content": "\x1b]0;evil\x07", "\x1b[0m": 1, "options": 3}))
    Image.new("RGB", (3, 2)).save(pictures / "evil.png", pnginfo=info)
    for flags in ((), ("--json",)):
        out = impasto("show", pictures / "evil.png", *flags).out
        assert "evil" in out
        assert not [c for c in out if not c.isprintable() and c != "\n"]


def test_a_depth_the_format_has_not_is_refused_before_anything(
    impasto: Impasto, job: tuple[object, ...], pictures: Path
) -> None:
    result = impasto(*job, "-o", pictures / "out.jpg", "--bit-depth", "16")
    assert result.code == 2
    assert "Use .png or .tif" in result.err
    result = impasto(
        *job, "--out-dir", pictures / "all", "--name", "{stem}.jpg", "--bit-depth", "16"
    )
    assert result.code == 2
    assert impasto(*job, "-o", pictures / "out.png", "--bit-depth", "12").code == 2


def test_quality_of_a_lossless_file_is_said_to_change_nothing(
    impasto: Impasto, job: tuple[object, ...], pictures: Path
) -> None:
    result = impasto(*job, "-o", pictures / "out.png", "--quality", "50")
    assert result.code == 0
    assert any("--quality changes nothing" in message for message in result.messages)
    result = impasto(*job, "-o", pictures / "out.jpg", "--quality", "50")
    assert not any("--quality" in message for message in result.messages)


def test_a_batch_tells_of_each_picture(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    (pictures / "photos").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.full((40, 48, 3), 90, np.uint8)).save(pictures / "photos" / name)
    batch = ("paint", pictures / "photos", pictures / "painting.png", *quick)
    assert impasto(*batch, "--out-dir", pictures / "all", "--bit-depth", "16").code == 0
    for path in (pictures / "all").iterdir():
        assert path.read_bytes()[24] == 16
        told = json.loads(impasto("show", path, "--json").out)
        assert told["content"] in ("a.png", "b.png")
