"""Which nodes the rules emit: the form decides how fast a runtime is, and whether it is right."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from impasto.export.checks import gradient_model
from impasto.export.graph import GraphBuilder, Shape

KNOWN: Shape = (1, 3, 24, 32)
SYMBOLIC: Shape = (1, 3, "height", "width")


def emitted(op: str, shape: Shape, *weight_shape: int, **attributes: Any) -> Counter[str]:
    graph = GraphBuilder()
    x = graph.input("x", shape)
    weight = [graph.constant(np.ones(weight_shape, np.float32))] if weight_shape else []
    y = graph.op(op, x, *weight, **attributes)
    graph.output(y, "y", graph.shapes()[y])
    model: onnx.ModelProto = gradient_model(graph.build("one"), ["x"])
    found = Counter(node.op_type for node in model.graph.node)
    del found["Identity"]
    return found


@pytest.mark.parametrize("shape", [KNOWN, SYMBOLIC], ids=["known", "symbolic"])
def test_a_convolution_without_stride_gives_one_convolution(shape: Shape) -> None:
    assert emitted("Conv", shape, 8, 3, 3, 3, pads=[1] * 4) == {"Conv": 1}
    assert emitted("Conv", shape, 8, 3, 5, 3, dilations=[2, 1]) == {"Conv": 1}
    assert emitted("Conv", shape, 6, 1, 3, 3, group=3, pads=[1] * 4) == {"Conv": 1}


def test_a_strided_convolution_gives_phases_and_no_convtranspose() -> None:
    even = emitted("Conv", KNOWN, 8, 3, 4, 4, strides=[4, 4])
    assert even == {"Conv": 1, "DepthToSpace": 1}
    odd = emitted("Conv", (1, 3, 25, 33), 8, 3, 11, 11, strides=[4, 4])
    assert odd == {"Conv": 1, "DepthToSpace": 1, "Slice": 1}


def test_relu_gives_a_comparison_with_its_own_output() -> None:
    assert emitted("Relu", KNOWN) == {"Relu": 1, "Greater": 1, "Where": 1}


def test_a_relu_before_a_pooling_is_masked_at_pooled_size() -> None:
    graph = GraphBuilder()
    relu = graph.op("Relu", graph.input("x", KNOWN), name="relu")
    pooled = graph.op("MaxPool", relu, kernel_shape=[2, 2], strides=[2, 2], name="pooled")
    graph.output(pooled, "y", graph.shapes()[pooled])
    model: onnx.ModelProto = gradient_model(graph.build("two"), ["x"])
    compared = [node.input[0] for node in model.graph.node if node.op_type == "Greater"]
    assert compared == ["pooled"]


def test_a_relu_that_something_else_reads_has_a_mask_of_its_own() -> None:
    graph = GraphBuilder()
    relu = graph.op("Relu", graph.input("x", KNOWN), name="relu")
    pooled = graph.op("MaxPool", relu, kernel_shape=[2, 2], strides=[2, 2], name="pooled")
    total = graph.op("Sum", *(graph.op("ReduceSum", v, keepdims=0) for v in (relu, pooled)))
    graph.output(total, "y", ())
    model: onnx.ModelProto = gradient_model(graph.build("three"), ["x"])
    compared = [node.input[0] for node in model.graph.node if node.op_type == "Greater"]
    assert sorted(compared) == ["pooled", "relu"]


def test_an_even_pooling_of_known_size_needs_no_cropping() -> None:
    square: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    assert emitted("AveragePool", KNOWN, **square) == {"Mul": 1, "Resize": 1}
    largest = emitted("MaxPool", KNOWN, **square)
    assert not {"Pad", "Slice", "Shape"} & set(largest)
    assert largest["Resize"] == 2


def test_sizes_that_are_known_leave_no_shape_nodes() -> None:
    cases: dict[str, dict[str, Any]] = {
        "MaxPool": {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        "AveragePool": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4},
        "ReduceMean": {},
        "Flatten": {},
    }
    for op, attributes in cases.items():
        assert "Shape" not in emitted(op, KNOWN, **attributes), op


def test_a_gram_matrix_gives_one_product() -> None:
    graph = GraphBuilder()
    x = graph.input("x", (4, 9))
    y = graph.op("MatMul", x, graph.op("Transpose", x, perm=[1, 0]))
    graph.output(y, "y", (4, 4))
    model = gradient_model(graph.build("gram"), ["x"])
    assert [node.op_type for node in model.graph.node].count("MatMul") == 1


def test_padding_by_less_than_nothing_is_undone() -> None:
    """A negative pad cuts; `onnx.reference` does not know it, ONNX Runtime does."""
    graph = GraphBuilder()
    y = graph.op("Pad", graph.input("x", (4, 5)), graph.constant([-1, 2, 3, -2]))
    graph.output(y, "y", graph.shapes()[y])
    model = gradient_model(graph.build("cut"), ["x"])
    cotangent = np.arange(30, dtype=np.float32).reshape(6, 5)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (gradient,) = session.run(None, {"x": np.zeros((4, 5), np.float32), "cotangent": cotangent})
    expected = np.zeros((4, 5), np.float32)
    expected[1:, :3] = cotangent[:3, 2:]
    np.testing.assert_array_equal(gradient, expected)
