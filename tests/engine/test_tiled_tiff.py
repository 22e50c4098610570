"""BigTIFF output: what other readers find in it, what it costs, and TIFF without tifffile."""

from __future__ import annotations

import io
import json
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from impasto.engine.images import ByteArray, check_output_size, load_image, save_image
from impasto.engine.srgb import srgb_profile
from impasto.engine.tiled_tiff import TILE, has_tifffile, write_tiled_tiff
from impasto.errors import ImpastoError, OutputPathError

CLASSIC, BIG = b"II\x2a\0", b"II\x2b\0"  # TIFF 6.0, section 2; BigTIFF's version is 43


def noise(height: int, width: int) -> ByteArray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def no_tifffile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tifffile", None)


def test_files_are_tiled_big_tiffs_that_say_what_they_are(tmp_path: Path) -> None:
    metadata = {"Software": "Impasto 0.1", "Style": "Hokusai, 神奈川沖浪裏"}
    save_image(noise(600, 700), tmp_path / "out.TIFF", metadata=metadata)
    assert (tmp_path / "out.TIFF").read_bytes()[:4] == BIG
    with tifffile.TiffFile(tmp_path / "out.TIFF") as file:
        page = file.pages.first
        assert len(file.pages) == 1
        assert page.tile == (TILE, TILE)
        assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        assert page.photometric == tifffile.PHOTOMETRIC.RGB
        assert page.software == "Impasto 0.1"
        assert page.description.isascii()
        assert json.loads(page.description) == metadata
        assert page.iccprofile == srgb_profile()


def test_without_metadata_there_are_no_tags_for_it(tmp_path: Path) -> None:
    save_image(noise(5, 4), tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        tags = {tag.name for tag in file.pages.first.tags}
        assert not {"ImageDescription", "Software", "DateTime"} & tags


@settings(deadline=None, derandomize=True, max_examples=20)
@given(
    height=st.one_of(st.integers(1, 40), st.integers(TILE - 2, TILE + 2)),
    width=st.one_of(st.integers(1, 40), st.integers(2 * TILE - 2, 2 * TILE + 2)),
)
def test_every_reader_finds_every_pixel(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int
) -> None:
    path, pixels = tmp_path_factory.mktemp("tiff") / "out.tif", noise(height, width)
    save_image(pixels, path)
    np.testing.assert_array_equal(tifffile.imread(path).reshape(pixels.shape), pixels)
    np.testing.assert_array_equal(load_image(path), pixels)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("view", ["mirrored", "transposed", "read-only"])
def test_pictures_of_any_layout_are_written(tmp_path: Path, view: str) -> None:
    pixels = noise(530, 40)
    if view == "read-only":
        pixels.flags.writeable = False
    else:
        pixels = pixels[::-1, ::-1] if view == "mirrored" else pixels.transpose(1, 0, 2)
    save_image(pixels, tmp_path / "out.tif")
    np.testing.assert_array_equal(load_image(tmp_path / "out.tif"), pixels)


def test_no_copy_of_the_picture_is_made() -> None:
    pixels = np.zeros((4096, 8192, 3), np.uint8)
    file = io.BytesIO()
    write_tiled_tiff(pixels[:8, :8], file)  # imports tifffile
    tracemalloc.start()
    try:
        write_tiled_tiff(pixels, file)
        assert tracemalloc.get_traced_memory()[1] < pixels.nbytes / 4
    finally:
        tracemalloc.stop()


# --- without tifffile


@pytest.mark.usefixtures("no_tifffile")
def test_pillow_writes_tiffs_where_tifffile_is_not_installed(tmp_path: Path) -> None:
    assert not has_tifffile()
    save_image(noise(60, 70), tmp_path / "out.tif")
    assert (tmp_path / "out.tif").read_bytes()[:4] == CLASSIC
    np.testing.assert_array_equal(load_image(tmp_path / "out.tif"), noise(60, 70))


@pytest.mark.usefixtures("no_tifffile")
def test_tiffs_of_4_gb_are_refused_where_tifffile_is_not_installed(tmp_path: Path) -> None:
    path = tmp_path / "out.tif"
    with pytest.raises(OutputPathError, match=r"40000x40000.*pip install 'impasto\[large\]'"):
        check_output_size(path, 40_000, 40_000)
    huge = np.broadcast_to(np.zeros(3, np.uint8), (40_000, 40_000, 3))
    with pytest.raises(ImpastoError, match=r"could not be written.*impasto\[large\]"):
        save_image(huge, path)
    assert list(tmp_path.iterdir()) == []


def test_tiffs_of_any_size_are_accepted_with_tifffile(tmp_path: Path) -> None:
    assert has_tifffile()
    check_output_size(tmp_path / "out.tif", 131_072, 131_072)
