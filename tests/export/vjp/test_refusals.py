"""What the rules cannot do they refuse, naming node and remedy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from impasto.errors import DifferentiationError
from impasto.export.checks import gradient_model
from impasto.export.graph import GraphBuilder, Shape

PICTURE: Shape = (1, 3, 8, 8)
SYMBOLIC: Shape = (1, 3, "height", "width")


def differentiate(build: Callable[[GraphBuilder, str], str], shape: Shape = PICTURE) -> None:
    graph = GraphBuilder()
    y = build(graph, graph.input("x", shape))
    graph.output(y, "y", graph.shapes().get(y, PICTURE))
    gradient_model(graph.build("refused"), ["x"])


def ones(graph: GraphBuilder, *shape: int) -> str:
    return graph.constant(np.ones(shape, np.float32))


def weight_from_the_image(graph: GraphBuilder, x: str) -> str:
    return graph.op("Conv", ones(graph, 1, 3, 9, 9), x)


def same_padding_of_a_strided_window(graph: GraphBuilder, x: str) -> str:
    return graph.op("Conv", x, ones(graph, 4, 3, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER")


def convtranspose_with_output_shape(graph: GraphBuilder, x: str) -> str:
    return graph.op("ConvTranspose", x, ones(graph, 3, 2, 3, 3), output_shape=[9, 9])


def dilated_pooling(graph: GraphBuilder, x: str) -> str:
    return graph.op("MaxPool", x, kernel_shape=[2, 2], dilations=[2, 2])


def pooling_along_a_line(graph: GraphBuilder, x: str) -> str:
    line = graph.op("Reshape", x, graph.constant([1, 3, -1]))
    return graph.op("AveragePool", line, kernel_shape=[2])


def dropout_in_training(graph: GraphBuilder, x: str) -> str:
    training = graph.constant(np.bool_(True))
    return graph.op("Dropout", x, graph.constant(0.5), training)


def slice_with_computed_bounds(graph: GraphBuilder, x: str) -> str:
    end = graph.op("Shape", graph.op("Relu", x), start=2, end=3)
    return graph.op("Slice", x, graph.constant([0]), end, graph.constant([2]))


def resize_by_crop(graph: GraphBuilder, x: str) -> str:
    return graph.op(
        "Resize",
        x,
        graph.constant(np.array([0, 0, 0, 0, 1, 1, 1, 1], np.float32)),
        graph.constant(np.array([1, 1, 2, 2], np.float32)),
        coordinate_transformation_mode="tf_crop_and_resize",
    )


@pytest.mark.parametrize(
    ("build", "shape", "message"),
    [
        (weight_from_the_image, PICTURE, "Weights are constants"),
        (same_padding_of_a_strided_window, SYMBOLIC, "explicit pads"),
        (convtranspose_with_output_shape, PICTURE, "explicit pads"),
        (dilated_pooling, PICTURE, "dilations"),
        (pooling_along_a_line, PICTURE, "spatial axes"),
        (dropout_in_training, PICTURE, "training mode"),
        (slice_with_computed_bounds, PICTURE, "Make it an initializer"),
        (resize_by_crop, PICTURE, "tf_crop_and_resize"),
    ],
)
def test_refused(build: Callable[[GraphBuilder, str], str], shape: Shape, message: str) -> None:
    with pytest.raises(DifferentiationError, match=message) as caught:
        differentiate(build, shape)
    assert "opset 18" in str(caught.value)
    assert "at node" in str(caught.value)


def test_same_padding_needs_no_size_without_a_stride() -> None:
    def build(graph: GraphBuilder, x: str) -> str:
        return graph.op("Conv", x, ones(graph, 4, 3, 4, 3), auto_pad="SAME_LOWER")

    differentiate(build, SYMBOLIC)
