"""Work on arrays of an image's size without a second one: by blocks, and without masks."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from impasto.engine.result import FloatArray

__all__ = ["BLOCK", "blocks", "even_length", "extremes", "is_zero", "read_only", "scratch"]

BLOCK = 2**16
"""Entries of a block: what is written to a scratch array is still in the cache when it is read."""

FEW = 2**10
"""Entries that are looked at before all are."""


def blocks(size: int, length: int = BLOCK) -> Iterator[slice]:
    """Return the slices that cut `size` entries into blocks of `length`."""
    return (slice(start, min(start + length, size)) for start in range(0, size, length))


def even_length(size: int, most: int) -> int:
    """Return the length of equal blocks of at most so many entries, even in number.

    So two threads share them evenly. It does not depend on the number of threads, for sums are by
    block.
    """
    return math.ceil(size / (2 * math.ceil(size / (2 * most))))


def scratch(size: int, dtype: npt.DTypeLike) -> FloatArray:
    """Return an array for one block of an array of `size` entries."""
    return np.empty(min(size, BLOCK), dtype)


def extremes(array: FloatArray) -> tuple[float, float]:
    """Return the smallest and the largest entry; NaN if there is one: then both are."""
    flat = array.reshape(-1)
    with np.errstate(invalid="ignore"):
        # Block by block, so that the memory is read once.
        found = [(flat[block].min(), flat[block].max()) for block in blocks(flat.size)]
        smallest, greatest = zip(*found, strict=True)
        return float(np.min(smallest)), float(np.max(greatest))


def is_zero(array: FloatArray) -> bool:
    """Return whether all entries are 0; the first few tell where they are not."""
    flat = array.reshape(-1)
    return not (flat[:FEW].any() or any(flat[block].any() for block in blocks(flat.size)))


def read_only(array: FloatArray) -> FloatArray:
    """Return a view of `array` that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view
