"""The ONNX operators of the portable lowering, in NumPy: each a few lines after its definition.

Nothing here is fast. Written to be compared with: by formula, one operator after the other, in
the order of the graph, with no rewriting in between (onnx.ai/onnx/operators, opset 18).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.export.pooling_window import PoolingWindow

__all__ = ["OPS", "Op"]

Array = npt.NDArray[Any]
Op = Callable[..., Array]
"""Takes a node's inputs, None for one left out, and its attributes by name."""


def _convolution(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    group: int = 1,
    dilations: Sequence[int] = (1, 1),
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    kernel_shape: Sequence[int] = (),
) -> Array:
    """Cross-correlate: y[p] = b + sum over cells q of the kernel of w[q] x[s p + q]."""
    if group != 1 or set(dilations) != {1}:
        raise NotImplementedError("convolutions in groups, or dilated")
    top, left, bottom, right = pads
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    kernel = weight.shape[2:]
    height, width = (
        (side - k) // s + 1 for side, k, s in zip(x.shape[2:], kernel, strides, strict=True)
    )
    y = np.zeros((len(x), len(weight), height * width), x.dtype)
    for i, j in itertools.product(*map(range, kernel)):
        rows = slice(i, i + height * strides[0], strides[0])
        columns = slice(j, j + width * strides[1], strides[1])
        y += np.ascontiguousarray(weight[:, :, i, j]) @ x[:, :, rows, columns].reshape(
            *x.shape[:2], -1
        )
    if bias is not None:
        y += bias[:, np.newaxis]
    return y.reshape(len(x), len(weight), height, width)


def _max_pool(x: Array, **attributes: Any) -> Array:
    return PoolingWindow(x.shape[2:], attributes).maxima(x)


def _average_pool(x: Array, **attributes: Any) -> Array:
    return PoolingWindow(x.shape[2:], attributes).means(x)


def _resize(x: Array, _region: Array | None, scales: Array, **attributes: str) -> Array:
    way = {"mode": "nearest", "nearest_mode": "floor"}
    if attributes != way | {"coordinate_transformation_mode": "asymmetric"}:
        raise NotImplementedError(f"Resize with {attributes}")
    for axis, scale in enumerate(scales):
        side = int(x.shape[axis] * scale)
        x = np.take(x, (np.arange(side) / scale).astype(np.int64), axis)
    return x


def _depth_to_space(x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    count, channels, height, width = x.shape
    deep, b = channels // blocksize**2, blocksize
    if mode == "DCR":
        cells = x.reshape(count, b, b, deep, height, width).transpose(0, 3, 4, 1, 5, 2)
    else:
        cells = x.reshape(count, deep, b, b, height, width).transpose(0, 1, 4, 2, 5, 3)
    return cells.reshape(count, deep, height * b, width * b)


def _pad(
    x: Array, pads: Array, value: Array | None = None, axes: Array | None = None, **attributes: str
) -> Array:
    """Return `x` with `value` around it; where a width is below 0, as much less of it."""
    if attributes.get("mode", "constant") != "constant":
        raise NotImplementedError(f"Pad with {attributes}")
    widths = [[0, 0] for _ in x.shape]
    for axis, begin, end in zip(
        range(x.ndim) if axes is None else axes, *np.split(pads, 2), strict=True
    ):
        widths[axis] = [int(begin), int(end)]
    within = tuple(
        slice(max(-begin, 0), side - max(-end, 0))
        for side, (begin, end) in zip(x.shape, widths, strict=True)
    )
    around = [(max(begin, 0), max(end, 0)) for begin, end in widths]
    return np.pad(x[within], around, constant_values=0 if value is None else value.item())


def _slice(
    x: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None
) -> Array:
    asked = range(len(starts)) if axes is None else axes
    strides = [1] * len(starts) if steps is None else steps
    index = [slice(None)] * x.ndim
    for axis, start, end, step in zip(asked, starts, ends, strides, strict=True):
        index[axis] = _cells(x.shape[axis], int(start), int(end), int(step))
    return x[tuple(index)]


def _cells(side: int, start: int, end: int, step: int) -> slice:
    """Return the slice of an axis, whose ends ONNX moves into it, and Python not always."""
    start, end = (place + side if place < 0 else place for place in (start, end))
    if step > 0:
        return slice(max(start, 0), max(end, 0), step)
    start = min(max(start, 0), side - 1)
    return slice(start, end if end >= 0 else None, step)


def _reshape(x: Array, shape: Array, *, allowzero: int = 0) -> Array:
    keeps = [
        x.shape[axis] if side == 0 and not allowzero else int(side)
        for axis, side in enumerate(shape)
    ]
    return x.reshape(keeps)


def _reduction(of: Callable[[Array], Array]) -> Op:
    """Return the sum of a function over some axes, or over all."""

    def reduction(x: Array, axes: Array | None = None, *, keepdims: int = 1) -> Array:
        over = None if axes is None else tuple(int(axis) for axis in axes)
        return np.asarray(of(x).sum(axis=over, keepdims=bool(keepdims), dtype=x.dtype))

    return reduction


OPS: Mapping[str, Op] = MappingProxyType(
    {
        "Abs": np.abs,
        "Add": np.add,
        "AveragePool": _average_pool,
        "CastLike": lambda x, like: x.astype(like.dtype),
        "Concat": lambda *xs, axis: np.concatenate(xs, axis),
        "Conv": _convolution,
        "DepthToSpace": _depth_to_space,
        "Div": np.divide,
        "Equal": np.equal,
        "Expand": lambda x, shape: np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(shape))),
        "Greater": np.greater,
        "Identity": lambda x: x,
        "MatMul": np.matmul,
        "Max": lambda *xs: reduce(np.maximum, xs),
        "MaxPool": _max_pool,
        "Mul": np.multiply,
        "Neg": np.negative,
        "Pad": _pad,
        "ReduceL1": _reduction(np.abs),
        "ReduceSum": _reduction(lambda x: x),
        "ReduceSumSquare": _reduction(np.square),
        "Relu": lambda x: np.maximum(x, x.dtype.type(0)),
        "Reshape": _reshape,
        "Resize": _resize,
        "Sign": np.sign,
        "Size": lambda x: np.array(x.size, np.int64),
        "Slice": _slice,
        "Sqrt": np.sqrt,
        "Sub": np.subtract,
        "Sum": lambda *xs: reduce(np.add, xs),
        "Transpose": lambda x, perm=None: np.transpose(x, perm),
        "Unsqueeze": lambda x, axes: np.expand_dims(x, tuple(int(axis) for axis in axes)),
        "Where": np.where,
    }
)
"""By name. An operator of no graph that is verified is not here."""
