"""CIELAB against published values, and there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.engine.cielab import RGB_TO_XYZ, XYZ_TO_RGB, lab_of, rgb_of

PRIMARIES = {
    # Lab of sRGB's corners under D65, to the two digits that colour calculators print.
    (0, 0, 0): (0, 0, 0),
    (255, 255, 255): (100, 0, 0),
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.73, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
    (119, 119, 119): (50.03, 0, 0),
}


@pytest.mark.parametrize(("rgb", "lab"), PRIMARIES.items())
def test_known_colours(rgb: tuple[int, ...], lab: tuple[float, ...]) -> None:
    np.testing.assert_allclose(lab_of(np.array(rgb, np.uint8)), lab, atol=0.02)


def test_the_matrix_is_that_of_bt_709_and_d65() -> None:
    # Each primary's chromaticity, and the white of (0.3127, 0.3290).
    chromaticity = RGB_TO_XYZ / RGB_TO_XYZ.sum(axis=0)
    np.testing.assert_allclose(chromaticity[:2].T, [[0.64, 0.33], [0.3, 0.6], [0.15, 0.06]])
    white = RGB_TO_XYZ.sum(axis=1)
    np.testing.assert_allclose(white[:2] / white.sum(), [0.3127, 0.3290], rtol=1e-12)
    assert white[1] == pytest.approx(1, rel=1e-15)
    np.testing.assert_allclose(XYZ_TO_RGB @ RGB_TO_XYZ, np.eye(3), atol=1e-14)


def test_greys_have_no_colour_and_rising_lightness() -> None:
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, np.newaxis], 3, axis=1)
    lab = lab_of(greys)
    np.testing.assert_allclose(lab[:, 1:], 0, atol=1e-10)
    assert (np.diff(lab[:, 0]) > 0).all()


@settings(deadline=None)
@given(st.tuples(*3 * [st.integers(0, 255)]))
def test_there_and_back(rgb: tuple[int, ...]) -> None:
    pixel = np.array(rgb, np.uint8)
    # sRGB's own constants leave a step of 1e-5 where its two curves meet.
    np.testing.assert_allclose(rgb_of(lab_of(pixel)), pixel, atol=2e-3)


def test_colours_srgb_lacks_are_clipped() -> None:
    found = rgb_of(np.array([[50.0, 200, 0], [120, 0, 0], [-10, 0, 0], [100, 0, -300]]))
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 255
    np.testing.assert_allclose(found[1:3], [[255] * 3, [0] * 3])
