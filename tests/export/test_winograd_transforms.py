"""The matrices of Toom and Cook: exact for any points."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.export.lowerings.toom_cook import Transforms, toom_cook
from impasto.export.lowerings.winograd import FILTERS, POINTS

eighths = st.fractions(-4, 4, max_denominator=8)


def correlated(transforms: Transforms, taps: list[float], values: list[float]) -> list[float]:
    products = (transforms.filter @ taps) * (transforms.input @ values)
    return list(transforms.output @ products)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    points=st.lists(eighths, min_size=2, max_size=6, unique=True),
    taps=st.integers(1, 4),
    data=st.data(),
)
def test_any_points_give_the_correlation(
    points: list[Fraction], taps: int, data: st.DataObject
) -> None:
    outputs = len(points) + 2 - taps
    if outputs < 1:
        return
    small = st.integers(-9, 9).map(float)
    kernel = data.draw(st.lists(small, min_size=taps, max_size=taps))
    values = data.draw(st.lists(small, min_size=len(points) + 1, max_size=len(points) + 1))
    found = correlated(toom_cook(points, taps), kernel, values)
    expected = np.correlate(values, kernel, "valid")
    # Close points make the matrices large; what is left is their rounding, not an error.
    matrices = toom_cook(points, taps)
    size = np.abs(matrices.output).max() * np.abs(matrices.filter).max()
    size *= np.abs(matrices.input).max() * 100
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * max(size, 1))


def test_points_of_lavin_and_gray_give_their_matrices_up_to_scales() -> None:
    points = [Fraction(p) for p in (0, 1, -1, 2, -2)]
    transforms = toom_cook(points)
    np.testing.assert_array_equal(
        transforms.output,
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    )
    np.testing.assert_array_equal(transforms.input[0], [4, 0, -5, 0, 1, 0])
    np.testing.assert_array_equal(transforms.input[5], [0, 4, 0, -5, 0, 1])
    np.testing.assert_allclose(transforms.filter[0], [1 / 4, 0, 0])
    np.testing.assert_allclose(np.abs(transforms.filter[3]), [1 / 24, 1 / 12, 1 / 6])


@pytest.mark.parametrize(("taps", "outputs"), [(3, 4), (5, 2)])
def test_two_dimensions_are_one_after_the_other(taps: int, outputs: int) -> None:
    rng = np.random.default_rng(3)
    transforms = FILTERS[taps].transforms
    tile, kernel = rng.normal(size=(6, 6)), rng.normal(size=(taps, taps))
    products = (transforms.filter @ kernel.ravel()) * (transforms.input @ tile.ravel())
    found = (transforms.output @ products).reshape(outputs, outputs)
    windows = np.lib.stride_tricks.sliding_window_view(tile, (taps, taps))
    np.testing.assert_allclose(found, np.tensordot(windows, kernel, 2), rtol=0, atol=1e-13)


@pytest.mark.parametrize("taps", FILTERS)
def test_what_data_passes_through_is_exact_in_float32(taps: int) -> None:
    for matrix in (FILTERS[taps].transforms.output, FILTERS[taps].transforms.input):
        np.testing.assert_array_equal(matrix.astype(np.float32), matrix)


def test_the_chosen_points_err_less_than_those_of_lavin_and_gray() -> None:
    """In float32, over 128 channels, against float64: a property of the points alone."""
    rng = np.random.default_rng(0)
    tiles = np.maximum(rng.normal(size=(36, 128, 96)), 0)
    kernels = rng.normal(size=(9, 16, 128)) / 30

    def computed(transforms: Transforms, dtype: type) -> np.ndarray:
        both = transforms.squared()
        weights = np.einsum("kt,toc->koc", both.filter, kernels).astype(dtype)
        values = np.einsum("kd,dcp->kcp", both.input.astype(dtype), tiles.astype(dtype))
        outputs: np.ndarray = np.einsum("yk,kop->yop", both.output.astype(dtype), weights @ values)
        return outputs

    def error(points: tuple[Fraction, ...]) -> float:
        exact = computed(toom_cook(points), np.float64)
        rounded = computed(toom_cook(points), np.float32)
        return float(np.linalg.norm(rounded - exact) / np.linalg.norm(exact))

    theirs = tuple(Fraction(p) for p in (0, 1, -1, 2, -2))
    assert error(POINTS) < 0.6 * error(theirs)
    assert error(POINTS) < 2e-6
