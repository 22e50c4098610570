"""Masks are read like any picture, take the frame of what they lie over, and say what is odd."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamed_networks import network_of

from impasto.engine.images import ByteArray
from impasto.engine.masks import load_mask, load_masks, multiplied, resize_mask
from impasto.engine.mixture import Region, guided, mixture_of, regions_of
from impasto.engine.option_files import files_of, with_files
from impasto.engine.options import Options
from impasto.errors import ImageFileError, OptionError

LIMIT = 10_000


def saved(path: Path, pixels: ByteArray, mode: str | None = None) -> str:
    Image.fromarray(pixels).convert(mode or Image.fromarray(pixels).mode).save(path)
    return str(path)


@pytest.fixture
def ramp() -> ByteArray:
    """From black on the left to white on the right."""
    return np.tile(np.linspace(0, 255, 40).astype(np.uint8), (20, 1))


@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_every_kind_of_picture_is_a_mask(tmp_path: Path, mode: str) -> None:
    pixels = np.zeros((20, 40), np.uint8)
    pixels[:, 20:] = 255
    mask = load_mask(saved(tmp_path / "mask.png", pixels, mode), (20, 40), LIMIT, "--mask")
    np.testing.assert_array_equal(mask, pixels)


def test_what_is_transparent_is_black(tmp_path: Path, ramp: ByteArray) -> None:
    white = np.full((*ramp.shape, 4), 255, np.uint8)
    white[..., 3] = ramp
    path = saved(tmp_path / "mask.png", white)
    np.testing.assert_array_equal(load_mask(path, (20, 40), LIMIT, "--mask"), ramp)


def test_a_mask_takes_the_size_of_its_picture_without_a_halo(tmp_path: Path) -> None:
    pixels = np.zeros((30, 60), np.uint8)
    pixels[:, 30:] = 255
    path = saved(tmp_path / "mask.png", pixels)
    for size in ((10, 20), (45, 90), (31, 61)):
        mask = load_mask(path, size, LIMIT, "--mask")
        assert mask.shape == size
        assert (np.diff(mask.astype(int), axis=1) >= 0).all(), "an edge, and nothing around it"
        assert (mask[:, 0].max(), mask[:, -1].min()) == (0, 255)
    assert resize_mask(pixels, pixels.shape) is pixels


def test_odd_masks_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    square = saved(tmp_path / "square.png", np.full((40, 40), 255, np.uint8))
    black = saved(tmp_path / "black.png", np.zeros((20, 40), np.uint8))
    with caplog.at_level(logging.WARNING):
        load_mask(square, (20, 40), LIMIT, "--content-mask")
        load_mask(black, (20, 40), LIMIT, "--mask")
        load_mask(square, (100, 102), LIMIT, "--mask")  # 2 % is what rounding may do
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == [
        "it is stretched to fit.",
        "nothing counts there.",
    ]
    assert "--content-mask" in caplog.text
    assert "40x40 and lies over a picture of 40x20" in caplog.text


def test_masks_are_bounded_and_damaged_ones_refused(tmp_path: Path) -> None:
    large = saved(tmp_path / "large.png", np.zeros((101, 100), np.uint8))
    with pytest.raises(ImageFileError, match="at most 10,000"):
        load_mask(large, (10, 10), LIMIT, "--mask")
    (tmp_path / "words.png").write_text("no mask")
    for name in ("words.png", "nothing.png"):
        with pytest.raises(ImageFileError, match=name):
            load_mask(str(tmp_path / name), (10, 10), LIMIT, "--mask")
    with pytest.raises(OptionError, match="--mask is empty"):
        Options(mask=("a.png", ""))


def test_products_are_rounded() -> None:
    a, b = (each.ravel().astype(np.uint8) for each in np.mgrid[0:256, 0:256])
    expected = np.floor(a.astype(float) * b / 255 + 0.5)
    np.testing.assert_array_equal(multiplied(a, b), expected)


def test_transparency_counts_in_every_mask(tmp_path: Path, ramp: ByteArray) -> None:
    path = saved(tmp_path / "mask.png", np.full((20, 40), 128, np.uint8))
    options = Options(mask=(path, "all"))
    masks = load_masks(options, (20, 40), [(9, 9)] * 2, ramp)
    np.testing.assert_array_equal(masks.regions["1"], multiplied(np.full_like(ramp, 128), ramp))
    np.testing.assert_array_equal(masks.regions["2"], ramp)
    np.testing.assert_array_equal(masks.content, ramp)
    alone = load_masks(Options(), (20, 40), [(9, 9)] * 2, ramp)
    assert list(alone.regions) == ["1"]
    nothing = load_masks(Options(), (20, 40), [(9, 9)] * 2, None)
    assert (nothing.regions, nothing.content, nothing.styles) == ({}, None, ())


def test_style_masks_take_their_picture_s_size(tmp_path: Path, ramp: ByteArray) -> None:
    options = Options(style_mask=("all", saved(tmp_path / "mask.png", ramp)))
    masks = load_masks(options, (20, 40), [(9, 9), (10, 20)], None)
    assert masks.styles[0] is None
    assert masks.styles[1] is not None
    assert masks.styles[1].shape == (10, 20)


# -- regions -------------------------------------------------------------------------------------


def test_styles_with_the_same_mask_share_a_region() -> None:
    regions = regions_of(Options(mask=("sky", "tower", "sky")), 3)
    assert regions == (
        Region("1", "sky", frozenset({0, 2})),
        Region("2", "tower", frozenset({1})),
    )
    assert regions_of(Options(), 3) == ()
    (whole,) = regions_of(Options(), 3, transparent=True)
    assert whole.styles == {0, 1, 2}


def test_every_region_has_a_term_at_each_layer_of_its_styles() -> None:
    options = Options(
        mask=("sky", "tower", "sky"),
        style_layers=("relu1_1", "relu2_1=3", "relu3_1", "relu4_1", "relu5_1"),
        layers_of=("2=relu1_1",),
        style_blend_weights=(1, 4, 3),
    )
    network = guided(network_of("vgg19"), options, 3, transparent=False)
    assert network.style_terms[:3] == ("relu1_1.1", "relu1_1.2", "relu2_1.1")
    areas = dict.fromkeys(network.style_terms, 0.25) | {"relu5_1.1": 0.0}
    mixture = mixture_of(options, network, 3, areas)
    assert mixture.shares["relu1_1.1"] == (0.25, 0, 0.75)
    assert mixture.shares["relu1_1.2"] == (0, 1, 0)
    # The mean blend weight is 8 / 3; that of the sky is 2, and that of the tower 4.
    assert mixture.weights["relu1_1.1"] == pytest.approx(0.25 * 0.75)
    assert mixture.weights["relu1_1.2"] == pytest.approx(0.25 * 1.5)
    assert mixture.weights["relu2_1.1"] == pytest.approx(3 * 0.25 * 0.75)
    assert mixture.weights["relu5_1.1"] == 0


def test_a_style_that_has_nothing_to_give_is_left_out() -> None:
    network = guided(network_of("vgg19"), Options(), 2, transparent=False)
    mixture = mixture_of(Options(), network, 2, missing={(0, "relu5_1")})
    assert mixture.shares["relu5_1"] == (0, 1)
    assert mixture.shares["relu4_1"] == (0.5, 0.5)
    both = mixture_of(Options(), network, 2, missing={(0, "relu5_1"), (1, "relu5_1")})
    assert both.weights["relu5_1"] == 0


# -- files of options ----------------------------------------------------------------------------


def test_files_of_options_are_masks_too() -> None:
    options = Options(
        mask=("a.png", "all"), style_mask=("all", "b.png"), content_mask="c.png", init="d.png"
    )
    assert sorted(map(str, files_of(options))) == ["a.png", "b.png", "c.png", "d.png"]
    moved = with_files(options, lambda path: Path("x") / path)
    assert moved.mask == ("x/a.png", "all")
    assert moved.content_mask == "x/c.png"
    assert list(files_of(Options())) == []
    assert with_files(Options(), Path.absolute) == Options()
