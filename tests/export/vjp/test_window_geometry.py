"""Convolutions and poolings of any kernel, stride, padding, size and rounding.

Against sums written out window by window, and against the dot-product test.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from impasto.export.checks import check_vjp, gradient_model, separated_values
from impasto.export.graph import GraphBuilder
from impasto.export.reference import evaluate

Array = npt.NDArray[np.float64]
Pair = tuple[int, int]

examples = settings(max_examples=150, deadline=None, derandomize=True)
pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
sizes = st.tuples(st.integers(1, 11), st.integers(1, 11))


def model_of(
    op: str, shape: tuple[int, ...], *, symbolic: bool, **attributes: Any
) -> onnx.ModelProto:
    graph = GraphBuilder(dtype=np.float64)
    dims: tuple[int | str, ...] = (*shape[:2], "height", "width") if symbolic else shape
    rest = []
    if op == "Conv":
        kernel, group = attributes["kernel_shape"], attributes["group"]
        weight = np.random.default_rng(1).normal(size=(2 * group, shape[1] // group, *kernel))
        rest = [graph.constant(weight)]
    y = graph.op(op, graph.input("x", dims), *rest, **attributes)
    graph.output(y, "y", graph.shapes()[y])
    return graph.build("window")


def window_starts(side: int, kernel: int, stride: int, pads: Pair, *, ceil: bool) -> list[int]:
    """Return where windows begin, found by walking and not by ONNX's formula."""
    starts, start = [], -pads[0]
    while start + kernel <= side + pads[1]:
        starts.append(start)
        start += stride
    uncovered = not starts or starts[-1] + kernel < side + pads[1]
    if ceil and uncovered and start < side:
        starts.append(start)
    return starts


def pool_gradient(op: str, x: Array, cotangent: Array, window: dict[str, Any]) -> Array:
    """Share every window's cotangent among its maxima, or all its cells, one window at a time."""
    found = np.zeros_like(x)
    pads = window["pads"]
    ceil = bool(window["ceil_mode"])
    counted = bool(window.get("count_include_pad", 0))
    spans = []
    for axis, side in enumerate(x.shape[2:]):
        kernel, stride = window["kernel_shape"][axis], window["strides"][axis]
        before, behind = pads[axis], pads[axis + 2]
        starts = window_starts(side, kernel, stride, (before, behind), ceil=ceil)
        spans.append(
            [
                (
                    slice(max(start, 0), min(start + kernel, side)),
                    min(start + kernel, side + behind) - start,
                )
                for start in starts
            ]
        )
    for i, (rows, height) in enumerate(spans[0]):
        for j, (columns, width) in enumerate(spans[1]):
            cells = x[..., rows, columns]
            share = np.ones_like(cells)
            count: Array | int = height * width if counted else cells[0, 0].size
            if op == "MaxPool":
                share = (cells == cells.max((2, 3), keepdims=True)).astype(np.float64)
                count = share.sum((2, 3), keepdims=True)
            found[..., rows, columns] += cotangent[..., i : i + 1, j : j + 1] * share / count
    return found


@st.composite
def poolings(draw: st.DrawFn) -> tuple[Pair, dict[str, Any]]:
    kernel, size = draw(pairs), draw(sizes)
    before, behind = (tuple(draw(st.integers(0, k - 1)) for k in kernel) for _ in range(2))
    assume(all(n + b + e >= k for n, b, e, k in zip(size, before, behind, kernel, strict=True)))
    return size, {
        "kernel_shape": list(kernel),
        "strides": list(draw(pairs)),
        "pads": [*before, *behind],
        "ceil_mode": draw(st.integers(0, 1)),
    }


def check_pooling(op: str, x: Array, window: dict[str, Any]) -> None:
    for symbolic in (False, True):
        model = gradient_model(model_of(op, x.shape, symbolic=symbolic, **window), ["x"])
        (y,) = evaluate(model_of(op, x.shape, symbolic=symbolic, **window), {"x": x}).values()
        cotangent = np.random.default_rng(2).normal(size=y.shape)
        (gradient,) = evaluate(model, {"x": x, "cotangent": cotangent}).values()
        expected = pool_gradient(op, x, cotangent, window)
        np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-12)


@examples
@given(poolings())
def test_max_pool_of_distinct_cells(case: tuple[Pair, dict[str, Any]]) -> None:
    size, window = case
    check_pooling("MaxPool", separated_values((1, 2, *size), np.random.default_rng(3)), window)


@examples
@given(poolings(), st.integers(0, 2**32))
def test_max_pool_of_tied_cells(case: tuple[Pair, dict[str, Any]], seed: int) -> None:
    size, window = case
    x = np.random.default_rng(seed).integers(-1, 2, (2, 1, *size)).astype(np.float64)
    check_pooling("MaxPool", x, window)


@examples
@given(poolings(), st.booleans())
def test_average_pool(case: tuple[Pair, dict[str, Any]], counted: bool) -> None:
    size, window = case
    x = np.random.default_rng(4).normal(size=(1, 2, *size))
    check_pooling("AveragePool", x, {**window, "count_include_pad": int(counted)})


@examples
@given(
    sizes,
    pairs,
    pairs,
    pairs,
    st.tuples(*[st.integers(0, 4)] * 4),
    st.integers(1, 2),
    st.booleans(),
)
def test_convolution(
    size: Pair,
    kernel: Pair,
    strides: Pair,
    dilations: Pair,
    pads: tuple[int, int, int, int],
    group: int,
    symbolic: bool,
) -> None:
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    assume(all(n + pads[a] + pads[a + 2] >= extent[a] for a, n in enumerate(size)))
    shape = (1, 2 * group, *size)
    model = model_of(
        "Conv",
        shape,
        symbolic=symbolic,
        group=group,
        kernel_shape=list(kernel),
        strides=list(strides),
        dilations=list(dilations),
        pads=list(pads),
    )
    check_vjp(model, ["x"], {"x": np.random.default_rng(5).normal(size=shape)})
