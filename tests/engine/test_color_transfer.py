"""Linear colour transfer: statistics are the target's, and nothing blows up."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from impasto.engine import srgb
from impasto.engine.color_transfer import (
    LEAST_VARIANCE,
    ColorStatistics,
    color_statistics,
    linear_transfer,
    match_colors,
    mixed_statistics,
)
from impasto.engine.images import ByteArray

Doubles = npt.NDArray[np.float64]


def picture(seed: int, shape: tuple[int, int] = (19, 23)) -> ByteArray:
    """A picture whose colours vary in every direction, and not alike."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(0, 25, (3, 3)) + 20 * np.eye(3)
    colors = rng.uniform(60, 190, 3) + rng.standard_normal((*shape, 3)) @ mix
    return np.rint(colors).clip(0, 255).astype(np.uint8)


def of_floats(colors: Doubles) -> tuple[Doubles, Doubles]:
    flat = colors.reshape(-1, 3)
    return flat.mean(axis=0), np.cov(flat.T, bias=True)


SEEDS = st.integers(0, 2**32 - 1)


@settings(deadline=None)
@given(SEEDS)
def test_statistics_are_those_of_the_textbook(seed: int) -> None:
    found, (mean, covariance) = color_statistics(picture(seed)), of_floats(picture(seed) / 1.0)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-8)


def test_statistics_are_exact_in_any_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = color_statistics(picture(1))
    monkeypatch.setattr(srgb, "STRIP_PIXELS", 1)
    parts = color_statistics(picture(1))
    np.testing.assert_array_equal(parts.mean, whole.mean)
    np.testing.assert_array_equal(parts.covariance, whole.covariance)


@settings(deadline=None)
@given(SEEDS, SEEDS)
def test_mean_and_covariance_become_the_target_s(one: int, other: int) -> None:
    source, target = picture(one), color_statistics(picture(other))
    assume(np.linalg.eigvalsh(color_statistics(source).covariance)[0] > LEAST_VARIANCE)
    colors = linear_transfer(color_statistics(source), target)
    mean, covariance = of_floats(source @ colors.matrix.T + colors.offset)
    np.testing.assert_allclose(mean, target.mean, atol=1e-6)
    np.testing.assert_allclose(covariance, target.covariance, atol=1e-6)


@settings(deadline=None)
@given(st.lists(st.tuples(*3 * [st.integers(0, 255)]), min_size=1, max_size=40))
def test_equal_statistics_change_nothing(colors: list[tuple[int, ...]]) -> None:
    source = np.array([colors], np.uint8)
    np.testing.assert_array_equal(match_colors(source, source), source)
    # The same colours elsewhere, and twice.
    np.testing.assert_array_equal(match_colors(source, np.tile(source[:, ::-1], (2, 1, 1))), source)


@settings(deadline=None)
@given(SEEDS, SEEDS, st.permutations(range(3)))
def test_the_order_of_the_channels_does_not_matter(one: int, other: int, order: list[int]) -> None:
    source, target = color_statistics(picture(one)), color_statistics(picture(other))
    mixed = linear_transfer(_ordered(source, order), _ordered(target, order))
    plain = linear_transfer(source, target)
    np.testing.assert_allclose(mixed.matrix, plain.matrix[np.ix_(order, order)], atol=1e-8)
    np.testing.assert_allclose(mixed.offset, plain.offset[order], atol=1e-6)


def _ordered(statistics: ColorStatistics, order: list[int]) -> ColorStatistics:
    return ColorStatistics(statistics.mean[order], statistics.covariance[np.ix_(order, order)])


def test_one_axis_at_a_time_is_shift_and_scale() -> None:
    # Uncorrelated channels: the standard deviations' quotients are the gains.
    source = ColorStatistics(np.array([10.0, 20, 30]), np.diag([16.0, 36, 64]))
    target = ColorStatistics(np.array([100.0, 90, 80]), np.diag([64.0, 36, 16]))
    colors = linear_transfer(source, target)
    np.testing.assert_allclose(colors.matrix, np.diag([2, 1, 0.5]), atol=1e-12)
    np.testing.assert_allclose(colors.offset, [80, 70, 65], atol=1e-12)


@settings(deadline=None)
@given(SEEDS, st.tuples(*3 * [st.integers(0, 255)]))
def test_a_single_colour_becomes_the_mean_colour(seed: int, color: tuple[int, ...]) -> None:
    target = picture(seed)
    found = match_colors(np.full((4, 5, 3), color, np.uint8), target)
    np.testing.assert_array_equal(found[0, 0], np.rint(color_statistics(target).mean))
    assert np.ptp(found.reshape(-1, 3), axis=0).max() == 0


@settings(deadline=None)
@given(SEEDS, st.tuples(*3 * [st.integers(0, 255)]))
def test_a_target_of_one_colour_leaves_one_colour(seed: int, color: tuple[int, ...]) -> None:
    found = match_colors(picture(seed), np.full((4, 5, 3), color, np.uint8))
    np.testing.assert_array_equal(found, np.full_like(found, color))


@settings(deadline=None)
@given(SEEDS, SEEDS)
@example(40, 432422)  # where a level and a half is rounded both ways
def test_a_grey_target_makes_the_picture_grey(one: int, other: int) -> None:
    grey = np.repeat(picture(other)[..., :1], 3, axis=2)
    found = match_colors(picture(one), grey)
    colors = linear_transfer(color_statistics(picture(one)), color_statistics(grey))
    moved = picture(one) @ colors.matrix.T + colors.offset
    assert np.ptp(moved, axis=2).max() < 1e-3  # roots of variances that are rounding
    np.testing.assert_allclose(moved.mean(), grey.mean(), atol=1e-6)
    np.testing.assert_allclose(found, np.clip(moved, 0, 255), atol=0.501)


@settings(deadline=None)
@given(SEEDS, SEEDS)
def test_a_grey_picture_stays_a_scale_of_one_colour(one: int, other: int) -> None:
    grey, target = np.repeat(picture(one)[..., :1], 3, axis=2), color_statistics(picture(other))
    colors = linear_transfer(color_statistics(grey), target)
    moved = (grey @ colors.matrix.T + colors.offset).reshape(-1, 3)
    assert np.linalg.matrix_rank(moved - target.mean, tol=1e-6) == 1
    np.testing.assert_allclose(moved.mean(axis=0), target.mean, atol=1e-9)
    # Contrast cannot be more than the target has in its strongest direction.
    strongest = np.linalg.eigvalsh(target.covariance)[-1]
    assert moved.var(axis=0).sum() <= strongest * (1 + 1e-9)


def test_noise_is_not_stretched_to_specks() -> None:
    rng = np.random.default_rng(5)
    light = rng.integers(0, 256, (64, 64, 1))
    nearly_grey = (light + rng.integers(0, 2, (64, 64, 3))).clip(0, 255).astype(np.uint8)
    target = color_statistics(picture(6))
    matrix = linear_transfer(color_statistics(nearly_grey), target).matrix
    limit = np.sqrt(np.linalg.eigvalsh(target.covariance)[-1] / LEAST_VARIANCE)
    assert np.linalg.norm(matrix, 2) <= limit * (1 + 1e-9)


def test_the_source_is_left_alone_and_large_pictures_go_in_strips(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, before = picture(1), picture(1)
    whole = match_colors(source, picture(2))
    monkeypatch.setattr(srgb, "STRIP_PIXELS", 50)
    np.testing.assert_array_equal(match_colors(source, picture(2)), whole)
    np.testing.assert_array_equal(source, before)


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.data())
def test_mixed_statistics_are_those_of_pictures_side_by_side(
    copies: list[int], data: st.DataObject
) -> None:
    pictures = [picture(data.draw(SEEDS)) for _ in copies]
    shares = [count / sum(copies) for count in copies]
    found = mixed_statistics([color_statistics(each) for each in pictures], shares)
    repeated = [np.tile(each, (count, 1, 1)) for each, count in zip(pictures, copies, strict=True)]
    expected = color_statistics(np.vstack(repeated))
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, expected.covariance, atol=1e-8)


@settings(deadline=None)
@given(SEEDS, SEEDS)
def test_a_mask_says_how_often_a_pixel_counts(one: int, other: int) -> None:
    pixels, counts = picture(one), np.random.default_rng(other).integers(0, 4, (19, 23), np.uint8)
    counts[0, 0] = 1
    repeated = np.repeat(pixels.reshape(1, -1, 3), counts.reshape(-1), axis=1)
    found, expected = color_statistics(pixels, counts), color_statistics(repeated)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, expected.covariance, atol=1e-8)
