"""Reading picture files: formats, limits, every kind of bad file, directories."""

from __future__ import annotations

import os
import struct
import tracemalloc
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from encoded_pictures import encoded, picture, png
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from impasto.engine.images import MAX_PIXELS, ByteArray, list_pictures, load_image, picture_size
from impasto.engine.options import Options
from impasto.engine.srgb import to_srgb
from impasto.errors import ImageFileError


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
    format=st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "BigTIFF", "BMP", "GIF", "PPM"]),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
    ),
)
def test_damaged_files_are_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, format: str, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(
        encoded("TIFF", big_tiff=True)
        if format == "BigTIFF"
        else encoded("JPEG", exif=Image.Exif())
        if format == "JPEG"
        else encoded(format)
    )
    for where, value in changes:
        data[int(where * len(data))] = value
    path = tmp_path_factory.mktemp("damaged") / "picture"
    path.write_bytes(data)
    # Anything but an array or this error fails the test.
    with suppress(ImageFileError):
        assert load_image(path, max_pixels=100_000).ndim == 3


def big_tiff(*entries: tuple[int, int, int, int], count: int | None = None) -> bytes:
    """Write a BigTIFF header with a directory of tags: code, type, count, and value or place."""
    directory = struct.pack("<Q", len(entries) if count is None else count)
    directory += b"".join(struct.pack("<HHQQ", *entry) for entry in entries) + bytes(8)
    return struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) + directory + bytes(1000)


SHORT, LONG8, BYTE = 3, 16, 1
RGB_100x10 = (
    (256, LONG8, 1, 100),
    (257, LONG8, 1, 10),
    (258, SHORT, 3, 0x0008_0008_0008),
    (262, SHORT, 1, 2),
    (273, LONG8, 1, 16),
    (277, SHORT, 1, 3),
    (279, LONG8, 1, 3000),
)


@pytest.mark.parametrize(
    "data",
    [
        big_tiff(*RGB_100x10),  # cut short
        big_tiff(*RGB_100x10, count=2**60),
        big_tiff((256, LONG8, 1, 2**40), (257, LONG8, 1, 2**40), *RGB_100x10[2:]),
        big_tiff(*RGB_100x10[:4], (273, LONG8, 2**60, 16), *RGB_100x10[5:]),
        big_tiff(*RGB_100x10[:2], (258, SHORT, 2**50, 16), *RGB_100x10[3:]),
        big_tiff(*RGB_100x10[:4], (273, LONG8, 1, 2**62), *RGB_100x10[5:]),
        struct.pack("<2sHHHQ", b"II", 43, 8, 0, 2**63),
        struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16),
    ],
    ids=["cut", "tags", "size", "strips", "bits", "place", "far directory", "no directory"],
)
def test_hostile_big_tiffs_are_refused_and_cost_nothing(write: Write, data: bytes) -> None:
    path = write(data)
    tracemalloc.start()
    try:
        refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()


def test_a_picture_of_no_pixels_is_refused(write: Write) -> None:
    refusal(write(png(0, 5, 8, 2, b"")))


@pytest.mark.parametrize("format", ["PNG", "GIF", "JPEG", "TIFF"])
def test_pictures_beyond_the_limit_are_refused_with_their_size(write: Write, format: str) -> None:
    path = write(encoded(format))
    message = refusal(path, max_pixels=32 * 24 - 1)
    assert "32x24" in message
    assert "--max-pixels" in message
    assert load_image(path, max_pixels=32 * 24).shape == (24, 32, 3)


@pytest.mark.parametrize("side", [10_000, 60_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(write: Write, side: int) -> None:
    assert f"{side}x{side}" in refusal(write(png(side, side, 8, 2, b"\0" * 1000)))


def test_the_default_limit_is_pillows_and_the_options() -> None:
    assert Options().max_pixels == MAX_PIXELS == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("max_pixels", [32 * 24, MAX_PIXELS + 1, 10**12])
def test_pillows_limit_is_raised_for_decoding_only_and_never_off(
    write: Write, monkeypatch: pytest.MonkeyPatch, max_pixels: int
) -> None:
    limits: list[int | None] = []

    def watched(image: Image.Image, path: Path) -> ByteArray:
        limits.append(Image.MAX_IMAGE_PIXELS)
        return to_srgb(image, path)

    monkeypatch.setattr("impasto.engine.picture_files.to_srgb", watched)
    load_image(write(encoded("PNG")), max_pixels=max_pixels)
    assert limits == [max(max_pixels, MAX_PIXELS)]
    assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS


@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP", "TIFF", "JPEG"])
def test_a_limit_beyond_pillows_own_reaches_every_decoder(
    write: Write, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = write(encoded(format))
    assert load_image(path, max_pixels=24 * 32).shape == (24, 32, 3)
    # Pillow's WebP decoder refuses by itself what is more than twice its limit.
    assert "--max-pixels" in refusal(path, max_pixels=200)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_pillows_state_is_left_alone(write: Write) -> None:
    before = list(warnings.filters)
    load_image(write(encoded("PNG")), max_pixels=2 * MAX_PIXELS)
    for limit in (5, 2 * MAX_PIXELS):
        refusal(write(b"nothing"), max_pixels=limit)
        refusal(write(encoded("PNG")[:200]), max_pixels=limit)
    assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS
    assert warnings.filters == before


# --- sizes from the header


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_header_tells_the_size_of_the_upright_picture(
    write: Write, format: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    path = write(encoded(format, exif=exif))
    assert (*picture_size(path), 3) == load_image(path).shape


def test_sizes_are_told_without_decoding(write: Write) -> None:
    assert picture_size(write(encoded("PNG")[:200])) == (24, 32)
    with pytest.raises(ImageFileError, match="--max-pixels"):
        picture_size(write(encoded("PNG")), max_pixels=100)
    with pytest.raises(ImageFileError, match="no such file"):
        picture_size("none.png")


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
