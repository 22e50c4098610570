"""Add up what strips carry back to rows that several of them have read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from impasto.engine.backends.base import FloatArray
from impasto.export.strips import Strip

__all__ = ["Scatter"]


class Scatter:
    """Add up what strips carry back, into an array that strips below still read.

    A strip's gradient covers the rows it has read; the last of them the next strip reads, and adds
    to, as well. Those wait in a buffer of their own, so that `out` may be the very array that is
    read. On a torus, so does until the end what belongs to rows beyond the borders.

    Parameters
    ----------
    out : ndarray of shape (C, H, W)
    strips : sequence of Strip
        From top to bottom, as they will be added.
    """

    def __init__(self, out: FloatArray, strips: Sequence[Strip]) -> None:
        self._out = out
        self._next_read = {strip: below.read.start for strip, below in pairwise(strips)}
        self._waiting: FloatArray = np.empty((len(out), 0, out.shape[2]), out.dtype)
        self._beyond: list[tuple[int, FloatArray]] = []

    def add(self, strip: Strip, part: FloatArray) -> None:
        """Add `part`, of shape (C, rows read, W); it is changed."""
        waiting = self._waiting.shape[1]
        part[:, :waiting] += self._waiting
        start = strip.read.start
        stop = self._next_read.get(strip, strip.read.stop)
        self._write(start, part[:, : stop - start])
        self._waiting = part[:, stop - start :].copy()

    def _write(self, start: int, part: FloatArray) -> None:
        height, rows = self._out.shape[1], part.shape[1]
        above = min(max(0, -start), rows)
        inside = max(above, min(rows, height - start))
        for row in (*range(above), *range(inside, rows)):
            self._beyond.append(((start + row) % height, part[:, row].copy()))
        if inside > above:
            self._out[:, start + above : start + inside] = part[:, above:inside]

    def finish(self) -> None:
        """Add what belongs to rows beyond the borders: they are rows at the opposite one."""
        for row, values in self._beyond:
            self._out[:, row] += values
