"""What is kept between the passes comes back to the last bit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.engine import stored
from impasto.engine.stored import Features, Signs, Stored
from impasto.export.strips import Rows

Array = npt.NDArray[np.float32]

sizes = st.tuples(st.integers(1, 11), st.integers(1, 13), st.integers(1, 40))
cuts = st.sets(st.integers(1, 12))


def parts_of(height: int, cuts: set[int]) -> list[Rows]:
    bounds = [0, *sorted(cut for cut in cuts if cut < height), height]
    return [Rows(a, b) for a, b in pairwise(bounds)]


def write(store: Stored, values: Array, cuts: set[int]) -> None:
    for rows in parts_of(values.shape[2], cuts):
        store.write(rows, values[:, :, rows.slice])


def read(store: Stored, rows: Rows, shape: tuple[int, ...]) -> Array:
    into: Array = np.full((1, shape[1], len(rows), shape[3]), 7, np.float32)
    store.read(rows, into)
    return into


def assert_every_range_comes_back(store: Stored, values: Array) -> None:
    height = values.shape[2]
    for start in range(height):
        for stop in range(start + 1, height + 1):
            rows = Rows(start, stop)
            np.testing.assert_array_equal(read(store, rows, values.shape), values[:, :, rows.slice])


def flags(size: tuple[int, int, int], seed: int) -> Array:
    return np.random.default_rng(seed).integers(0, 2, (1, *size)).astype(np.float32)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(size=sizes, cuts=cuts, seed=st.integers(0, 999))
def test_features_come_back_as_written(
    size: tuple[int, int, int], cuts: set[int], seed: int
) -> None:
    values = np.random.default_rng(seed).normal(size=(1, *size)).astype(np.float32)
    store = Features(*size)
    write(store, values, cuts)
    assert_every_range_comes_back(store, values)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(size=sizes, cuts=cuts, seed=st.integers(0, 999))
def test_signs_come_back_as_written(size: tuple[int, int, int], cuts: set[int], seed: int) -> None:
    values = flags(size, seed)
    store = Signs(*size)
    write(store, values, cuts)
    assert_every_range_comes_back(store, values)


@pytest.mark.parametrize("width", range(1, 41))
def test_signs_of_every_width(width: int) -> None:
    values = flags((5, 3, width), width)
    store = Signs(*values.shape[1:])
    write(store, values, {1})
    assert_every_range_comes_back(store, values)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(size=sizes, block=st.integers(1, 2000), seed=st.integers(0, 99))
def test_signs_converted_in_blocks_of_any_size(
    size: tuple[int, int, int], block: int, seed: int
) -> None:
    values = flags(size, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "BLOCK_BYTES", block)
        store = Signs(*size)
        write(store, values, set())
        assert_every_range_comes_back(store, values)


def test_whatever_is_not_zero_has_a_sign() -> None:
    values = np.array([0, 1, 0.5, 1e-30, -0.0, 3], np.float32).reshape(1, 1, 1, 6)
    store = Signs(1, 1, 6)
    store.write(Rows(0, 1), values)
    found = read(store, Rows(0, 1), values.shape)
    np.testing.assert_array_equal(found.ravel(), [0, 1, 1, 1, 0, 1])


def test_writing_again_replaces_what_was_there() -> None:
    for kind in (Features, Signs):
        store = kind(2, 3, 9)
        store.write(Rows(0, 3), np.ones((1, 2, 3, 9), np.float32))
        store.write(Rows(1, 2), np.zeros((1, 2, 1, 9), np.float32))
        found = read(store, Rows(0, 3), (1, 2, 3, 9))
        np.testing.assert_array_equal(found[:, :, 1], 0)
        np.testing.assert_array_equal(found[:, :, ::2], 1)


@pytest.mark.parametrize("width", [7, 8, 9, 64])
def test_signs_take_a_bit_each(width: int) -> None:
    assert Signs(10, 20, width)._bits.nbytes == 10 * 20 * -(-width // 8)


def test_doubles_are_kept_as_doubles() -> None:
    values = np.random.default_rng(1).normal(size=(1, 2, 3, 4))
    store = Features(2, 3, 4, np.float64)
    store.write(Rows(0, 3), values)  # type: ignore[arg-type]
    into = np.empty_like(values)
    store.read(Rows(0, 3), into)  # type: ignore[arg-type]
    np.testing.assert_array_equal(into, values)
