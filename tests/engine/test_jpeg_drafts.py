"""Pictures read at the size wanted: the same, or from a JPEG draft and too close to tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from encoded_pictures import encoded, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from impasto.engine.images import ByteArray, fit, load_image
from impasto.errors import ImageFileError, OptionError

EXAMPLES = Path(__file__).parents[2] / "examples"


def decibels(found: ByteArray, expected: ByteArray) -> float:
    """Return the peak signal-to-noise ratio."""
    assert found.shape == expected.shape
    errors = found.astype(float) - expected
    return float(10 * np.log10(255**2 / max(float(np.mean(errors**2)), 1e-9)))


@pytest.mark.parametrize("name", ["chelsea.jpg", "great_wave.jpg", "composition_viii.jpg"])
@pytest.mark.parametrize("share", [4.01, 5.0, 7.9, 8.3, 15.0, 17.0])
def test_drafts_are_too_close_to_the_whole_picture_to_tell(name: str, share: float) -> None:
    whole = load_image(EXAMPLES / name)
    size = int(max(whole.shape) / share)
    found = load_image(EXAMPLES / name, longest_side=size)
    assert decibels(found, fit(whole, size)) > 40
    assert not np.array_equal(found, fit(whole, size)), "no draft was made"


@pytest.mark.parametrize("share", [0.5, 1.0, 2.0, 3.9])
def test_jpegs_that_are_not_much_too_large_are_decoded_in_full(share: float) -> None:
    whole = load_image(EXAMPLES / "chelsea.jpg")
    size = round(max(whole.shape) / share)
    found = load_image(EXAMPLES / "chelsea.jpg", longest_side=size)
    np.testing.assert_array_equal(found, fit(whole, size))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_other_formats_are_fitted_exactly(tmp_path: Path, format: str) -> None:
    (tmp_path / "picture").write_bytes(encoded(format))
    found = load_image(tmp_path / "picture", longest_side=5)
    np.testing.assert_array_equal(found, fit(load_image(tmp_path / "picture"), 5))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(height=st.integers(40, 200), width=st.integers(40, 200), size=st.integers(3, 30))
def test_drafts_cover_the_whole_picture_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, size: int
) -> None:
    y, x = np.mgrid[0:height, 0:width]
    ramp = np.stack([255 * x / width, 255 * y / height, 0 * x], axis=-1).astype(np.uint8)
    path = tmp_path_factory.mktemp("ramp") / "ramp.jpg"
    path.write_bytes(encoded("JPEG", Image.fromarray(ramp), quality=100, subsampling=0))
    found, expected = load_image(path, longest_side=size), fit(load_image(path), size)
    assert found.shape == expected.shape
    # Nothing moves by more than a tenth of a pixel; with the rounded-up rows and columns, it would.
    steps = 255 / np.array([found.shape[1], found.shape[0], 255])
    assert (np.abs(found.astype(float) - expected) <= 2 + steps / 10).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_drafts_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    big = Image.fromarray(picture(96, 128)[..., :2].repeat([1, 2], axis=2))
    (tmp_path / "picture").write_bytes(encoded("JPEG", big, exif=exif, quality=95))
    found = load_image(tmp_path / "picture", longest_side=20)
    assert decibels(found, fit(load_image(tmp_path / "picture"), 20)) > 35


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_drafts_of_every_jpeg_mode_and_profile(tmp_path: Path, mode: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")
    big = Image.fromarray(picture(96, 128)).convert(mode)
    options = {"icc_profile": profile} if mode == "RGB" else {}
    (tmp_path / "picture").write_bytes(encoded("JPEG", big, quality=95, **options))
    found = load_image(tmp_path / "picture", longest_side=20)
    assert decibels(found, fit(load_image(tmp_path / "picture"), 20)) > 30


def test_what_is_refused_in_full_is_refused_in_a_draft(tmp_path: Path) -> None:
    data = (EXAMPLES / "chelsea.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageFileError, match="cut short or damaged"):
        load_image(tmp_path / "cut.jpg", longest_side=32)
    with pytest.raises(ImageFileError, match="451x300"):
        load_image(EXAMPLES / "chelsea.jpg", max_pixels=1000, longest_side=8)
    with pytest.raises(OptionError, match="size of 0"):
        load_image(EXAMPLES / "chelsea.jpg", longest_side=0)
