"""Reading pictures: every kind of pixel, every kind of bad file, sizes and ranges."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from impasto.engine.images import (
    MAX_PIXELS,
    ByteArray,
    fit,
    from_network,
    list_pictures,
    load_image,
    resize,
    to_network,
)
from impasto.errors import ImageFileError, OptionError


def picture(height: int = 24, width: int = 32) -> ByteArray:
    """Return smooth, colourful and in no way symmetric pixels."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = 255 * x / width, 255 * y / height, 128 + 100 * np.sin(x / 5 + y / 9)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def encoded(format: str, image: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (image or Image.fromarray(picture())).save(file, format, **options)
    return file.getvalue()


def png(width: int, height: int, depth: int, colour_type: int, rows: bytes) -> bytes:
    """Write a PNG by the specification, for the kinds that Pillow cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(rows)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff_rgb16(pixels: npt.NDArray[np.uint16], planar_entries: int = 1) -> bytes:
    """Write an uncompressed 16-bit RGB TIFF by the specification, which has one planar entry."""
    height, width, _ = pixels.shape
    data = pixels.astype("<u2").tobytes()
    bits_at = 8 + len(data)
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, bits_at),  # bits per sample, three of them, elsewhere
        (259, 3, 1, 1),  # no compression
        (262, 3, 1, 2),  # RGB
        (273, 4, 1, 8),  # the strip begins at byte 8
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 1, len(data)),
        (284, 3, planar_entries, 1),
    ]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    header = struct.pack("<2sHI", b"II", 42, bits_at + 6)
    return header + data + struct.pack("<HHH", 16, 16, 16) + directory


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes, str], Path]:
    def write_file(data: bytes, name: str = "picture") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write_file


Write = Callable[..., Path]


# --- files that are pictures


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
@pytest.mark.parametrize("name", ["picture", "picture.txt", "wrong.jpg"])
def test_lossless_formats_are_told_by_their_content(write: Write, format: str, name: str) -> None:
    image = Image.fromarray(picture()).quantize(64) if format == "GIF" else None
    expected = picture() if image is None else np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(load_image(write(encoded(format, image), name)), expected)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "JPEG2000"])
def test_lossy_formats_are_read(write: Write, format: str) -> None:
    found = load_image(write(encoded(format)))
    assert found.shape == (24, 32, 3)
    assert np.abs(found.astype(int) - picture()).mean() < 6


def test_the_array_is_the_callers_own(write: Write) -> None:
    found = load_image(str(write(encoded("PNG"))))
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    found[...] = 0


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


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_the_first_frame_is_taken(write: Write, format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(format, frames[0], save_all=True, append_images=frames[1:], **options)
    assert (load_image(write(data)) == [255, 0, 0]).all()


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


# --- files that are not


def refusal(path: Path, **options: int) -> str:
    with pytest.raises(ImageFileError) as caught:
        load_image(path, **options)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.png")
    assert "no such file" in refusal(tmp_path / "none" / "none.png")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "directory" in refusal(tmp_path)


def test_an_empty_file_is_refused(write: Write) -> None:
    assert "empty" in refusal(write(b""))


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in refusal(tmp_path / "pipe")


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path / ("x" * 300))
    with pytest.raises(ImageFileError):
        load_image("a\0b")


@pytest.mark.parametrize(
    "data", [b"hello, I am a text", bytes(1000), b"\xff\xd8\xff", b"%!PS-Adobe-3.0 EPSF-3.0\n%%EOF"]
)
def test_files_that_are_no_pictures_are_refused(write: Write, data: bytes) -> None:
    refusal(write(data, "name.png"))


def test_formats_off_the_list_are_refused(write: Write) -> None:
    assert "It reads PNG" in refusal(write(encoded("ICO"), "icon.png"))
    assert "It reads PNG" in refusal(write(encoded("EPS"), "page.png"))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_truncated_files_are_refused(write: Write, format: str, share: float) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    data = encoded(format, Image.fromarray(noise))
    refusal(write(data[: int(len(data) * share)]))


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    format=st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM"]),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
    ),
)
def test_damaged_files_are_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, format: str, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(encoded(format, exif=Image.Exif()) if format == "JPEG" else encoded(format))
    for where, value in changes:
        data[int(where * len(data))] = value
    path = tmp_path_factory.mktemp("damaged") / "picture"
    path.write_bytes(data)
    # Anything but an array or this error fails the test.
    with suppress(ImageFileError):
        assert load_image(path, max_pixels=100_000).ndim == 3


def test_a_picture_of_no_pixels_is_refused(write: Write) -> None:
    refusal(write(png(0, 5, 8, 2, b"")))


@pytest.mark.parametrize("format", ["PNG", "GIF", "JPEG", "TIFF"])
def test_pictures_beyond_the_limit_are_refused_with_their_size(write: Write, format: str) -> None:
    path = write(encoded(format))
    assert "32x24" in refusal(path, max_pixels=32 * 24 - 1)
    assert load_image(path, max_pixels=32 * 24).shape == (24, 32, 3)


@pytest.mark.parametrize("side", [10_000, 60_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(write: Write, side: int) -> None:
    assert f"{side}x{side}" in refusal(write(png(side, side, 8, 2, b"\0" * 1000)))


def test_the_limit_can_be_raised_beyond_pillows_own(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert load_image(write(encoded("PNG"))).shape == (24, 32, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_pillows_state_is_left_alone(write: Write) -> None:
    before = list(warnings.filters)
    load_image(write(encoded("PNG")))
    refusal(write(b"nothing"))
    assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS
    assert warnings.filters == before


# --- directories


def test_pictures_of_a_directory_are_listed_in_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", "c.webp", ".hidden.png", "notes.txt", "d.png.part"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_pictures(tmp_path)] == ["a.jpeg", "b.PNG", "c.webp"]


def test_directories_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match="no picture"):
        list_pictures(tmp_path)
    with pytest.raises(ImageFileError, match="cannot be listed"):
        list_pictures(tmp_path / "none")


# --- sizes


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 120))
def test_the_longest_side_is_exact_and_proportions_are_kept(
    height: int, width: int, longest: int
) -> None:
    found = fit(np.zeros((height, width, 3), np.uint8), longest)
    assert max(found.shape[:2]) == longest
    assert min(found.shape[:2]) >= 1
    exact = min(height, width) * longest / max(height, width)
    assert abs(min(found.shape[:2]) - max(1, exact)) <= 0.5
    assert (height >= width) == (found.shape[0] >= found.shape[1]) or exact > longest - 1


def test_a_fitting_picture_is_not_touched() -> None:
    image = picture()
    assert fit(image, 32) is image


def test_resizing_keeps_colours_and_direction() -> None:
    image = picture(96, 128)[..., :2].repeat([1, 2], axis=2)
    small = fit(image, 32)
    np.testing.assert_allclose(small, picture(24, 32)[..., :2].repeat([1, 2], axis=2), atol=9)
    np.testing.assert_allclose(resize(small, 128, 96), image, atol=9)


def test_shrinking_does_not_alias() -> None:
    board = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = fit(np.repeat(board[..., np.newaxis], 3, axis=2), 100)
    assert np.abs(small[8:-8, 8:-8].astype(int) - 127).max() < 16


@pytest.mark.parametrize("size", [0, -5])
def test_sizes_that_are_not_positive_are_refused(size: int) -> None:
    with pytest.raises(OptionError, match=str(size)):
        fit(picture(), size)


# --- the network's arrays


def test_the_network_gets_contiguous_planes_and_gives_them_back() -> None:
    planes = to_network(picture())
    assert planes.shape == (1, 3, 24, 32)
    assert planes.dtype == np.float32
    assert planes.flags.c_contiguous
    np.testing.assert_array_equal(planes[0, 2], picture()[..., 2])
    back = from_network(planes)
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, picture())


def test_values_are_rounded_and_clipped_and_the_image_is_left_alone() -> None:
    image = np.array([-7, 0.4, 0.6, 254.4, 254.6, 900], np.float32).reshape(1, 3, 1, 2)
    before = image.copy()
    np.testing.assert_array_equal(from_network(image).ravel(), [0, 1, 255, 0, 254, 255])
    np.testing.assert_array_equal(image, before)
