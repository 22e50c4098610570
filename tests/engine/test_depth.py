"""Pictures of 16 bits: rendered, coloured, blended and reduced as those of 8 are, only finer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.engine.cielab import lab_of
from impasto.engine.color import with_colors
from impasto.engine.color_transfer import color_statistics
from impasto.engine.cutouts import blended_into
from impasto.engine.depth import eight_bits
from impasto.engine.images import ByteArray, Cutout, from_network
from impasto.engine.options import ColorChoice


def noise(seed: int, height: int = 21, width: int = 30) -> ByteArray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_white_is_65535_and_what_is_outside_is_clipped() -> None:
    image = np.array([-3, 0, 1, 100.5, 254.9, 300], np.float32).reshape(1, 3, 1, 2)
    found = from_network(image, 16)
    assert found.dtype == np.uint16
    expected = np.rint(np.clip(image, 0, 255) * 257)[0].transpose(1, 2, 0)
    np.testing.assert_array_equal(found, expected)
    assert (found.min(), found.max()) == (0, 65535)


def test_rounded_to_8_bits_it_is_the_nearest_level() -> None:
    every = np.arange(65536, dtype=np.uint16).repeat(3).reshape(256, 256, 3)
    found = eight_bits(every)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(float) - every / 257).max() <= 0.5
    np.testing.assert_array_equal(eight_bits(found), found)


@pytest.mark.parametrize("color", get_args(ColorChoice))
@settings(deadline=None, derandomize=True, max_examples=10)
@given(seed=st.integers(0, 2**31))
def test_colours_are_those_of_the_8_bit_picture_within_its_rounding(color: str, seed: int) -> None:
    painted, content = noise(seed), noise(seed + 1, 13, 17)
    coarse = with_colors(painted, content, color)
    fine = with_colors(painted.astype(np.uint16) * 257, content, color)
    assert fine.dtype == np.uint16
    assert np.abs(fine / 257 - coarse).max() <= 0.51


@pytest.mark.parametrize("color", ["content-luma", "content-luma-lab", "content-match"])
def test_colours_keep_the_steps_between_levels(color: str) -> None:
    ramp = np.linspace(20000, 22000, 600).astype(np.uint16).reshape(20, 30, 1).repeat(3, axis=2)
    content = np.full((20, 30, 3), 90, np.uint8)
    content[:, 15:] = 110
    found = with_colors(ramp, content, color)
    # 2000 steps are 8 levels: in 8 bits no more than 9 values of them would be left.
    assert len(np.unique(found[..., 1])) > 400


def test_lab_of_16_bits_agrees_with_lab_of_8() -> None:
    pixels = noise(3)
    np.testing.assert_allclose(lab_of(pixels.astype(np.uint16) * 257), lab_of(pixels), atol=1e-9)


def test_statistics_of_16_bits_are_in_levels() -> None:
    pixels = noise(4)
    fine, coarse = color_statistics(pixels.astype(np.uint16) * 257), color_statistics(pixels)
    np.testing.assert_allclose(fine.mean, coarse.mean, rtol=1e-12)
    np.testing.assert_allclose(fine.covariance, coarse.covariance, rtol=1e-9)


def test_a_cutout_shows_through_in_16_bits() -> None:
    painted = np.full((1, 3, 3), 65535, np.uint16)
    under = np.full((1, 3, 3), 100, np.uint8)
    found = blended_into(painted, Cutout(under, np.array([[0, 128, 255]], np.uint8)))
    expected = [100 * 257, round(257 * (100 + (255 - 100) * 128 / 255)), 65535]
    np.testing.assert_array_equal(found[0, :, 0], expected)


@pytest.mark.parametrize("reduce", [eight_bits, lambda deep: with_colors(deep, noise(1), "style")])
def test_pictures_are_left_alone(reduce: Callable[[Any], Any]) -> None:
    deep = noise(5).astype(np.uint16) * 257
    before = deep.copy()
    reduce(deep)
    np.testing.assert_array_equal(deep, before)
