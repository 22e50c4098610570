"""Poolings in NumPy, for the evaluators that runtimes and rules are held to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PoolingWindow"]

Array = npt.NDArray[Any]


class PoolingWindow:
    """A pooling's window over an input of a given size.

    Parameters
    ----------
    size : sequence of int
        Of the input, without pictures and channels.
    attributes : mapping
        Those of the ONNX operator.

    Raises
    ------
    NotImplementedError
        If the window is dilated.
    """

    def __init__(self, size: Sequence[int], attributes: Mapping[str, Any]) -> None:
        if set(attributes.get("dilations") or [1]) != {1}:
            raise NotImplementedError("Dilations of poolings are not evaluated here.")
        self.kernel: list[int] = attributes["kernel_shape"]
        rank = len(self.kernel)
        self.strides: list[int] = attributes.get("strides") or [1] * rank
        pads: list[int] = attributes.get("pads") or [0] * 2 * rank
        if str(attributes.get("auto_pad")).startswith("SAME"):
            pads = self._same(size, upper=attributes["auto_pad"] == "SAME_UPPER")
        self.begin, self.end = pads[:rank], pads[rank:]
        ceil = bool(attributes.get("ceil_mode"))
        self._counts_padding = bool(attributes.get("count_include_pad"))
        self.counts, self.behind = [], []
        axes = zip(size, self.kernel, self.strides, self.begin, self.end, strict=True)
        for side, k, s, begin, end in axes:
            steps = (math.ceil if ceil else math.floor)((side + begin + end - k) / s)
            if ceil and steps * s >= side + begin:  # the last would begin in the padding behind
                steps -= 1
            self.counts.append(steps + 1)
            self.behind.append(max(steps * s + k - side - begin, end))

    def _same(self, size: Sequence[int], *, upper: bool) -> list[int]:
        """Return the pads with which the output has ceil(size / stride) cells."""
        axes = zip(size, self.kernel, self.strides, strict=True)
        totals = [max((math.ceil(n / s) - 1) * s + k - n, 0) for n, k, s in axes]
        less, more = [t // 2 for t in totals], [t - t // 2 for t in totals]
        return less + more if upper else more + less

    def pad(self, x: Array, beyond: float) -> Array:
        """Return `x` with `beyond` around it, as far as any window reaches."""
        widths = [(0, 0), (0, 0), *zip(self.begin, self.behind, strict=True)]
        return np.pad(x, widths, constant_values=beyond)

    def cells(self, padded: Array) -> Array:
        """Return an array (cells of a window, N, C, *output size): a strided slice for each."""
        slices = []
        for offset in itertools.product(*map(range, self.kernel)):
            axes = zip(offset, self.counts, self.strides, strict=True)
            index: tuple[Any, ...] = (..., *(slice(o, o + n * s, s) for o, n, s in axes))
            slices.append(padded[index])
        return np.stack(slices)

    def maxima(self, x: Array) -> Array:
        """Return the maximum of every window over `x`, (N, C, *size)."""
        found: Array = self.cells(self.pad(x, beyond=-np.inf)).max(0)
        return found

    def means(self, x: Array) -> Array:
        """Return the mean of every window over `x` and, if asked for, the explicit padding."""
        counted = self.pad(np.ones_like(x), beyond=0)
        if self._counts_padding:
            axes = zip(self.begin, x.shape[2:], self.end, strict=True)
            explicit: tuple[Any, ...] = (..., *(slice(0, b + n + e) for b, n, e in axes))
            counted[explicit] = 1
        total = self.cells(self.pad(x, beyond=0)).sum(0)
        means: Array = (total / self.cells(counted).sum(0)).astype(x.dtype)
        return means
