"""Files of 16 bits a colour, read back by other programs' readers."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from impasto.engine import srgb
from impasto.engine.deep_png import write_deep_png
from impasto.engine.depth import DeepArray
from impasto.engine.images import OUTPUT_SUFFIXES, load_cutout, load_image, save_image
from impasto.engine.srgb import ByteArray, srgb_profile
from impasto.errors import OutputPathError

METADATA = {"Software": "Impasto 0.1", "Style": "Hokusai, 神奈川沖浪裏"}


def noise(height: int, width: int) -> DeepArray:
    return np.random.default_rng(7).integers(0, 65536, (height, width, 3), dtype=np.uint16)


def transparency(height: int, width: int) -> ByteArray:
    return np.random.default_rng(8).integers(0, 256, (height, width), dtype=np.uint8)


def decoded(data: bytes) -> npt.NDArray[np.uint16]:
    """Decode a PNG file by libpng, to red, green, blue and alpha."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    assert found.dtype == np.uint16
    return np.asarray(found[..., [2, 1, 0, *range(3, found.shape[2])]], np.uint16)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(height=st.integers(1, 30), width=st.integers(1, 30), alpha=st.booleans())
def test_libpng_reads_every_size(height: int, width: int, alpha: bool) -> None:
    image, transparent = noise(height, width), transparency(height, width) if alpha else None
    file = io.BytesIO()
    write_deep_png(image, file, alpha=transparent, text={})
    found = decoded(file.getvalue())
    np.testing.assert_array_equal(found[..., :3], image)
    if transparent is not None:
        np.testing.assert_array_equal(found[..., 3], transparent.astype(int) * 257)


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, strips = io.BytesIO(), io.BytesIO()
    write_deep_png(noise(50, 40), whole, text={})
    monkeypatch.setattr(srgb, "STRIP_PIXELS", 100)
    write_deep_png(noise(50, 40), strips, text={})
    np.testing.assert_array_equal(decoded(strips.getvalue()), decoded(whole.getvalue()))


def test_chunks_are_in_order_and_whole() -> None:
    file = io.BytesIO()
    write_deep_png(noise(300, 400), file, text=METADATA)
    data, place, names = file.getvalue(), 8, []
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        name = data[place + 4 : place + 8]
        (checksum,) = struct.unpack_from(">I", data, place + 8 + length)
        assert checksum == zlib.crc32(data[place + 4 : place + 8 + length])
        names.append(name.decode())
        place += 12 + length
    assert list(dict.fromkeys(names)) == ["IHDR", "iCCP", "iTXt", "IDAT", "IEND"]


def test_text_and_profile_are_found(tmp_path: Path) -> None:
    save_image(noise(8, 9), tmp_path / "out.png", metadata=METADATA)
    with Image.open(tmp_path / "out.png") as image:
        assert {key: image.info[key] for key in METADATA} == METADATA
        assert image.info["icc_profile"] == srgb_profile()


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_they_are_read_as_they_were_written(tmp_path: Path, suffix: str, alpha: bool) -> None:
    image, path = noise(30, 40), tmp_path / f"out{suffix}"
    transparent = transparency(30, 40) if alpha else None
    save_image(image, path, alpha=transparent)
    found = load_cutout(path)
    # To the nearest level, or the next lower one, which is how Pillow halves the bits.
    assert np.abs(found.pixels - image / 257).max() < 1
    if transparent is None:
        assert found.alpha is None
    else:
        np.testing.assert_array_equal(found.alpha, transparent)


def test_tiffs_have_16_bits(tmp_path: Path) -> None:
    save_image(noise(600, 530), tmp_path / "out.tif", alpha=transparency(600, 530))
    found = tifffile.imread(tmp_path / "out.tif")
    np.testing.assert_array_equal(found[..., :3], noise(600, 530))
    np.testing.assert_array_equal(found[..., 3], transparency(600, 530).astype(int) * 257)


@pytest.mark.parametrize("suffix", sorted({*OUTPUT_SUFFIXES} - {".png", ".tif", ".tiff"}))
def test_other_formats_are_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(OutputPathError, match="have 8 bits"):
        save_image(noise(3, 4), tmp_path / f"out{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_without_tifffile_there_are_only_pngs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(OutputPathError, match=r"impasto\[large\]"):
        save_image(noise(3, 4), tmp_path / "out.tif")
    save_image(noise(3, 4), tmp_path / "out.png")
    assert load_image(tmp_path / "out.png").shape == (3, 4, 3)
