"""The table of VJP cases: every rule's op, in every form that takes another way through the rule.

A case is an op, what sets the row apart, the shapes of the inputs to differentiate for, and a
function that builds the graph. Adding an op takes one row here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from impasto.export.graph import GraphBuilder

Build = Callable[..., str]


@dataclass(frozen=True)
class Case:
    """An op, what sets this row apart, shapes of the inputs differentiated for, the graph.

    `positive`: the inputs are. `in_runtime`: ONNX Runtime has this form of the op.
    """

    op: str
    what: str
    shapes: tuple[tuple[int, ...], ...]
    build: Build
    positive: bool = False
    opset: int = 18
    first_opset: int = 17
    last_opset: int = 21
    in_runtime: bool = True

    def at(self, opset: int) -> Case:
        """Return the same case in another operator set."""
        return replace(self, opset=opset)

    def __str__(self) -> str:
        return f"{self.op}-{self.what}".replace(" ", "_")


def node(op: str, *constants: Any, **attributes: Any) -> Build:
    """Build one node: the inputs, then constants (None leaves one out)."""

    def build(graph: GraphBuilder, *inputs: str) -> str:
        rest = ["" if c is None else graph.constant(c) for c in constants]
        return graph.op(op, *inputs, *rest, **attributes)

    return build


def weighted(op: str, *shape: int, bias: int = 0, **attributes: Any) -> Build:
    """Build a convolution with a constant random weight and, if asked for, bias."""

    def build(graph: GraphBuilder, x: str) -> str:
        rng = np.random.default_rng(3)
        constants = [rng.normal(size=shape)] + ([rng.normal(size=bias)] if bias else [])
        names = [graph.constant(c.astype(graph.dtype)) for c in constants]
        return graph.op(op, x, *names, **attributes)

    return build


def pool(op: str, kernel: int, stride: int, **attributes: Any) -> Build:
    """Build a pooling with a square window."""
    return node(op, kernel_shape=[kernel] * 2, strides=[stride] * 2, **attributes)


def resize(scales: list[float] | None = None, sizes: list[int] | None = None, **more: Any) -> Build:
    given = [sizes] if scales is None else []
    real_scales = None if scales is None else np.array(scales, np.float32)
    return node("Resize", None, real_scales, *given, **more)


def concat(graph: GraphBuilder, a: str, b: str) -> str:
    return graph.op("Concat", a, b, axis=1)


def runtime_weight(graph: GraphBuilder, x: str) -> str:
    """Build a convolution whose weight is computed, which the rule cannot flip beforehand."""
    weight = graph.constant(np.random.default_rng(4).normal(size=(4, 3, 3, 2)).astype(graph.dtype))
    return graph.op("Conv", x, graph.op("Neg", weight), strides=[2, 3], pads=[1, 0, 2, 1])


def gram(graph: GraphBuilder, x: str) -> str:
    return graph.op("MatMul", x, graph.op("Transpose", x, perm=[0, 2, 1]))


def where(graph: GraphBuilder, a: str, b: str) -> str:
    return graph.op("Where", graph.op("Greater", a, b), a, b)


def batch_normalization(graph: GraphBuilder, x: str) -> str:
    rng = np.random.default_rng(5)
    scale, bias, mean, variance = rng.uniform(0.5, 2, (4, 3)).astype(graph.dtype)
    return graph.op("BatchNormalization", x, *map(graph.constant, (scale, bias, mean, variance)))


def cast_down_and_up(graph: GraphBuilder, x: str) -> str:
    element = graph.inputs[x].type.tensor_type.elem_type
    return graph.op("Cast", graph.op("Cast", x, to=element), to=element)


def concat_twice(graph: GraphBuilder, a: str, b: str) -> str:
    return graph.op("Concat", a, b, a, axis=-1)


def sum_of(graph: GraphBuilder, *inputs: str) -> str:
    return graph.op("Sum", *inputs)


PICTURE = ((1, 3, 9, 8),)
SMALL = ((1, 2, 7, 6),)
EVEN = ((1, 2, 6, 8),)
MATRIX = ((3, 4),)
INT_MAX = np.iinfo(np.int64).max
ALL_COUNT: dict[str, Any] = {"count_include_pad": 1}
COUNTED: dict[str, Any] = {"pads": [1] * 4, **ALL_COUNT}
CEIL: dict[str, Any] = {"pads": [1, 1, 0, 0], "ceil_mode": 1}
OPSET_17: dict[str, Any] = {"opset": 17, "last_opset": 17}
BLOCKS: dict[str, Any] = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}

CASES = [
    # -- convolution
    Case("Conv", "same 3x3", PICTURE, weighted("Conv", 4, 3, 3, 3, bias=4, pads=[1] * 4)),
    Case("Conv", "valid 1x1", PICTURE, weighted("Conv", 4, 3, 1, 1)),
    Case("Conv", "1x1 padded", PICTURE, weighted("Conv", 4, 3, 1, 1, pads=[2, 1, 0, 3])),
    Case("Conv", "asymmetric", PICTURE, weighted("Conv", 4, 3, 3, 2, pads=[2, 0, 1, 1])),
    Case("Conv", "dilated", PICTURE, weighted("Conv", 4, 3, 3, 3, pads=[2] * 4, dilations=[2, 3])),
    Case("Conv", "grouped", ((2, 4, 6, 5),), weighted("Conv", 6, 2, 3, 3, group=2)),
    Case("Conv", "depthwise", PICTURE, weighted("Conv", 3, 1, 3, 3, group=3, pads=[1] * 4)),
    Case("Conv", "auto same", PICTURE, weighted("Conv", 4, 3, 4, 3, auto_pad="SAME_UPPER")),
    Case("Conv", "auto lower", PICTURE, weighted("Conv", 4, 3, 4, 3, auto_pad="SAME_LOWER")),
    Case("Conv", "auto valid", PICTURE, weighted("Conv", 4, 3, 4, 3, auto_pad="VALID")),
    Case("Conv", "stride 2", PICTURE, weighted("Conv", 4, 3, 3, 3, strides=[2, 2], pads=[1] * 4)),
    Case(
        "Conv", "NIN 11x11 / 4", ((1, 3, 25, 30),), weighted("Conv", 4, 3, 11, 11, strides=[4, 4])
    ),
    Case("Conv", "strides differ", PICTURE, weighted("Conv", 4, 3, 3, 3, strides=[2, 3])),
    Case("Conv", "gaps", PICTURE, weighted("Conv", 4, 3, 2, 2, strides=[3, 3], pads=[1, 0, 1, 1])),
    Case(
        "Conv",
        "strided groups",
        ((1, 4, 8, 9),),
        weighted("Conv", 6, 2, 3, 3, group=2, strides=[2, 2], pads=[1] * 4),
    ),
    Case(
        "Conv",
        "strided dilated",
        PICTURE,
        weighted("Conv", 4, 3, 2, 2, strides=[2, 2], dilations=[2, 2], pads=[1] * 4),
    ),
    Case("Conv", "weight known at run time", PICTURE, runtime_weight),
    Case("Conv", "1-D", ((2, 3, 11),), weighted("Conv", 4, 3, 4, strides=[3], pads=[1, 2])),
    Case("ConvTranspose", "plain", PICTURE, weighted("ConvTranspose", 3, 4, 3, 3)),
    Case(
        "ConvTranspose",
        "strided",
        PICTURE,
        weighted(
            "ConvTranspose", 3, 4, 3, 3, strides=[2, 3], pads=[1, 0, 1, 1], output_padding=[1, 2]
        ),
    ),
    Case(
        "ConvTranspose",
        "groups dilated",
        ((1, 4, 5, 4),),
        weighted("ConvTranspose", 4, 3, 2, 3, group=2, dilations=[2, 1], bias=6),
    ),
    Case(
        "ConvTranspose",
        "padded beyond its stride",
        ((1, 4, 5, 4),),
        weighted("ConvTranspose", 4, 3, 2, 3, dilations=[3, 1], output_padding=[2, 0]),
    ),
    # -- pooling
    Case("MaxPool", "2x2 / 2 even", EVEN, pool("MaxPool", 2, 2)),
    Case("MaxPool", "2x2 / 2 odd", SMALL, pool("MaxPool", 2, 2)),
    Case("MaxPool", "2x2 / 2 odd ceil", SMALL, pool("MaxPool", 2, 2, ceil_mode=1)),
    Case("MaxPool", "3x3 / 3 even ceil", EVEN, pool("MaxPool", 3, 3, ceil_mode=1)),
    Case("MaxPool", "3x3 / 2", PICTURE, pool("MaxPool", 3, 2)),
    Case("MaxPool", "3x3 / 2 ceil", PICTURE, pool("MaxPool", 3, 2, ceil_mode=1)),
    Case("MaxPool", "3x3 / 2 padded", PICTURE, pool("MaxPool", 3, 2, pads=[1] * 4)),
    Case("MaxPool", "3x3 / 1 padded", PICTURE, pool("MaxPool", 3, 1, pads=[1, 0, 1, 1])),
    Case("MaxPool", "5x5 / 2 padded", PICTURE, pool("MaxPool", 5, 2, pads=[3, 2, 0, 1])),
    Case("MaxPool", "auto same", PICTURE, pool("MaxPool", 3, 1, auto_pad="SAME_UPPER")),
    Case("MaxPool", "gaps", PICTURE, pool("MaxPool", 2, 3)),
    Case("MaxPool", "1x1 / 2", PICTURE, pool("MaxPool", 1, 2)),
    Case("MaxPool", "1x1 / 1", PICTURE, pool("MaxPool", 1, 1)),
    Case("MaxPool", "oblong", PICTURE, node("MaxPool", kernel_shape=[2, 3], strides=[1, 2])),
    Case("AveragePool", "2x2 / 2 even", EVEN, pool("AveragePool", 2, 2)),
    Case("AveragePool", "2x2 / 2 odd", SMALL, pool("AveragePool", 2, 2)),
    Case("AveragePool", "2x2 / 2 odd ceil", SMALL, pool("AveragePool", 2, 2, ceil_mode=1)),
    Case("AveragePool", "3x3 / 2", PICTURE, pool("AveragePool", 3, 2)),
    Case("AveragePool", "3x3 / 2 padded", PICTURE, pool("AveragePool", 3, 2, pads=[1, 0, 1, 1])),
    Case("AveragePool", "ceil padded", PICTURE, pool("AveragePool", 3, 2, **CEIL)),
    Case("AveragePool", "padding counts", PICTURE, pool("AveragePool", 3, 2, **COUNTED)),
    Case("AveragePool", "counts ceil", PICTURE, pool("AveragePool", 3, 2, **CEIL, **ALL_COUNT)),
    Case("AveragePool", "gaps", PICTURE, pool("AveragePool", 2, 3)),
    Case(
        "AveragePool", "oblong", PICTURE, node("AveragePool", kernel_shape=[3, 2], strides=[2, 3])
    ),
    Case("GlobalAveragePool", "4-D", PICTURE, node("GlobalAveragePool")),
    # -- activations
    Case("Relu", "4-D", PICTURE, node("Relu")),
    Case("LeakyRelu", "slope", PICTURE, node("LeakyRelu", alpha=0.3)),
    Case("LeakyRelu", "default", PICTURE, node("LeakyRelu")),
    Case("Sigmoid", "4-D", PICTURE, node("Sigmoid")),
    Case("Tanh", "4-D", PICTURE, node("Tanh")),
    Case("Clip", "both", PICTURE, node("Clip", -0.5, 0.7)),
    Case("Clip", "above", PICTURE, node("Clip", None, 0.7)),
    Case("Clip", "below", PICTURE, node("Clip", -0.5)),
    Case("Clip", "unbounded", PICTURE, node("Clip")),
    # -- elementwise
    Case("Add", "equal", ((3, 4), (3, 4)), node("Add")),
    Case("Add", "row", ((3, 4), (4,)), node("Add")),
    Case("Add", "column and row", ((3, 1), (1, 4)), node("Add")),
    Case("Add", "pictures", (*PICTURE, *PICTURE), node("Add")),
    Case("Add", "channel", (*PICTURE, (3, 1, 1)), node("Add")),
    Case("Add", "scalar", (*PICTURE, ()), node("Add")),
    Case("Sub", "row", ((3, 4), (4,)), node("Sub")),
    Case("Sub", "pictures", (*PICTURE, *PICTURE), node("Sub")),
    Case("Mul", "row", ((2, 3, 4), (3, 1)), node("Mul")),
    Case("Mul", "pictures", (*PICTURE, *PICTURE), node("Mul")),
    Case("Mul", "itself", PICTURE, lambda graph, x: graph.op("Mul", x, x)),
    Case("Div", "row", ((3, 4), (4,)), node("Div"), positive=True),
    Case("Div", "by a constant", PICTURE, node("Div", 3.0)),
    Case("Pow", "square", PICTURE, node("Pow", 2.0)),
    Case("Pow", "integer", MATRIX, node("Pow", 3)),
    Case("Pow", "several", ((3, 4), (4,)), node("Pow"), positive=True),
    Case("Pow", "root", MATRIX, node("Pow", 0.5), positive=True),
    Case("Sum", "three", ((3, 4), (4,), (3, 1)), sum_of),
    Case("Sum", "one", MATRIX, sum_of),
    Case("Where", "larger", ((3, 4), (3, 4)), where),
    Case("Where", "broadcast", ((3, 4), (4,)), where),
    Case("Neg", "4-D", PICTURE, node("Neg")),
    Case("Abs", "4-D", PICTURE, node("Abs")),
    Case("Sqrt", "positive", MATRIX, node("Sqrt"), positive=True),
    Case("Exp", "matrix", MATRIX, node("Exp")),
    Case("Log", "positive", MATRIX, node("Log"), positive=True),
    Case("Identity", "4-D", PICTURE, node("Identity")),
    Case("Cast", "real", MATRIX, cast_down_and_up),
    Case("Dropout", "inference", PICTURE, node("Dropout")),
    Case("Dropout", "ratio", PICTURE, node("Dropout", 0.4, np.bool_(False))),
    # -- linear
    Case("MatMul", "matrices", ((3, 4), (4, 2)), node("MatMul")),
    Case("MatMul", "batch", ((2, 3, 4), (2, 4, 5)), node("MatMul")),
    Case("MatMul", "broadcast", ((2, 1, 3, 4), (5, 4, 2)), node("MatMul")),
    Case("MatMul", "shared right", ((2, 3, 4), (4, 2)), node("MatMul")),
    Case("MatMul", "vector right", ((2, 3, 4), (4,)), node("MatMul")),
    Case("MatMul", "vector left", ((3,), (2, 3, 4)), node("MatMul")),
    Case("MatMul", "vectors", ((4,), (4,)), node("MatMul")),
    Case("MatMul", "pictures", ((2, 3, 5, 4), (2, 3, 4, 5)), node("MatMul")),
    Case("MatMul", "constant", MATRIX, node("MatMul", np.arange(8.0).reshape(4, 2).tolist())),
    Case("MatMul", "Gram matrix", ((2, 3, 5),), gram),
    Case("Gemm", "plain", ((3, 4), (4, 2)), node("Gemm")),
    Case("Gemm", "scaled", ((3, 4), (4, 2), (2,)), node("Gemm", alpha=0.5, beta=-2.0)),
    Case("Gemm", "left transposed", ((4, 3), (4, 2), (3, 1)), node("Gemm", transA=1)),
    Case("Gemm", "right transposed", ((3, 4), (2, 4), ()), node("Gemm", transB=1)),
    Case("Gemm", "both", ((4, 3), (2, 4)), node("Gemm", transA=1, transB=1, alpha=3.0)),
    # -- shaping
    Case("Reshape", "flat map", PICTURE, node("Reshape", [3, -1])),
    Case("Flatten", "4-D", PICTURE, node("Flatten", axis=2)),
    Case("Squeeze", "batch", PICTURE, node("Squeeze", [0])),
    Case("Squeeze", "every", ((1, 3, 1),), node("Squeeze")),
    Case("Unsqueeze", "ends", MATRIX, node("Unsqueeze", [0, -1])),
    Case("Transpose", "given", PICTURE, node("Transpose", perm=[0, 2, 3, 1])),
    Case("Transpose", "default", ((2, 3, 4),), node("Transpose")),
    Case("Expand", "row", ((1, 4),), node("Expand", [3, 4])),
    Case("Concat", "channels", ((1, 3, 5, 4), (1, 2, 5, 4)), concat),
    Case("Concat", "columns", ((1, 2, 5, 4), (1, 2, 5, 3)), concat_twice),
    Case("Slice", "interior", PICTURE, node("Slice", [0, 1], [-1, INT_MAX], [2, 3])),
    Case("Slice", "no axes", MATRIX, node("Slice", [1, 0], [3, 2])),
    Case("Slice", "from behind", PICTURE, node("Slice", [-4, -20], [-1, 5], [-2, 3])),
    Case("Slice", "steps", PICTURE, node("Slice", [1, 0], [8, INT_MAX], [2, 3], [3, 2])),
    Case("Slice", "backwards", PICTURE, node("Slice", [-2, 5], [-INT_MAX, 0], [2, 3], [-1, -2])),
    Case("Slice", "mixed", PICTURE, node("Slice", [1, 6], [3, 1], [1, 3], [1, -2])),
    Case("Pad", "zeros", PICTURE, node("Pad", [0, 0, 1, 2, 0, 0, 3, 0])),
    Case("Pad", "value and axes", PICTURE, node("Pad", [1, 2, 3, 0], 0.5, [3, 2]), first_opset=18),
    Case("Pad", "reflect", PICTURE, node("Pad", [0, 0, 3, 2, 0, 0, 1, 4], mode="reflect")),
    Case("Pad", "edge", PICTURE, node("Pad", [0, 0, 3, 2, 0, 0, 1, 4], mode="edge")),
    # -- reductions
    Case("ReduceSum", "axes", PICTURE, node("ReduceSum", [2, 3])),
    Case("ReduceSum", "dropped", PICTURE, node("ReduceSum", [1, -1], keepdims=0)),
    Case("ReduceSum", "all", PICTURE, node("ReduceSum", keepdims=0)),
    Case("ReduceSum", "nothing", PICTURE, node("ReduceSum", noop_with_empty_axes=1)),
    Case("ReduceMean", "axes", PICTURE, node("ReduceMean", [2, 3], keepdims=0)),
    Case("ReduceMean", "all", PICTURE, node("ReduceMean")),
    Case(
        "ReduceMean",
        "axes as attribute",
        PICTURE,
        node("ReduceMean", axes=[1, 3]),
        opset=17,
        last_opset=17,
    ),
    Case("ReduceSumSquare", "all", PICTURE, node("ReduceSumSquare", keepdims=0)),
    Case("ReduceSumSquare", "axes", PICTURE, node("ReduceSumSquare", [1], keepdims=0)),
    # -- normalisation
    Case("BatchNormalization", "inference", PICTURE, batch_normalization),
    Case("LRN", "odd", ((1, 6, 3, 4),), node("LRN", size=3, alpha=0.7, beta=0.6, bias=1.5)),
    Case("LRN", "even", ((1, 6, 3, 4),), node("LRN", size=4, alpha=0.7), in_runtime=False),
    # -- resampling
    Case("Resize", "blocks", SMALL, resize([1, 1, 2, 3], mode="nearest", **BLOCKS)),
    Case("Resize", "nearest default", SMALL, resize([1, 1, 2, 2], mode="nearest")),
    Case("Resize", "nearest down", SMALL, resize([1, 1, 0.6, 0.5], mode="nearest")),
    Case("Resize", "nearest uneven", SMALL, resize([1, 1, 1.7, 1], mode="nearest", **BLOCKS)),
    Case("Resize", "linear up", SMALL, resize([1, 1, 2, 1.5], mode="linear")),
    Case("Resize", "linear to sizes", SMALL, resize(sizes=[1, 2, 5, 11], mode="linear")),
    Case(
        "Resize",
        "corners aligned",
        SMALL,
        resize([1, 1, 2, 2], mode="linear", coordinate_transformation_mode="align_corners"),
    ),
    Case("Resize", "axes", SMALL, resize([2.0, 1.5], mode="linear", axes=[3, 2]), first_opset=18),
    Case("Resize", "cubic", SMALL, resize([1, 1, 2, 2], mode="cubic")),
]
