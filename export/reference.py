"""Evaluate ONNX graphs in NumPy, in float64 if they are: what the rules are held to.

`onnx.reference`, with poolings of our own: its ceil mode spreads the missing cells over both ends
of the input (onnx 1.23), and it visits windows one by one. For tests; nothing runs a picture on it.
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
    runner = ReferenceEvaluator(model, new_ops=[MaxPool, AveragePool])
    names = [value.name for value in model.graph.output]
    return dict(zip(names, runner.run(None, dict(feeds)), strict=True))


class _Window:
    """A pooling's window over an input of a given size, as its attributes describe it."""

    def __init__(self, size: Sequence[int], attributes: Mapping[str, Any]) -> None:
        automatic = attributes.get("auto_pad") not in (None, "NOTSET", "VALID")
        if automatic or set(attributes.get("dilations") or [1]) != {1}:
            raise NotImplementedError("auto_pad and dilations of poolings are not evaluated here.")
        self.kernel: list[int] = attributes["kernel_shape"]
        rank = len(self.kernel)
        self.strides: list[int] = attributes.get("strides") or [1] * rank
        pads: list[int] = attributes.get("pads") or [0] * 2 * rank
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
