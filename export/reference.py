"""Evaluate ONNX graphs in NumPy, in float64 if they are: what the rules are held to.

`onnx.reference`, with four ops of our own where that of onnx 1.23 is wrong: in ceil mode its
poolings spread the missing cells over both ends of the input, its ConvTranspose mixes up groups
and cannot pad its output by a stride or more, its LRN normalises as many channels as there are
pictures. For tests; nothing paints on it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

__all__ = ["evaluate"]

Array = npt.NDArray[Any]


def evaluate(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Return every output of `model` by name.

    Parameters
    ----------
    model : onnx.ModelProto
    feeds : mapping of str to ndarray
        Value of every input.
    """
    runner = ReferenceEvaluator(model, new_ops=[MaxPool, AveragePool, ConvTranspose, LRN])
    names = [value.name for value in model.graph.output]
    return dict(zip(names, runner.run(None, dict(feeds)), strict=True))


class _Window:
    """A pooling's window over an input of a given size, as its attributes describe it."""

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


class MaxPool(OpRun):
    """Maximum of each window."""

    op_domain = ""

    def _run(self, x: Array, **attributes: Any) -> tuple[Array]:
        window = _Window(x.shape[2:], attributes)
        return (window.cells(window.pad(x, beyond=-np.inf)).max(0),)


class AveragePool(OpRun):
    """Mean of each window over the input and, if asked for, the explicit padding."""

    op_domain = ""

    def _run(self, x: Array, **attributes: Any) -> tuple[Array]:
        window = _Window(x.shape[2:], attributes)
        counted = window.pad(np.ones_like(x), beyond=0)
        if attributes.get("count_include_pad"):
            axes = zip(window.begin, x.shape[2:], window.end, strict=True)
            explicit: tuple[Any, ...] = (..., *(slice(0, b + n + e) for b, n, e in axes))
            counted[explicit] = 1
        total = window.cells(window.pad(x, beyond=0)).sum(0)
        return ((total / window.cells(counted).sum(0)).astype(x.dtype),)


class ConvTranspose(OpRun):
    """Every cell adds its weighted kernel to the output."""

    op_domain = ""

    def _run(self, x: Array, w: Array, b: Array | None = None, **attributes: Any) -> tuple[Array]:
        kernel, rank = w.shape[2:], w.ndim - 2
        strides = attributes.get("strides") or [1] * rank
        dilations = attributes.get("dilations") or [1] * rank
        pads = attributes.get("pads") or [0] * 2 * rank
        more = attributes.get("output_padding") or [0] * rank
        group = attributes.get("group") or 1
        axes = list(zip(x.shape[2:], strides, dilations, kernel, more, strict=True))
        size = [(n - 1) * s + d * (k - 1) + 1 + m for n, s, d, k, m in axes]
        grouped_x = x.reshape(len(x), group, -1, *x.shape[2:])
        grouped_w = w.reshape(group, -1, *w.shape[1:])
        y = np.zeros((len(x), group, w.shape[1], *size), x.dtype)
        for offset in itertools.product(*map(range, kernel)):
            at = [o * d for o, d in zip(offset, dilations, strict=True)]
            cells = [slice(a, a + n * s, s) for a, (n, s, *_) in zip(at, axes, strict=True)]
            w_here: tuple[Any, ...] = (..., *offset)
            y_here: tuple[Any, ...] = (..., *cells)
            y[y_here] += np.einsum("ngi...,gio->ngo...", grouped_x, grouped_w[w_here])
        y = y.reshape(len(x), -1, *size)
        inside = zip(pads[:rank], size, pads[rank:], strict=True)
        kept: tuple[Any, ...] = (..., *(slice(begin, n - end) for begin, n, end in inside))
        return (y[kept] + (0 if b is None else b.reshape(-1, *[1] * rank)),)


class LRN(OpRun):
    """Local response normalisation across channels."""

    op_domain = ""

    def _run(self, x: Array, alpha: float, beta: float, bias: float, size: int) -> tuple[Array]:
        before, behind = (size - 1) // 2, size // 2
        squares = np.stack(
            [(x[:, max(c - before, 0) : c + behind + 1] ** 2).sum(1) for c in range(x.shape[1])],
            axis=1,
        )
        # The attributes arrive as float32, whose own arithmetic would round to float32.
        scale = float(bias) + float(alpha) / size * squares
        return ((x / scale ** float(beta)).astype(x.dtype),)
