"""Other sizes: exact, in proportion, without aliasing, and unclipped where values go on."""

from __future__ import annotations

import numpy as np
import pytest
from encoded_pictures import picture
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.engine.images import (
    Cutout,
    fit,
    fit_cutout,
    fitted_size,
    from_network,
    resize,
    resize_image,
    to_network,
)
from impasto.errors import OptionError


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 120))
def test_the_longest_side_is_exact_and_proportions_are_kept(
    height: int, width: int, longest: int
) -> None:
    found = fit(np.zeros((height, width, 3), np.uint8), longest)
    assert found.shape == (*fitted_size(height, width, longest), 3)
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


# --- pictures with alpha


def test_transparent_colours_do_not_show_in_resized_pictures() -> None:
    pixels = np.full((40, 40, 3), (200, 100, 50), np.uint8)
    pixels[:, 20:] = (0, 0, 255)
    alpha = np.zeros((40, 40), np.uint8)
    alpha[:, :20] = 255
    found = fit_cutout(Cutout(pixels, alpha), 15)
    assert found.alpha is not None
    visible = found.alpha > 16
    assert visible.sum() >= 15 * 7
    assert np.abs(found.pixels[visible].astype(int) - (200, 100, 50)).max() <= 1


def test_alpha_is_resized_as_a_picture_is() -> None:
    alpha = picture()[..., 0]
    found = fit_cutout(Cutout(picture(), alpha), 20)
    expected = fit(np.repeat(alpha[..., np.newaxis], 3, axis=2), 20)[..., 0]
    np.testing.assert_array_equal(found.alpha, expected)
    same = Cutout(picture(), alpha)
    assert fit_cutout(same, 32) is same
    np.testing.assert_array_equal(fit_cutout(Cutout(picture()), 9).pixels, fit(picture(), 9))


# --- float images


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(1, 60), st.integers(1, 60))
def test_images_are_resized_as_pictures_are(height: int, width: int) -> None:
    found = resize_image(to_network(picture()), height, width)
    assert found.shape == (1, 3, height, width)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    # Pictures are rounded between the two directions, too.
    np.testing.assert_allclose(from_network(found), resize(picture(), width, height), atol=2)


@pytest.mark.parametrize("size", [(12, 16), (48, 64), (17, 90)])
def test_values_beyond_the_range_of_pictures_are_kept(size: tuple[int, int]) -> None:
    image = np.empty((1, 3, 24, 32), np.float32)
    image[0] = np.array([-30, 300, 1e4], np.float32).reshape(3, 1, 1)
    before = image.copy()
    found = resize_image(image, *size)
    np.testing.assert_allclose(found, np.broadcast_to(image[..., :1, :1], found.shape), rtol=1e-5)
    np.testing.assert_array_equal(image, before)


def test_overshoot_of_float_images_is_not_clipped() -> None:
    step = np.zeros((1, 3, 8, 8), np.float32)
    step[..., 4:] = 255
    found = resize_image(step, 32, 32)
    assert -30 < found.min() < -1
    assert 256 < found.max() < 285


def test_fractions_survive_and_slices_may_be_given() -> None:
    image = np.random.default_rng(3).normal(0, 1e-3, (1, 3, 40, 40)).astype(np.float32)
    found = resize_image(image[:, :, ::2, ::2], 40, 40)
    assert 1e-4 < np.abs(found).max() < 1e-2


def test_a_float_image_of_the_size_is_not_touched() -> None:
    image = to_network(picture())
    assert resize_image(image, 24, 32) is image


@pytest.mark.parametrize("size", [(48, 64), (12, 16), (36, 16)])
def test_a_torus_is_resized_alike_wherever_it_is_cut_open(size: tuple[int, int]) -> None:
    image = np.random.default_rng(4).uniform(0, 255, (1, 3, 24, 32)).astype(np.float32)
    shift = np.array([8, -16])
    rolled_by = tuple((shift * size) // (24, 32))
    rolled = np.roll(image, tuple(shift), (2, 3))
    for wraps in (True, False):
        expected = np.roll(resize_image(image, *size, wraps=wraps), rolled_by, (2, 3))
        found = resize_image(rolled, *size, wraps=wraps)
        assert bool(np.abs(found - expected).max() < 1e-2) is wraps
    # Far from the borders it makes no difference.
    inside = np.s_[..., size[0] // 2, size[1] // 2]
    np.testing.assert_allclose(
        resize_image(image, *size, wraps=True)[inside],
        resize_image(image, *size)[inside],
        rtol=1e-5,
    )


def test_a_small_torus_is_resized() -> None:
    image = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
    found = resize_image(image, 16, 16, wraps=True)
    np.testing.assert_allclose(found.mean((2, 3)), image.mean((2, 3)), atol=0.05)
