"""Writing pictures: what is refused beforehand, what is in the file, and never half a file."""

from __future__ import annotations

import io
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from impasto.engine.images import ByteArray, load_image
from impasto.engine.options import MAX_SIZE
from impasto.engine.outputs import (
    OUTPUT_SUFFIXES,
    check_output_alpha,
    check_output_path,
    check_output_size,
    save_image,
)
from impasto.engine.picture_files import load_cutout
from impasto.engine.srgb import srgb_profile
from impasto.errors import ImpastoError, OutputPathError

LOSSLESS = tuple(suffix for suffix in OUTPUT_SUFFIXES if suffix not in (".jpg", ".jpeg", ".avif"))
OPAQUE = (".jpg", ".jpeg", ".bmp")


def picture() -> ByteArray:
    y, x = np.mgrid[0:30, 0:40]
    return np.stack([6 * x, 8 * y, 3 * (x + y)], axis=-1).astype(np.uint8)


def noise(side: int) -> ByteArray:
    return np.random.default_rng(2).integers(0, 256, (side, side, 3), dtype=np.uint8)


# --- checks before the run


@pytest.mark.parametrize("name", ["out.gif", "out", "out.png.txt", "out.", ".png", "out.svg"])
def test_unknown_suffixes_are_refused_with_the_list(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputPathError, match=r"\.png \.jpg"):
        check_output_path(tmp_path / name, overwrite=False)


@pytest.mark.parametrize("suffix", [*OUTPUT_SUFFIXES, ".PNG", ".JpG"])
def test_known_suffixes_are_accepted(tmp_path: Path, suffix: str) -> None:
    check_output_path(tmp_path / f"out{suffix}", overwrite=False)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputPathError, match="no directory"):
        check_output_path(tmp_path / "none" / "out.png", overwrite=False)


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputPathError, match="no directory"):
        check_output_path(tmp_path / "file" / "out.png", overwrite=False)


def test_a_directory_as_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.png").mkdir()
    with pytest.raises(OutputPathError, match="is a directory"):
        check_output_path(tmp_path / "out.png", overwrite=True)


def test_an_existing_file_is_refused_unless_overwriting(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"precious")
    with pytest.raises(OutputPathError, match="--overwrite"):
        check_output_path(path, overwrite=False)
    check_output_path(path, overwrite=True)
    assert path.read_bytes() == b"precious"


def test_an_input_is_refused_under_any_name_and_even_when_overwriting(tmp_path: Path) -> None:
    content = tmp_path / "photo.png"
    save_image(picture(), content)
    (tmp_path / "link.png").symlink_to(content)
    os.link(content, tmp_path / "hard.png")
    (tmp_path / "sub").mkdir()
    for name in ("photo.png", "link.png", "hard.png", "sub/../photo.png"):
        with pytest.raises(OutputPathError, match="one of the inputs"):
            check_output_path(tmp_path / name, overwrite=True, inputs=[tmp_path / "x", content])


def test_special_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out.png")
    with pytest.raises(OutputPathError, match="no regular file"):
        check_output_path(tmp_path / "out.png", overwrite=True)


def test_names_that_no_file_can_have_are_refused(tmp_path: Path) -> None:
    for name in ("x" * 300 + ".png", "a\0b.png"):
        with pytest.raises(OutputPathError):
            check_output_path(tmp_path / name, overwrite=False)


def test_pictures_too_long_for_their_format_are_refused(tmp_path: Path) -> None:
    check_output_path(tmp_path / "out.webp", overwrite=False, longest_side=16383)
    check_output_path(tmp_path / "out.png", overwrite=False, longest_side=32768)
    with pytest.raises(OutputPathError, match="16383"):
        check_output_path(tmp_path / "out.webp", overwrite=False, longest_side=16384)


@pytest.mark.parametrize(
    ("name", "width", "height"),
    [("a.jpg", 65500, 9), ("a.JPEG", 9, 65500), ("a.webp", 16383, 16383), ("a.bmp", 37000, 38000)],
)
def test_sizes_are_accepted_up_to_what_the_format_holds(name: str, width: int, height: int) -> None:
    check_output_size(name, width, height)
    with pytest.raises(OutputPathError, match=r"Use \.png or \.tif"):
        check_output_size(name, width + 1000, height + 1000)


def test_png_holds_what_there_is(tmp_path: Path) -> None:
    check_output_size(tmp_path / "out.png", MAX_SIZE, MAX_SIZE)
    with pytest.raises(OutputPathError, match="has the suffix"):
        check_output_size(tmp_path / "out.gif", 1, 1)


# --- what is in the file


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_files_give_the_picture_back(tmp_path: Path, suffix: str) -> None:
    save_image(picture(), tmp_path / f"out{suffix}")
    np.testing.assert_array_equal(load_image(tmp_path / f"out{suffix}"), picture())


@pytest.mark.parametrize("suffix", [s for s in LOSSLESS if s not in OPAQUE])
def test_lossless_files_give_alpha_and_the_colours_below_it_back(
    tmp_path: Path, suffix: str
) -> None:
    alpha = noise(40)[:30, :, 0]
    alpha[:5] = 0
    save_image(picture(), tmp_path / f"out{suffix}", alpha=alpha)
    found = load_cutout(tmp_path / f"out{suffix}")
    np.testing.assert_array_equal(found.pixels, picture())
    np.testing.assert_array_equal(found.alpha, alpha)


def test_avif_keeps_the_resolution_of_colour_and_alpha(tmp_path: Path) -> None:
    alpha = np.zeros((30, 40), np.uint8)
    alpha[:, 20:] = 255
    save_image(picture(), tmp_path / "out.avif", alpha=alpha)
    found = load_cutout(tmp_path / "out.avif")
    assert np.abs(found.pixels[:, 20:].astype(int) - picture()[:, 20:]).mean() < 3
    assert found.alpha is not None
    assert np.abs(found.alpha.astype(int) - alpha).max() < 20


@pytest.mark.parametrize("suffix", OPAQUE)
def test_alpha_is_refused_where_it_would_be_lost(tmp_path: Path, suffix: str) -> None:
    alpha = np.zeros((30, 40), np.uint8)
    refused = r"cannot be transparent. Use one of \.png \."
    with pytest.raises(OutputPathError, match=refused):
        check_output_alpha(f"out{suffix}")
    with pytest.raises(OutputPathError, match=refused):
        save_image(picture(), tmp_path / f"out{suffix}", alpha=alpha)
    assert list(tmp_path.iterdir()) == []


def test_jpegs_are_fine_and_keep_the_resolution_of_colour(tmp_path: Path) -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = (255, 0, 0)
    stripes[:, 1::2] = (0, 0, 255)
    save_image(stripes, tmp_path / "out.jpg")
    found = load_image(tmp_path / "out.jpg")
    assert np.abs(found.astype(int) - stripes).max() < 40  # 4:2:0 would make it purple


def test_jpegs_of_large_and_noisy_pictures_are_written(tmp_path: Path) -> None:
    save_image(noise(600), tmp_path / "out.jpg")  # more than two bytes a pixel
    found = load_image(tmp_path / "out.jpg")
    assert np.abs(found.astype(int) - noise(600)).mean() < 4


@pytest.mark.parametrize("suffix", [s for s in OUTPUT_SUFFIXES if s != ".bmp"])
def test_files_say_that_they_are_srgb(tmp_path: Path, suffix: str) -> None:
    save_image(picture(), tmp_path / f"out{suffix}")
    with Image.open(tmp_path / f"out{suffix}") as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert "sRGB" in str(profile.profile.profile_description)


@pytest.mark.parametrize("suffix", OUTPUT_SUFFIXES)
def test_the_same_picture_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    for name in ("one", "two"):
        save_image(picture(), tmp_path / (name + suffix), metadata={"Software": "Impasto"})
    one, two = (tmp_path / (name + suffix) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_the_profile_does_not_depend_on_the_day() -> None:
    assert srgb_profile()[24:36] == bytes([7, 208, 0, 1, 0, 1]) + bytes(6)  # 2000-01-01


METADATA = {"Software": "Impasto 0.1", "Style": "Hokusai, 神奈川沖浪裏"}


def test_png_metadata_is_text(tmp_path: Path) -> None:
    save_image(picture(), tmp_path / "out.png", metadata=METADATA)
    with Image.open(tmp_path / "out.png") as image:
        assert {key: image.info[key] for key in METADATA} == METADATA


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif", ".tif"])
def test_exif_metadata_is_json(tmp_path: Path, suffix: str) -> None:
    save_image(picture(), tmp_path / f"out{suffix}", metadata=METADATA)
    with Image.open(tmp_path / f"out{suffix}") as image:
        exif = image.getexif()
        assert json.loads(exif[0x010E]) == METADATA
        assert exif[0x0131] == "Impasto 0.1"


# --- whole or not at all


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """Let no file grow beyond `room` bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", OUTPUT_SUFFIXES)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    path.write_bytes(b"old")
    with full_disk(2000), pytest.raises(ImpastoError, match="could not be written") as caught:
        save_image(noise(128), path)
    assert caught.value.exit_code == 1
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_went_away_is_an_error_of_our_own(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="could not be written"):
        save_image(picture(), tmp_path / "gone" / "out.png")


def test_a_picture_too_large_for_its_format_is_an_error_of_our_own(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="could not be written"):
        save_image(np.zeros((1, 16384, 3), np.uint8), tmp_path / "out.webp")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_writing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_self: Path, _target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_image(picture(), tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suffix_is_refused_when_saving_too(tmp_path: Path) -> None:
    with pytest.raises(OutputPathError):
        save_image(picture(), tmp_path / "out.gif")


def test_an_existing_file_is_replaced_and_a_link_followed(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to("real.png")
    save_image(picture(), tmp_path / "link.png")
    assert (tmp_path / "link.png").is_symlink()
    np.testing.assert_array_equal(load_image(tmp_path / "real.png"), picture())


def test_files_get_the_permissions_of_the_users_other_files(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    save_image(picture(), tmp_path / "out.png")
    modes = {(tmp_path / name).stat().st_mode for name in ("other", "out.png")}
    assert len(modes) == 1
