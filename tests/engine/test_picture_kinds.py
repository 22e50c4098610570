"""Kinds of pixels that are easily misread: each is read right, or refused and told what it is."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from bad_pictures import with_chunk
from encoded_pictures import png
from PIL import Image

from impasto.engine.picture_files import load_cutout, load_image, picture_size
from impasto.errors import ImageFileError

HEIGHT, WIDTH = 20, 24
RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16)
SHALLOW = (DEEP >> 8).astype(np.uint8)
GREY, DEEP_GREY = SHALLOW[..., 0], DEEP[..., 0]
ALPHA = RNG.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
DEEP_ALPHA = ALPHA.astype(np.uint16) * 257
INKS = np.dstack([SHALLOW, np.zeros_like(GREY)])

Write = Callable[[Path], Any]


@dataclass(frozen=True)
class Kind:
    """A file, and what it means: levels of 0-255 (of one channel if grey), and alpha."""

    write: Write
    levels: Any
    alpha: Any = None


def tiff(values: Any, photometric: str, **options: Any) -> Write:
    return lambda path: tifffile.imwrite(path, values, photometric=photometric, **options)


def data(content: bytes) -> Write:
    return lambda path: path.write_bytes(content)


def rows(values: Any) -> bytes:
    """Return PNG rows without a filter."""
    return b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in values)


def packed(values: Any, bits: int, before: bytes = b"") -> bytes:
    """Return values of a few bits each, rows filled up to bytes."""
    lines = []
    for row in values:
        text = "".join(format(int(value), f"0{bits}b") for value in row)
        text += "0" * (-len(text) % 8)
        lines.append(before + int(text, 2).to_bytes(len(text) // 8, "big"))
    return b"".join(lines)


def grey_tiff(bits: int, photometric: int) -> Write:
    """Write grey of any number of bits by TIFF 6.0, which Pillow and tifffile do not."""
    pixels = packed(DEEP_GREY >> (16 - bits), bits)
    entries = [
        *((256, 3, 1, WIDTH), (257, 3, 1, HEIGHT), (258, 3, 1, bits), (259, 3, 1, 1)),
        *((262, 3, 1, photometric), (273, 4, 1, 8 + 2 + 9 * 12 + 4), (277, 3, 1, 1)),
        *((278, 3, 1, HEIGHT), (279, 4, 1, len(pixels))),
    ]
    directory = struct.pack("<H", 9) + b"".join(struct.pack("<HHII", *each) for each in entries)
    return data(struct.pack("<2sHI", b"II", 42, 8) + directory + bytes(4) + pixels)


def levels(bits: int) -> Any:
    return (DEEP_GREY >> (16 - bits)) / (2**bits - 1) * 255


def seen_through(values: Any) -> Any:
    """Return alpha where one colour, that of the first pixel, is transparent."""
    same = values == values[0, 0]
    return np.where(same.all(axis=-1) if values.ndim == 3 else same, 0, 255)


def keyed(content: bytes, *key: int) -> bytes:
    return with_chunk(content, b"tRNS", struct.pack(f">{len(key)}H", *map(int, key)))


RIGHT: Mapping[str, Kind] = {
    "TIFF, 16 bits": Kind(tiff(DEEP, "rgb"), DEEP / 257),
    "TIFF, 16 bits, big-endian": Kind(tiff(DEEP, "rgb", byteorder=">"), DEEP / 257),
    "TIFF, 8 bits in planes": Kind(
        tiff(SHALLOW.transpose(2, 0, 1).copy(), "rgb", planarconfig="separate"), SHALLOW
    ),
    "TIFF, 16 bits, alpha": Kind(
        tiff(np.dstack([DEEP, DEEP_ALPHA]), "rgb", extrasamples=["unassalpha"]), DEEP / 257, ALPHA
    ),
    "TIFF, a channel that is no alpha": Kind(
        tiff(np.dstack([SHALLOW, ALPHA]), "rgb", extrasamples=["unspecified"]), SHALLOW
    ),
    "TIFF, grey with alpha": Kind(
        tiff(np.dstack([GREY, ALPHA]), "minisblack", extrasamples=["unassalpha"]), GREY, ALPHA
    ),
    "TIFF, grey, 16 bits": Kind(tiff(DEEP_GREY, "minisblack"), DEEP_GREY / 257),
    "TIFF, grey, 16 bits, big-endian": Kind(
        tiff(DEEP_GREY, "minisblack", byteorder=">"), DEEP_GREY / 257
    ),
    "TIFF, grey, 16 bits, white is 0": Kind(tiff(DEEP_GREY, "miniswhite"), 255 - DEEP_GREY / 257),
    "TIFF, grey, white is 0": Kind(tiff(GREY, "miniswhite"), 255 - GREY),
    "TIFF, bilevel, white is 0": Kind(tiff(GREY > 127, "miniswhite"), np.where(GREY > 127, 0, 255)),
    "TIFF, floats": Kind(
        tiff((DEEP_GREY / 65535).astype(np.float32), "minisblack"), DEEP_GREY / 257
    ),
    **{
        f"TIFF, grey, {bits} bits, white is {'most' if photometric else 0}": Kind(
            grey_tiff(bits, photometric), levels(bits) if photometric else 255 - levels(bits)
        )
        for bits in (1, 2, 4)
        for photometric in (0, 1)
    },
    "TIFF, grey, 12 bits": Kind(grey_tiff(12, 1), levels(12)),
    "TIFF, inks": Kind(tiff(INKS, "separated"), 255 - SHALLOW.astype(int)),
    "TIFF, inks, 16 bits": Kind(
        tiff(INKS.astype(np.uint16) * 257, "separated"), 255 - SHALLOW.astype(int)
    ),
    "PNG, 16 bits": Kind(data(png(WIDTH, HEIGHT, 16, 2, rows(DEEP))), DEEP / 257),
    "PNG, 16 bits, alpha": Kind(
        data(png(WIDTH, HEIGHT, 16, 6, rows(np.dstack([DEEP, DEEP_ALPHA])))), DEEP / 257, ALPHA
    ),
    "PNG, grey, 16 bits, alpha": Kind(
        data(png(WIDTH, HEIGHT, 16, 4, rows(np.dstack([DEEP_GREY, DEEP_ALPHA])))),
        DEEP_GREY / 257,
        ALPHA,
    ),
    **{
        f"PNG, grey, {bits} bits": Kind(
            data(png(WIDTH, HEIGHT, bits, 0, packed(DEEP_GREY >> (16 - bits), bits, b"\0"))),
            levels(bits),
        )
        for bits in (1, 2, 4)
    },
    "PNG, one grey is transparent": Kind(
        data(keyed(png(WIDTH, HEIGHT, 8, 0, rows(GREY)), GREY[0, 0])), GREY, seen_through(GREY)
    ),
    "PNG, one grey of 16 bits is transparent": Kind(
        data(keyed(png(WIDTH, HEIGHT, 16, 0, rows(DEEP_GREY)), DEEP_GREY[0, 0])),
        DEEP_GREY / 257,
        seen_through(DEEP_GREY),
    ),
    "PNG, one colour is transparent": Kind(
        data(keyed(png(WIDTH, HEIGHT, 8, 2, rows(SHALLOW)), *SHALLOW[0, 0])),
        SHALLOW,
        seen_through(SHALLOW),
    ),
    "PGM, white is 1000": Kind(
        data(b"P5 24 20 1000\n" + (DEEP_GREY // 66).astype(">u2").tobytes()),
        (DEEP_GREY // 66) / 1000 * 255,
    ),
    "PPM, 16 bits": Kind(data(b"P6 24 20 65535\n" + DEEP.astype(">u2").tobytes()), DEEP / 257),
}


@pytest.mark.parametrize("name", RIGHT)
def test_pixels_are_what_they_mean_to_the_next_level(tmp_path: Path, name: str) -> None:
    kind, path = RIGHT[name], tmp_path / "picture"
    kind.write(path)
    found = load_cutout(path)
    wanted = np.asarray(kind.levels, np.float64)
    wanted = wanted if wanted.ndim == 3 else np.repeat(wanted[..., np.newaxis], 3, axis=2)
    seen = np.full((HEIGHT, WIDTH), True) if kind.alpha is None else kind.alpha > 0
    # Pillow keeps the upper half of 16-bit colours: that is up to a whole level too dark.
    assert np.abs(found.pixels - wanted)[seen].max() < 1
    if kind.alpha is None:
        assert found.alpha is None
    else:
        np.testing.assert_array_equal(found.alpha, kind.alpha)


@pytest.mark.parametrize("deep", [False, True])
def test_colours_that_were_multiplied_by_alpha_are_divided_again(
    tmp_path: Path, deep: bool
) -> None:
    share = ALPHA[..., np.newaxis] / 255
    pixels = np.dstack([np.rint(DEEP * share).astype(np.uint16), DEEP_ALPHA])
    if not deep:
        pixels = np.dstack([np.rint(SHALLOW * share).astype(np.uint8), ALPHA])
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["assocalpha"])
    found = load_cutout(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.alpha, ALPHA)
    # What is seen, on white: to two levels, however little of the colour is left.
    wanted = SHALLOW * share + 255 * (1 - share)
    assert np.abs(found.on_white() - wanted).max() <= 2


REFUSED: Mapping[str, tuple[Write, str]] = {
    "16 bits in planes": (
        tiff(DEEP.transpose(2, 0, 1).copy(), "rgb", planarconfig="separate"),
        "one plane for each colour",
    ),
    "signed numbers": (tiff((DEEP_GREY >> 1).astype(np.int16), "minisblack"), "signed"),
    "32 bits": (tiff(DEEP_GREY.astype(np.uint32) * 65537, "minisblack"), "which of them is white"),
    "half floats": (tiff((DEEP_GREY / 65535).astype(np.float16), "minisblack"), "8 or 16 bits"),
    "floats of three colours": (tiff((DEEP / 65535).astype(np.float32), "rgb"), "8 or 16 bits"),
    "doubles": (tiff(DEEP_GREY / 65535, "minisblack"), "8 or 16 bits"),
    "10 bits": (grey_tiff(10, 1), "8 or 16 bits"),
    "14 bits": (grey_tiff(14, 1), "8 or 16 bits"),
    "12 bits, white is 0": (grey_tiff(12, 0), "8 or 16 bits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_kinds_are_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    write, reason = REFUSED[name]
    write(tmp_path / "a.tif")
    with pytest.raises(ImageFileError, match=reason):
        load_image(tmp_path / "a.tif")


def test_one_colour_of_16_bits_stays_opaque_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dark = DEEP.copy()
    dark[0, 1] = 5  # what is left of the key, and of this colour, in 8 bits
    path = tmp_path / "a.png"
    path.write_bytes(keyed(png(WIDTH, HEIGHT, 16, 2, rows(dark)), 5, 5, 5))
    assert load_cutout(path).alpha is None
    assert "ignored" in caplog.text


def frames(path: Path, format: str, count: int = 3) -> Path:
    pictures = [Image.new("RGB", (20, 10), (80 * n, 0, 0)) for n in range(count)]
    pictures[0].save(path, format, save_all=True, append_images=pictures[1:])
    return path


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_animations_are_refused_but_not_pictures_of_these_formats(
    tmp_path: Path, format: str
) -> None:
    moving, still = frames(tmp_path / "moving", format), frames(tmp_path / "still", format, 1)
    for read in (load_image, load_cutout, picture_size):
        with pytest.raises(ImageFileError, match=r"animation.*impasto video"):
            read(moving)
        read(still)
    assert picture_size(moving, animated=True) == (10, 20)


@pytest.mark.parametrize("format", ["TIFF", "MPO"])
def test_of_several_pictures_the_first_is_taken(
    tmp_path: Path, format: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_image(frames(tmp_path / "several", format)).max() == 0
    assert ("pages" in caplog.text) is (format == "TIFF")
