"""Colour preservation, on numbers."""

from __future__ import annotations

import numpy as np

from impasto.engine.color import RGB_TO_YUV, YUV_TO_RGB, original_colors
from impasto.engine.images import ByteArray


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
    found = original_colors(one_pixel(30, 90, 60), one_pixel(180, 100, 60))
    np.testing.assert_array_equal(found, one_pixel(129, 49, 9))


def test_impossible_colours_are_clipped() -> None:
    found = original_colors(one_pixel(255, 255, 255), one_pixel(0, 0, 255))
    np.testing.assert_array_equal(found, one_pixel(226, 226, 255))


def test_a_grey_content_makes_a_grey_picture() -> None:
    painted = np.random.default_rng(1).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    found = original_colors(painted, np.full((9, 7, 3), 77, np.uint8))
    assert np.ptp(found, axis=2).max() <= 1
    np.testing.assert_allclose(found[..., 0], painted @ [0.299, 0.587, 0.114], atol=0.51)


def test_a_picture_keeps_itself() -> None:
    image = np.random.default_rng(1).integers(0, 256, (33, 20, 3), dtype=np.uint8)
    np.testing.assert_array_equal(original_colors(image, image), image)


def test_content_of_another_size_is_resized() -> None:
    painted = np.full((8, 6, 3), 128, np.uint8)
    content = np.full((40, 30, 3), (200, 100, 50), np.uint8)
    found = original_colors(painted, content)
    assert found.shape == (8, 6, 3)
    np.testing.assert_array_equal(found, original_colors(painted, content[:8, :6]))
    assert found.dtype == np.uint8
