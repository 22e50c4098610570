"""Warping: known flows, and any flow against an oracle in float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import photo

from impasto.engine.video.warping import inside, warp

F64 = npt.NDArray[np.float64]


def bilinear(picture: npt.NDArray[np.uint8], x: float, y: float) -> F64:
    """The value between four pixels, of a position held within the picture."""
    height, width, _ = picture.shape
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    left, top = min(int(x), max(width - 2, 0)), min(int(y), max(height - 2, 0))
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    a, b = x - left, y - top
    rows = [
        (1 - a) * picture[row, left].astype(np.float64) + a * picture[row, right]
        for row in (top, bottom)
    ]
    return np.asarray((1 - b) * rows[0] + b * rows[1])


def constant_flow(height: int, width: int, x: float, y: float) -> npt.NDArray[np.float32]:
    return np.full((height, width, 2), (x, y), np.float32)


def photo_bytes(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.asarray(photo(height, width)[0].transpose(1, 2, 0), np.uint8)


def test_no_flow_changes_nothing() -> None:
    picture = photo_bytes(37, 51)
    np.testing.assert_array_equal(warp(picture, constant_flow(37, 51, 0, 0)), picture)


@pytest.mark.parametrize(("x", "y"), [(3, 0), (0, -2), (-5, 4), (50, 36)])
def test_a_whole_shift_moves_pixels(x: int, y: int) -> None:
    picture = photo_bytes(37, 51)
    found = warp(picture, constant_flow(37, 51, x, y))
    rows = np.clip(np.arange(37) + y, 0, 36)
    columns = np.clip(np.arange(51) + x, 0, 50)
    np.testing.assert_array_equal(found, picture[np.ix_(rows, columns)])


def test_a_rotation_of_a_plane_is_exact() -> None:
    """Linear interpolation is exact on linear functions, wherever it looks."""
    height, width, angle = 41, 33, 0.3
    y, x = np.indices((height, width), dtype=np.float64)
    cx, cy = (width - 1) / 2, (height - 1) / 2
    turned_x = cx + 0.7 * (np.cos(angle) * (x - cx) - np.sin(angle) * (y - cy))
    turned_y = cy + 0.7 * (np.sin(angle) * (x - cx) + np.cos(angle) * (y - cy))
    flow = np.stack([turned_x - x, turned_y - y], -1).astype(np.float32)
    plane = np.stack([2 * x + 3 * y, x - y, 5 + 0 * x], -1)
    found = warp(plane, flow)
    expected = np.stack([2 * turned_x + 3 * turned_y, turned_x - turned_y, 5 + 0 * x], -1)
    assert inside(flow).sum() > 500
    np.testing.assert_allclose(found[inside(flow)], expected[inside(flow)], atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.floats(0.1, 20),
    st.integers(0, 2**32 - 1),
)
def test_any_flow_against_the_oracle(height: int, width: int, reach: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height, width, 3), np.uint8)
    flow = rng.uniform(-reach, reach, (height, width, 2)).astype(np.float32)
    found, is_inside = warp(picture, flow), inside(flow)
    for row in range(height):
        for column in range(width):
            x, y = (np.array((column, row), np.float32) + flow[row, column]).astype(float)
            np.testing.assert_allclose(found[row, column], bilinear(picture, x, y), atol=1e-3)
            assert is_inside[row, column] == (0 <= x <= width - 1 and 0 <= y <= height - 1)
