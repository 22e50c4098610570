"""The float64 evaluator's own ops agree with ONNX Runtime, where those of `onnx` do not."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnxruntime
import pytest

from impasto.export.graph import GraphBuilder
from impasto.export.reference import evaluate


@pytest.mark.parametrize("opset", [17, 19])
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_poolings_of_many_windows(op: str, opset: int) -> None:
    compared = 0
    for kernel, stride, pad, side, ceil, counted in itertools.product(
        (2, 3), (1, 2, 3), (0, 1), (5, 6, 7, 8), (0, 1), (0, 1)
    ):
        window: dict[str, Any] = {
            "kernel_shape": [kernel, kernel],
            "strides": [stride, stride],
            "pads": [pad, pad, 0, pad],
            "ceil_mode": ceil,
        }
        if op == "AveragePool":
            window["count_include_pad"] = counted
        graph = GraphBuilder(opset)
        y = graph.op(op, graph.input("x", (1, 2, "h", "w")), **window)
        graph.output(y, "y", (1, 2, None, None))
        model = graph.build("pool")
        x = np.random.default_rng(side).normal(size=(1, 2, side, side + 1)).astype(np.float32)
        runner = onnxruntime.InferenceSession(model.SerializeToString())
        np.testing.assert_allclose(
            evaluate(model, {"x": x})["y"], runner.run(None, {"x": x})[0], atol=1e-5
        )
        compared += 1
    assert compared == 192


def test_dilated_poolings_are_not_evaluated() -> None:
    graph = GraphBuilder()
    y = graph.op("MaxPool", graph.input("x", (1, 1, 6, 6)), kernel_shape=[2, 2], dilations=[2, 2])
    graph.output(y, "y", (1, 1, 4, 4))
    with pytest.raises(NotImplementedError, match="Dilations"):
        evaluate(graph.build("pool"), {"x": np.zeros((1, 1, 6, 6))})
