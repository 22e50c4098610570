"""Whose colours a picture has, on numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.engine import srgb
from impasto.engine.cielab import lab_of
from impasto.engine.color import (
    RGB_TO_YUV,
    YUV_TO_RGB,
    content_chroma_lab,
    content_chroma_yuv,
    matched_styles,
    with_colors,
)
from impasto.engine.color_transfer import color_statistics, match_colors
from impasto.engine.images import ByteArray
from impasto.engine.options import ColorChoice

CHROMA = (content_chroma_yuv, content_chroma_lab)
Mix = Callable[[ByteArray, ByteArray], ByteArray]


def noise(seed: int, height: int = 33, width: int = 20) -> ByteArray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def one_pixel(*rgb: int) -> ByteArray:
    return np.array(rgb, np.uint8).reshape(1, 1, 3)


def test_the_matrices_are_each_others_inverse_and_bt_601() -> None:
    np.testing.assert_allclose(RGB_TO_YUV @ YUV_TO_RGB, np.eye(3), atol=2e-5)
    np.testing.assert_allclose(RGB_TO_YUV[0], [0.299, 0.587, 0.114])
    # Grey has no chroma; U is 0.492 (B - Y) and V is 0.877 (R - Y).
    np.testing.assert_allclose(RGB_TO_YUV[1:] @ np.ones(3), 0, atol=2e-5)
    np.testing.assert_allclose(
        RGB_TO_YUV[1:], [[-0.14711, -0.2888, 0.43591], [0.61478, -0.5148, -0.09998]], atol=3e-4
    )


def test_light_is_of_the_painted_and_colour_of_the_content() -> None:
    # Y = 0.299 * 30 + 0.587 * 90 + 0.114 * 60 = 68.64 for the painted pixel. The content's
    # (180, 100, 60) has Y = 119.36, so every channel moves by 68.64 - 119.36 = -50.72.
    found = content_chroma_yuv(one_pixel(30, 90, 60), one_pixel(180, 100, 60))
    np.testing.assert_array_equal(found, one_pixel(129, 49, 9))


def test_impossible_colours_are_clipped() -> None:
    found = content_chroma_yuv(one_pixel(255, 255, 255), one_pixel(0, 0, 255))
    np.testing.assert_array_equal(found, one_pixel(226, 226, 255))


@pytest.mark.parametrize("mix", CHROMA)
def test_a_grey_content_makes_a_grey_picture(mix: Mix) -> None:
    painted = noise(1)
    found = mix(painted, np.full((9, 7, 3), 77, np.uint8))
    assert np.ptp(found, axis=2).max() <= 1
    expected = lab_of(painted)[..., 0] if mix is content_chroma_lab else painted @ RGB_TO_YUV[0]
    light = lab_of(found)[..., 0] if mix is content_chroma_lab else found[..., 0]
    np.testing.assert_allclose(light, expected, atol=0.51)


@pytest.mark.parametrize("mix", [*CHROMA, match_colors])
def test_a_picture_keeps_itself(mix: Mix) -> None:
    np.testing.assert_array_equal(mix(noise(1), noise(1)), noise(1))


@pytest.mark.parametrize("mix", CHROMA)
def test_content_of_another_size_is_resized(mix: Mix) -> None:
    painted = np.full((8, 6, 3), 128, np.uint8)
    content = np.full((40, 30, 3), (200, 100, 50), np.uint8)
    found = mix(painted, content)
    assert found.shape == (8, 6, 3)
    np.testing.assert_array_equal(found, mix(painted, content[:8, :6]))
    assert found.dtype == np.uint8


@pytest.mark.parametrize("color", get_args(ColorChoice))
def test_strips_make_no_difference(color: str, monkeypatch: pytest.MonkeyPatch) -> None:
    painted, content = noise(1), noise(2, 40, 10) // 2
    whole = with_colors(painted, content, color), matched_styles((painted,), content, color)
    monkeypatch.setattr(srgb, "STRIP_PIXELS", 7 * 20)
    parts = with_colors(painted, content, color), matched_styles((painted,), content, color)
    np.testing.assert_array_equal(parts[0], whole[0])
    np.testing.assert_array_equal(parts[1], whole[1])


@settings(deadline=None)
@given(light=st.tuples(*3 * [st.integers(60, 190)]), chroma=st.tuples(*3 * [st.integers(100, 150)]))
def test_lightness_is_the_painted_s_and_a_b_the_content_s(
    light: tuple[int, ...], chroma: tuple[int, ...]
) -> None:
    # Of colours in the middle of the gamut nothing is clipped; rounding moves L*, a* and b* by
    # less than 1 there.
    painted, content = one_pixel(*light), one_pixel(*chroma)
    found = lab_of(content_chroma_lab(painted, content))
    expected = np.concatenate([lab_of(painted)[..., :1], lab_of(content)[..., 1:]], axis=-1)
    np.testing.assert_allclose(found, expected, atol=1)


def test_style_keeps_the_picture_and_the_style() -> None:
    painted, styles = noise(1), (noise(2), noise(3))
    assert with_colors(painted, noise(4), "style") is painted
    assert with_colors(painted, noise(4), "style-match") is painted
    for color in get_args(ColorChoice):
        if color != "style-match":
            assert matched_styles(styles, noise(4), color) is styles


def test_every_style_is_matched_and_left_alone() -> None:
    content = noise(4) // 3 + np.array([20, 60, 90], np.uint8)
    styles = tuple(noise(seed) // np.uint8(seed) for seed in (2, 3))
    before = [style.copy() for style in styles]
    wanted = color_statistics(content)
    for matched in matched_styles(styles, content, "style-match"):
        found = color_statistics(matched)
        np.testing.assert_allclose(found.mean, wanted.mean, atol=0.1)
        np.testing.assert_allclose(found.covariance, wanted.covariance, atol=0.02 * 85**2)
    np.testing.assert_array_equal(styles, before)


def test_content_match_moves_the_result() -> None:
    content = noise(4) // 3 + np.array([20, 60, 90], np.uint8)
    found, wanted = with_colors(noise(1), content, "content-match"), color_statistics(content)
    np.testing.assert_allclose(color_statistics(found).mean, wanted.mean, atol=0.1)
    np.testing.assert_array_equal(found, match_colors(noise(1), content))
