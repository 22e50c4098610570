"""Evaluate ONNX graphs in NumPy, in float64 if they are: what the rules are held to.

`onnx.reference`, with four ops of our own where that of onnx 1.23 is wrong: in ceil mode its
poolings spread the missing cells over both ends of the input, its ConvTranspose mixes up groups
and cannot pad its output by a stride or more, its LRN normalises as many channels as there are
pictures. For tests; nothing paints on it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from impasto.export.pooling_window import PoolingWindow

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


class MaxPool(OpRun):
    """Maximum of each window."""

    op_domain = ""

    def _run(self, x: Array, **attributes: Any) -> tuple[Array]:
        return (PoolingWindow(x.shape[2:], attributes).maxima(x),)


class AveragePool(OpRun):
    """Mean of each window over the input and, if asked for, the explicit padding."""

    op_domain = ""

    def _run(self, x: Array, **attributes: Any) -> tuple[Array]:
        return (PoolingWindow(x.shape[2:], attributes).means(x),)


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
