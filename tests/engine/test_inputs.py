"""The pictures of a run: files and arrays alike, at every scale's size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoded_pictures import encoded, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from impasto.engine.images import fit, load_image
from impasto.engine.inputs import (
    Inputs,
    check_inputs,
    load_inputs,
    picture_sizes,
    scaled_sizes,
    style_longest_sides,
)
from impasto.engine.options import Options
from impasto.errors import ImageFileError, OptionError

PHOTO, PAINTING = picture(60, 90), picture(100, 40)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """The photo and the painting, in files that lose nothing."""
    paths = tmp_path / "photo.png", tmp_path / "painting.png"
    for path, pixels in zip(paths, (PHOTO, PAINTING), strict=True):
        path.write_bytes(encoded("PNG", Image.fromarray(pixels)))
    return paths


def inputs_of(options: Options) -> Inputs:
    return load_inputs(PHOTO, [PAINTING, PHOTO], options)


# -- loading -------------------------------------------------------------------------------------


def test_files_and_arrays_are_the_same(files: tuple[Path, Path]) -> None:
    options = Options(size=48)
    of_arrays, of_files = load_inputs(PHOTO, [PAINTING], options), load_inputs(*nested(files))
    np.testing.assert_array_equal(of_files.content, of_arrays.content)
    np.testing.assert_array_equal(of_files.styles[0], of_arrays.styles[0])
    of_texts = load_inputs(str(files[0]), [str(files[1])], options)
    np.testing.assert_array_equal(of_texts.content, of_arrays.content)


def nested(files: tuple[Path, Path]) -> tuple[Path, list[Path], Options]:
    return files[0], [files[1]], Options(size=48)


def test_everything_is_at_the_size_of_the_last_scale() -> None:
    found = inputs_of(Options(size=45, style_scale=0.8))
    assert found.content.shape == (30, 45, 3)
    assert [style.shape for style in found.styles] == [(36, 14, 3), (24, 36, 3)]
    assert {array.dtype for array in (found.content, *found.styles)} == {np.dtype(np.uint8)}
    assert found.initial is None


def test_huge_jpegs_are_decoded_at_a_fraction_and_look_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "huge.jpg"
    path.write_bytes(encoded("JPEG", Image.fromarray(picture(480, 640)), quality=95))
    options = Options(size=48)
    array = load_image(path)
    exact = load_inputs(array, [array], options)
    np.testing.assert_array_equal(load_inputs(path, [path], options).content, exact.content)
    monkeypatch.setattr("impasto.engine.inputs.HUGE", 480 * 640)
    drafted = load_inputs(path, [path], options)
    for found, expected in ((drafted.content, exact.content), (drafted.styles[0], exact.styles[0])):
        assert found.shape == expected.shape == (36, 48, 3)
        assert not np.array_equal(found, expected), "no draft was made"
        assert np.abs(found.astype(float) - expected).mean() < 1.5


def test_only_heads_are_read_for_the_sizes(tmp_path: Path) -> None:
    whole = encoded("PNG", Image.new("1", (3000, 2000)))
    (tmp_path / "head.png").write_bytes(whole[:60])
    sizes = picture_sizes(tmp_path / "head.png", [PAINTING], Options())
    assert sizes == ((2000, 3000), ((100, 40),))
    with pytest.raises(ImageFileError, match="3000x2000"):
        picture_sizes(tmp_path / "head.png", [PAINTING], Options(max_pixels=5_999_999))
    with pytest.raises(ImageFileError):
        load_inputs(tmp_path / "head.png", [PAINTING], Options())


def test_turned_pictures_have_the_size_they_are_shown_at(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # the camera was held upright
    path = tmp_path / "upright.jpg"
    path.write_bytes(encoded("JPEG", Image.fromarray(PHOTO), exif=exif))
    size, _ = picture_sizes(path, [PAINTING], Options())
    loaded = load_inputs(path, [PAINTING], Options(size=90))
    assert size == loaded.content.shape[:2] == (90, 60)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
    ids=["grey", "alpha", "empty", "floats"],
)
def test_arrays_that_are_no_pictures_are_refused(array: np.ndarray[Any, Any]) -> None:
    for content, style in ((array, PAINTING), (PHOTO, array)):
        with pytest.raises(OptionError, match="must be uint8 RGB"):
            picture_sizes(content, [style], Options())
        with pytest.raises(OptionError, match="must be uint8 RGB"):
            load_inputs(content, [style], Options())


def test_the_number_of_styles_is_checked_before_anything_is_opened() -> None:
    with pytest.raises(OptionError, match="No style picture"):
        check_inputs([], Options())
    with pytest.raises(OptionError, match="single path"):
        check_inputs("painting.jpg", Options())
    with pytest.raises(OptionError, match="has 2 entries for 1 style"):
        check_inputs([Path("not there")], Options(style_blend_weights=(1, 2)))


# -- scales --------------------------------------------------------------------------------------


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    longest=st.integers(16, 100),
    style_scale=st.floats(0.1, 3),
    height=st.integers(1, 300),
    width=st.integers(1, 300),
)
def test_sizes_that_are_planned_are_those_that_are_loaded(
    longest: int, style_scale: float, height: int, width: int
) -> None:
    options = Options(size=longest, style_scale=style_scale)
    odd = np.full((height, width, 3), 7, np.uint8)
    content, styles = scaled_sizes((60, 90), [(height, width)], options, longest)
    found = load_inputs(PHOTO, [odd], options)
    assert found.content.shape[:2] == content
    assert found.styles[0].shape[:2] == styles[0]
    assert (max(styles[0]),) == style_longest_sides(options, longest, 1)


def test_scales_are_made_from_the_largest() -> None:
    options = Options(size=80, style_scale=1.5)
    found = inputs_of(options)
    content, styles = scaled_sizes((60, 90), [(100, 40), (60, 90)], options, 40)
    assert (content, styles) == ((27, 40), ((60, 24), (40, 60)))
    assert found.content_at(content).shape == (27, 40, 3)
    assert [style.shape[:2] for style in found.styles_at(styles)] == list(styles)
    np.testing.assert_array_equal(found.content_at(content), fit(found.content, 40))
    assert found.content_at((53, 80)) is found.content, "the last scale takes no copy"


def test_as_many_sizes_as_styles_are_needed() -> None:
    with pytest.raises(ValueError, match="zip"):
        inputs_of(Options(size=48)).styles_at([(48, 19)])
