"""From decoded pixels to sRGB: every kind of pixel, orientation, transparency and profile."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from encoded_pictures import encoded, picture, png, tiff_rgb16
from PIL import Image, ImageCms

from impasto.engine.images import ByteArray, load_cutout, load_image
from impasto.errors import ImageFileError


@pytest.fixture(params=[2**20, 70], ids=["at once", "in strips"], autouse=True)
def strips(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert every picture as a whole, and two rows at a time, as large ones are."""
    monkeypatch.setattr("impasto.engine.srgb.STRIP_PIXELS", request.param)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes, str], Path]:
    def write_file(data: bytes, name: str = "picture") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write_file


Write = Callable[..., Path]


# --- kinds of pixels


TURNS: dict[int, Callable[[ByteArray], ByteArray]] = {
    # EXIF 2.3, tag 274: how the stored pixels are turned to be seen upright.
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_exif_orientation_is_followed(write: Write, format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    found = load_image(write(encoded(format, exif=exif)))
    np.testing.assert_array_equal(found, TURNS[orientation](picture()))


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"]
)
def test_damaged_exif_does_not_cost_the_picture(write: Write, exif: bytes) -> None:
    np.testing.assert_array_equal(load_image(write(encoded("PNG", exif=exif))), picture())


def test_16_bit_grey_keeps_its_tones(write: Write) -> None:
    tones = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    expected = np.rint(tones / 257).astype(np.uint8)
    for format in ("PNG", "TIFF"):
        found = load_image(write(encoded(format, Image.fromarray(tones))))
        np.testing.assert_array_equal(found, np.repeat(expected[..., np.newaxis], 3, axis=2))


def test_16_bit_colour_keeps_its_tones(write: Write) -> None:
    deep = picture().astype(np.uint16) * np.uint16(256) + np.uint16(17)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    for data in (png(32, 24, 16, 2, rows), tiff_rgb16(deep)):
        found = load_image(write(data))
        np.testing.assert_allclose(found, picture(), atol=1)


def test_oddities_that_pillow_warns_of_are_no_reason_to_refuse_a_picture(write: Write) -> None:
    data = tiff_rgb16(picture().astype(np.uint16) * np.uint16(257), planar_entries=2)
    with pytest.warns(UserWarning, match="too many entries"):
        Image.open(io.BytesIO(data))
    np.testing.assert_array_equal(load_image(write(data)), picture())


def test_16_bit_ppm_keeps_its_tones(write: Write) -> None:
    found = load_image(write(b"P5 2 1 65535\n" + struct.pack(">HH", 0x8000, 0xFFFF)))
    np.testing.assert_array_equal(found[0, :, 0], [128, 255])


def test_float_tiffs_from_0_to_1_are_read_and_others_are_refused(write: Write) -> None:
    half = Image.fromarray(np.full((4, 5), 0.5, np.float32))
    assert (load_image(write(encoded("TIFF", half))) == 128).all()
    for value in (300.0, -1.0, np.nan):
        wild = Image.fromarray(np.array([[0, value]], np.float32))
        with pytest.raises(ImageFileError, match="8 or 16 bits"):
            load_image(write(encoded("TIFF", wild)))


def test_values_without_a_range_are_named_wherever_they_are(write: Write) -> None:
    values = np.zeros((24, 32), np.float32)
    values[3, 3], values[20, 1] = 7, -3
    with pytest.raises(ImageFileError, match="from -3 to 7"):
        load_image(write(encoded("TIFF", Image.fromarray(values))))


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_grey_bilevel_and_palette_become_rgb(write: Write, mode: str) -> None:
    image = Image.fromarray(picture()).convert(mode)
    found = load_image(write(encoded("PNG", image)))
    np.testing.assert_array_equal(found, np.asarray(image.convert("RGB")))


def test_cmyk_jpegs_look_as_their_rgb(write: Write) -> None:
    cmyk = Image.fromarray(picture()).convert("CMYK")
    found = load_image(write(encoded("JPEG", cmyk, quality=100)))
    assert np.abs(found.astype(int) - picture()).mean() < 4


def test_alpha_is_laid_on_white(write: Write) -> None:
    alpha = np.linspace(0, 255, 24 * 32).reshape(24, 32, 1).astype(np.uint8)
    rgba = np.concatenate([picture(), alpha], axis=-1)
    found = load_image(write(encoded("PNG", Image.fromarray(rgba))))
    expected = (picture() * (alpha / 255) + 255 * (1 - alpha / 255)).round()
    np.testing.assert_allclose(found, expected, atol=1)


def test_grey_alpha_is_laid_on_white(write: Write) -> None:
    la = Image.fromarray(np.array([[[10, 0], [10, 255], [10, 51]]], np.uint8), "LA")
    found = load_image(write(encoded("PNG", la)))
    np.testing.assert_array_equal(found[0, :, 0], [255, 10, 206])


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_transparent_palette_entries_are_laid_on_white(write: Write, format: str) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.putdata([0, 1])
    found = load_image(write(encoded(format, image, transparency=0)))
    np.testing.assert_array_equal(found, [[[255, 255, 255], [0, 0, 200]]])


def test_a_transparent_colour_is_laid_on_white(write: Write) -> None:
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (9, 9, 9))
    found = load_image(write(encoded("PNG", image, transparency=(1, 2, 3))))
    np.testing.assert_array_equal(found, [[[255, 255, 255], [9, 9, 9]]])


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_cutouts_have_colours_and_alpha_apart_and_upright(
    write: Write, mode: str, orientation: int
) -> None:
    alpha = np.linspace(0, 255, 24 * 32).reshape(24, 32).astype(np.uint8)
    image = Image.fromarray(np.dstack([picture(), alpha])).convert(mode)
    exif = Image.Exif()
    exif[274] = orientation
    path = write(encoded("PNG", image, exif=exif))
    found, expected = load_cutout(path), np.asarray(image.convert("RGBA"))
    np.testing.assert_array_equal(found.pixels, TURNS[orientation](expected[..., :3]))
    if found.alpha is None:
        assert mode == "P"  # a palette of opaque colours
    else:
        np.testing.assert_array_equal(found.alpha, TURNS[orientation](expected[..., 3:])[..., 0])
    np.testing.assert_array_equal(found.on_white(), load_image(path))


def test_a_picture_that_is_opaque_everywhere_has_no_alpha(write: Write) -> None:
    rgba = Image.fromarray(picture())
    rgba.putalpha(255)
    for data in (encoded("PNG", rgba), encoded("PNG"), encoded("JPEG")):
        assert load_cutout(write(data)).alpha is None


# --- colour management


def swapped_primaries() -> bytes:
    """Return the sRGB profile with its red and blue primaries exchanged: rXYZ is bXYZ."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data.replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")


def linear_grey() -> bytes:
    """Return a grey profile of gamma 1, written by the specification (ICC.1:2022)."""
    white = b"XYZ \0\0\0\0" + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    curve = b"curv\0\0\0\0" + struct.pack(">I", 0)  # no entries: the identity
    table = struct.pack(">I4sII4sII", 2, b"wtpt", 156, len(white), b"kTRC", 176, len(curve))
    size = 176 + len(curve)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    header += struct.pack(">HHHHHH", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(24)
    header += bytes(4) + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + table + white + curve


def test_pixels_are_converted_from_their_profile_to_srgb(write: Write) -> None:
    found = load_image(write(encoded("PNG", icc_profile=swapped_primaries())))
    np.testing.assert_allclose(found, picture()[..., ::-1], atol=2)


def test_a_profile_applies_below_transparency(write: Write) -> None:
    rgba = np.concatenate([picture(), np.full((24, 32, 1), 255, np.uint8)], axis=-1)
    rgba[0, :, 3] = 0
    data = encoded("PNG", Image.fromarray(rgba), icc_profile=swapped_primaries())
    found = load_image(write(data))
    np.testing.assert_allclose(found[1:], picture()[1:, :, ::-1], atol=2)
    assert (found[0] == 255).all()


def test_a_grey_profile_is_followed(write: Write) -> None:
    grey = Image.fromarray(np.array([[0, 55, 128, 255]], np.uint8))
    found = load_image(write(encoded("PNG", grey, icc_profile=linear_grey())))
    linear = np.array([0, 55, 128, 255]) / 255
    expected = 255 * np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 0)
    np.testing.assert_allclose(found[0, :, 0], expected, atol=2)


def test_an_rgb_profile_on_a_grey_picture_is_followed(write: Write) -> None:
    grey = Image.fromarray(picture()[..., 0])
    found = load_image(write(encoded("PNG", grey, icc_profile=swapped_primaries())))
    np.testing.assert_allclose(found, np.repeat(picture()[..., :1], 3, axis=2), atol=2)


@pytest.mark.parametrize("profile", [b"no profile", b"", linear_grey(), swapped_primaries()[:300]])
def test_a_useless_profile_is_ignored_with_a_warning(
    write: Write, profile: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    np.testing.assert_array_equal(load_image(write(encoded("PNG", icc_profile=profile))), picture())
    assert bool(caplog.records) == bool(profile)
