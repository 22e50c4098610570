"""Feature maps kept between the passes: as float32, or only where they are positive, in bits."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from impasto.engine.backends.base import FloatArray
from impasto.export.strips import Rows

__all__ = ["Features", "Signs", "Stored", "rows_of"]

Scalar = TypeVar("Scalar", bound=np.generic)

BLOCK_BYTES = 1 << 18
"""Working set of the conversion to and from bits: what stays in a core's second-level cache."""


def rows_of(
    value: npt.NDArray[Scalar], rows: Rows, behind: npt.NDArray[Scalar] | None = None
) -> npt.NDArray[Scalar]:
    """Return rows of an array of shape (C, H, W); beyond its borders those of a torus.

    Parameters
    ----------
    value : ndarray of shape (C, H, W)
    rows : Rows
    behind : ndarray of shape (C, n, W), optional
        Rows ``H`` to ``H + n``, where those at the top of `value` are not what they were.

    Returns
    -------
    ndarray of shape (C, rows, W)
        A view, if all of them are inside.
    """
    height = value.shape[1]
    if rows.start >= 0 and rows.stop <= height:
        return value[:, rows.slice]
    if behind is None or rows.stop <= height:
        return value.take(range(rows.start, rows.stop), axis=1, mode="wrap")
    inside = value.take(range(rows.start, height), axis=1, mode="wrap")
    return np.concatenate([inside, behind[:, : rows.stop - height]], axis=1)


class Stored(Protocol):
    """A feature map that is written and read by rows."""

    def write(self, rows: Rows, values: FloatArray) -> None:
        """Keep `values` of shape (1, C, rows, W)."""

    def read(self, rows: Rows, into: FloatArray) -> None:
        """Copy rows into an array of shape (1, C, rows, W)."""


class Features:
    """The values themselves, float32: 4 bytes each.

    Parameters
    ----------
    channels, height, width : int
    dtype : numpy dtype
    """

    def __init__(
        self, channels: int, height: int, width: int, dtype: npt.DTypeLike = np.float32
    ) -> None:
        self._array: FloatArray = np.empty((channels, height, width), dtype)

    def write(self, rows: Rows, values: FloatArray) -> None:
        """Keep `values` of shape (1, C, rows, W)."""
        self._array[:, rows.slice] = values[0]

    def read(self, rows: Rows, into: FloatArray) -> None:
        """Copy rows into an array of shape (1, C, rows, W)."""
        np.copyto(into[0], rows_of(self._array, rows))


class Signs:
    """Zeros and ones: one bit each, rows padded to whole bytes.

    Parameters
    ----------
    channels, height, width : int
    dtype : numpy dtype
        Of what is written and read; it makes no difference.
    """

    def __init__(
        self, channels: int, height: int, width: int, dtype: npt.DTypeLike = np.float32
    ) -> None:
        self._bits: npt.NDArray[np.uint8] = np.empty((channels, height, -(-width // 8)), np.uint8)
        self._width = width

    def write(self, rows: Rows, values: FloatArray) -> None:
        """Keep which of `values`, of shape (1, C, rows, W), are not 0."""
        for part in self._blocks(len(rows)):
            flags = values[0, part] != 0
            self._bits[part, rows.slice] = np.packbits(flags, axis=-1)

    def read(self, rows: Rows, into: FloatArray) -> None:
        """Write 0.0 and 1.0 into an array of shape (1, C, rows, W)."""
        for part in self._blocks(len(rows)):
            bits = rows_of(self._bits[part], rows)
            np.copyto(into[0, part], np.unpackbits(bits, axis=-1, count=self._width))

    def _blocks(self, rows: int) -> list[slice]:
        channels = len(self._bits)
        step = max(1, BLOCK_BYTES // max(1, 4 * rows * self._width))
        return [slice(start, start + step) for start in range(0, channels, step)]
