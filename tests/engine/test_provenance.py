"""What pictures tell of their making: written into every format, read back, and hostile texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from impasto import __version__
from impasto.engine.canvas import Canvas
from impasto.engine.images import OUTPUT_SUFFIXES, save_image
from impasto.engine.options import Options
from impasto.engine.provenance import (
    MOST_CHARACTERS,
    metadata_of,
    provenance_of,
    read_provenance,
)
from impasto.engine.result import Status, StylizeResult
from impasto.engine.saving import save_result
from impasto.errors import ImageFileError

TELLING = sorted({*OUTPUT_SUFFIXES} - {".bmp"})


def result(options: Options, **changed: Any) -> StylizeResult:
    image = np.random.default_rng(2).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    values: dict[str, Any] = {
        "image": image,
        "status": Status.FINISHED,
        "loss": 12.5,
        "losses": {},
        "iterations": 7,
        "evaluations": 9,
        "model": "vgg19",
        "backend": "onnxruntime",
        "precision": "f32",
        "seconds": {},
        "options": options,
        "execution": {},
        "sizes": ((16, 12),),
        "content": Path("/home/somebody/photos/my photo.jpg"),
        "styles": (Path("wave.jpg"), Path("private/été.png")),
    }
    return StylizeResult(**values | changed)


OPTIONS = Options(
    size=16, iterations=7, init="private/first.png", style_blend_weights=(1, 2), seed=3
)


@pytest.mark.parametrize("suffix", TELLING)
def test_every_format_but_bmp_tells_how_it_was_painted(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    save_result(result(OPTIONS), path)
    found = read_provenance(path)
    assert found.software == f"Impasto {__version__}"
    assert found.size == (12, 16)
    assert found.settings["loss"] == 12.5
    assert found.settings["options"]["init"] == "first.png"
    assert "numpy" in found.settings["versions"]
    assert found.command("new.png") == (
        *("impasto", "paint", "my photo.jpg", "wave.jpg", "été.png", "-o", "new.png"),
        *("--size", "16", "--style-blend-weights", "1,2", "--init", "first.png", "--seed", "3"),
        *("--iterations", "7"),
    )
    assert b"somebody" not in path.read_bytes()
    assert b"private" not in path.read_bytes()


@pytest.mark.parametrize("suffix", OUTPUT_SUFFIXES)
def test_nothing_is_told_where_it_is_not_wanted(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    save_result(result(Options(no_metadata=True)), path)
    found = read_provenance(path)
    assert (found.software, found.settings, found.command("x.png")) == ("", {}, None)
    assert b"mpasto" not in path.read_bytes()


def test_a_texture_tells_its_canvas(tmp_path: Path) -> None:
    options = Options(size=64, content_weight=0, content_layers=(), init="noise", seed=1)
    told = result(options, content=Canvas(48, 64), styles=(Path("wave.jpg"),))
    save_result(told, tmp_path / "out.png")
    command = read_provenance(tmp_path / "out.png").command("new.png")
    assert command is not None
    assert command[:7] == ("impasto", "texture", "wave.jpg", "-o", "new.png", "--size", "64x48")


@pytest.mark.parametrize(
    "changed", [{"content": None}, {"styles": (None,)}, {"styles": ()}, {"loss": float("inf")}]
)
def test_arrays_and_infinities_are_told_as_none(changed: dict[str, Any], tmp_path: Path) -> None:
    save_result(result(Options(), **changed), tmp_path / "out.png")
    found = read_provenance(tmp_path / "out.png")
    assert (found.command("x.png") is None) is ("loss" not in changed)
    assert json.loads(provenance_of(result(Options()))["Impasto"])["impasto"] == __version__


def test_depth_and_quality_are_the_options(tmp_path: Path) -> None:
    deep = np.full((12, 16, 3), 1000, np.uint16)
    save_result(result(Options(bit_depth=16), deep=deep), tmp_path / "deep.png")
    assert (tmp_path / "deep.png").read_bytes()[24] == 16  # IHDR's bit depth
    for suffix in (".jpg", ".webp", ".avif"):
        sizes = []
        for quality in (10, 90):
            path = tmp_path / f"{quality}{suffix}"
            save_result(result(Options(quality=quality)), path)
            sizes.append(path.stat().st_size)
        assert sizes[0] < sizes[1]


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_what_is_transparent_is_laid_on_white_where_it_must_be(tmp_path: Path, suffix: str) -> None:
    alpha = np.zeros((12, 16), np.uint8)
    save_result(result(Options(), alpha=alpha), tmp_path / f"out{suffix}")
    with Image.open(tmp_path / f"out{suffix}") as image:
        assert np.asarray(image.convert("RGB")).min() > 250


# --- texts of files that Impasto has not written


def png_with(tmp_path: Path, text: str) -> Path:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Impasto", text)
    path = tmp_path / "other.png"
    Image.new("RGB", (3, 2)).save(path, pnginfo=info)
    return path


def settings_with(**changed: Any) -> str:
    told = json.loads(provenance_of(result(OPTIONS))["Impasto"])
    return json.dumps({**told, **changed})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(key=st.sampled_from(["options", "content", "canvas", "styles", "loss"]), value=JSON)
def test_settings_of_any_kind_give_a_command_or_none(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: Any
) -> None:
    path = png_with(tmp_path_factory.mktemp("png"), settings_with(**{key: value}))
    command = read_provenance(path).command("x.png")
    assert command is None or command[0] == "impasto"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", "null", "[" * 100_000, '{"a": 1e999', f'{{"a": "{"x" * MOST_CHARACTERS}"}}'],
)
def test_texts_that_are_no_settings_are_none(tmp_path: Path, text: str) -> None:
    try:
        found = read_provenance(png_with(tmp_path, text))
    except ImageFileError:
        assert len(text) > MOST_CHARACTERS  # Pillow's own limit for texts
    else:
        assert found.settings == {}


def test_options_of_another_version_are_not_guessed(tmp_path: Path) -> None:
    told = {**Options().to_dict(), "from_the_future": 1}
    found = read_provenance(png_with(tmp_path, settings_with(options=told)))
    assert found.command("x.png") is None
    assert found.settings["options"]["from_the_future"] == 1


def test_the_text_of_a_settings_object_is_json() -> None:
    told = json.loads(metadata_of(Options(), {"loss": None})["Impasto"])
    assert told["loss"] is None
    assert told["options"] == Options().to_dict()


def test_a_picture_of_another_program_tells_its_software_only(tmp_path: Path) -> None:
    save_image(np.zeros((2, 3, 3), np.uint8), tmp_path / "a.png", metadata={"Software": "GIMP"})
    found = read_provenance(tmp_path / "a.png")
    assert (found.software, found.settings) == ("GIMP", {})
    with pytest.raises(ImageFileError):
        read_provenance(tmp_path / "none.png")
