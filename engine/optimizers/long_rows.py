"""Products of a few very long rows with vectors, on threads that sleep when they are done.

BLAS would share a product among threads of its own, and OpenBLAS's spin for 2^26 clock cycles
after it, in case there is more to do: on two cores they were seen to make the inverse cosine
transform that follows half as slow again, and an evaluation 10 ms longer. Below a certain size it
computes where it is called. So the rows are cut into tiles of less than that, and tiles are what
threads share. Sums are in a fixed order, whatever the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from impasto.engine.optimizers.arrays import blocks, even_length
from impasto.engine.optimizers.team import Team
from impasto.engine.result import FloatArray

__all__ = ["COLUMNS", "DOT", "LongRows", "columns_of"]

COLUMNS = 2**17
"""About so many entries of each row are worked on at a time, at most. Half as many took a
quarter longer, in trials on two cores with 10 pairs: threads wait for the interpreter's lock."""

TILE = 9000
"""Entries of a tile at most: from 9216 on, OpenBLAS 0.3 calls its threads (2304 times its
GEMM_MULTITHREAD_THRESHOLD of 4, in interface/gemv.c)."""

DOT = 8192
"""Entries of a product of two vectors at most. OpenBLAS 0.3 was seen to compute it where it is
called."""

TOGETHER = 16
"""Combinations of a tile that are computed in one product: 16 times a tile are too few for threads
of BLAS (GEMM_MULTITHREAD_THRESHOLD times 65536 products, in interface/gemm.c)."""

Sums = npt.NDArray[np.float64]
Found = TypeVar("Found")


def columns_of(length: int) -> int:
    """Return about how many columns of so many are worked on at a time."""
    return length if length <= COLUMNS // 2 else even_length(length, COLUMNS)


class LongRows:
    """A matrix of few rows, which may change between products.

    Parameters
    ----------
    rows : ndarray of shape (m, n)
        C-contiguous.
    team : Team, optional
        Who works on blocks of columns; by default the caller alone.
    """

    def __init__(self, rows: FloatArray, team: Team | None = None) -> None:
        self._rows = rows
        # Whole cache lines, and one column where there are thousands of rows.
        self._width = max(TILE // len(rows) // 16 * 16, 1)
        self._columns = math.ceil(columns_of(rows.shape[1]) / self._width) * self._width
        self._team = team or Team()

    def each(self, work: Callable[[slice], Found], most: int = 0) -> list[Found]:
        """Return what `work` returns for each block of columns, in order.

        Several threads work at a time, each on a block that is free, so `work` may change nothing
        but what belongs to its block. `most` is of columns, if it is not 0.
        """
        columns = self._columns
        if 0 < most < columns:
            columns = max(most // self._width, 1) * self._width
        return self._team.each(work, list(blocks(self._rows.shape[1], columns)))

    def times(self, vector: FloatArray, block: slice) -> Sums:
        """Return the products of all rows with `vector` within a block, of shape (m,)."""
        part = self._rows[:, block]
        whole = self._whole(part.shape[1])
        tiles = self._tiles(part[:, :whole])
        products = np.matmul(tiles, vector[block][:whole].reshape(-1, self._width, 1))
        found: Sums = products.sum(axis=(0, 2), dtype=np.float64)
        return found + part[:, whole:] @ vector[block][whole:]

    def combined(self, factors: FloatArray, block: slice, out: FloatArray) -> None:
        """Write the sum of all rows, each times its factor, within a block."""
        part = self._rows[:, block]
        whole = self._whole(part.shape[1])
        tiles = self._tiles(part[:, :whole])
        np.matmul(factors, tiles, out=out[:whole].reshape(-1, self._width))
        np.matmul(factors, part[:, whole:], out=out[whole:])

    def combinations(self, factors: FloatArray, block: slice) -> FloatArray:
        """Return several sums of all rows within a block, one for each row of factors."""
        part = self._rows[:, block]
        whole = self._whole(part.shape[1])
        found = np.empty((len(factors), part.shape[1]), part.dtype)
        tiles = self._tiles(part[:, :whole])
        for some in blocks(len(factors), TOGETHER):
            products = np.matmul(factors[some], tiles)
            shape = products.shape[1], *tiles.shape[::2]
            found[some, :whole].reshape(shape)[...] = products.swapaxes(0, 1)
            np.matmul(factors[some], part[:, whole:], out=found[some, whole:])
        return found

    def dot(self, a: FloatArray, b: FloatArray) -> float:
        """Return the product of two vectors of a block's size."""
        whole = len(a) // DOT * DOT
        rows, columns = a[:whole].reshape(-1, 1, DOT), b[:whole].reshape(-1, DOT, 1)
        return float(np.matmul(rows, columns).sum(dtype=np.float64)) + float(a[whole:] @ b[whole:])

    def _whole(self, length: int) -> int:
        """Return how many of so many columns are in whole tiles."""
        return length // self._width * self._width

    def _tiles(self, part: FloatArray) -> FloatArray:
        """Return a view of shape (tiles, m, width)."""
        return part.reshape(len(part), -1, self._width).swapaxes(0, 1)
