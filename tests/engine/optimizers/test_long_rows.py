"""Products of long rows in tiles, shared by threads, against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.engine.optimizers.inverse_hessian import InverseHessian
from impasto.engine.optimizers.long_rows import COLUMNS, TILE, LongRows
from impasto.engine.optimizers.team import Team
from impasto.engine.result import FloatArray

Doubles = npt.NDArray[np.float64]
LENGTHS = st.one_of(st.integers(1, 700), st.integers(COLUMNS - 500, 3 * COLUMNS + 500))


def matrix(rows: int, length: int, seed: int = 1) -> FloatArray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, length), dtype=np.float32)


def products(rows: FloatArray, threads: int, vector: FloatArray) -> Doubles:
    long = LongRows(rows, Team(threads))
    found = long.each(lambda block: long.times(vector, block))
    return sum(found, np.zeros(len(rows)))


@settings(deadline=None)
@given(rows=st.integers(1, 9), length=LENGTHS, threads=st.integers(1, 4))
def test_products_are_those_of_the_whole(rows: int, length: int, threads: int) -> None:
    these, vector = matrix(rows, length), matrix(1, length, 2)[0]
    factors = matrix(1, rows, 3)[0]
    long = LongRows(these, Team(threads))
    combined = np.empty(length, np.float32)
    scales = np.linspace(-1, 1, 37, dtype=np.float32)
    several = np.empty((37, length), np.float32)

    def work(block: slice) -> tuple[Doubles, float]:
        long.combined(factors, block, combined[block])
        several[:, block] = long.combinations(np.outer(scales, factors), block)
        return long.times(vector, block), long.dot(vector[block], vector[block])

    found, squares = zip(*long.each(work), strict=True)
    exact = these.astype(np.float64)
    size = np.sqrt(length)
    np.testing.assert_allclose(sum(found), exact @ vector, rtol=0, atol=2e-6 * size)
    assert sum(squares) == pytest.approx(float(vector.astype(np.float64) @ vector), rel=1e-5)
    np.testing.assert_allclose(combined, factors.astype(np.float64) @ exact, rtol=0, atol=1e-5)
    np.testing.assert_allclose(several, np.outer(scales, combined), rtol=0, atol=1e-5)


@pytest.mark.parametrize("rows", [2, 22, 202, TILE // 16, TILE + 1])
def test_as_many_rows_as_a_history_may_have(rows: int) -> None:
    these, vector = matrix(rows, 77), matrix(1, 77, 2)[0]
    found = products(these, 2, vector)
    np.testing.assert_allclose(found, these.astype(np.float64) @ vector, rtol=0, atol=1e-4)


def test_numbers_do_not_depend_on_the_number_of_threads() -> None:
    these, vector = matrix(6, 5 * COLUMNS + 99), matrix(1, 5 * COLUMNS + 99, 2)[0]
    one, *others = (products(these, threads, vector).tobytes() for threads in (1, 2, 3, 16))
    assert others == [one] * 3


@pytest.mark.parametrize("rows", [2, 22, 202])
@pytest.mark.parametrize("length", [3 * 256**2, 3 * 512**2, 3 * 683 * 1024])
def test_two_threads_share_evenly(rows: int, length: int) -> None:
    blocks = LongRows(np.broadcast_to(np.float32(0), (rows, length))).each(lambda block: block)
    assert len(blocks) % 2 == 0
    assert blocks[-1].stop == length
    *first, last = (block.stop - block.start for block in blocks)
    assert len(set(first)) == 1
    assert 0.8 * first[0] < last <= first[0]


def test_what_goes_wrong_in_a_thread_is_told() -> None:
    long = LongRows(matrix(2, 8 * COLUMNS), Team(3))

    def work(block: slice) -> None:
        if block.start:
            raise RuntimeError("block after the first")

    with pytest.raises(RuntimeError, match="after the first"):
        long.each(work)


@pytest.mark.parametrize("size", [50, 2 * COLUMNS + 50])
def test_the_direction_is_that_of_two_loops_over_vectors(size: int) -> None:
    """Nocedal and Wright 2006, algorithm 7.4, from H₀ = 2 (y·s / y·y) I."""
    rng = np.random.default_rng(8)
    x: Any = rng.normal(size=size)  # float64, for digits
    slopes = rng.uniform(0.5, 3, size)
    model = InverseHessian(x, 4, team=Team(2), times=2.0)
    pairs: list[tuple[Any, Any]] = []
    for _ in range(7):
        gradient: Any = slopes * x
        assert model.update(gradient)
        expected = gradient.copy()
        alphas = []
        for s, y in reversed(pairs):
            alphas.append((s @ expected) / (s @ y))
            expected -= alphas[-1] * y
        if pairs:
            s, y = pairs[-1]
            expected *= 2.0 * (s @ y) / (y @ y)
        for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
            expected += s * (alpha - (y @ expected) / (s @ y))
        np.testing.assert_allclose(model.direction, -expected, rtol=0, atol=1e-9)
        step = model.move(0.3).copy()
        pairs = [*pairs, (step, slopes * step)][-4:]
        x = x + step
