"""Tied cells of a max pooling window share its cotangent equally, as torch.amax has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from impasto.export.checks import gradient_model
from impasto.export.graph import GraphBuilder

F32 = npt.NDArray[np.float32]

WINDOWS: dict[str, dict[str, Any]] = {
    "2x2 stride 2": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "3x3 stride 2, ceil": {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    "3x3 stride 2, padded": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
}


def pooled_gradient(x: F32, window: dict[str, Any], *, symbolic: bool) -> tuple[F32, F32]:
    """Return the cotangent that was given and the input's, by ONNX Runtime."""
    graph = GraphBuilder()
    dims: tuple[int | str, ...] = (*x.shape[:2], "h", "w") if symbolic else x.shape
    pooled = graph.op("MaxPool", graph.input("x", dims), **window)
    graph.output(pooled, "y", graph.shapes()[pooled])
    forward = graph.build("pool")
    y = onnxruntime.InferenceSession(forward.SerializeToString()).run(None, {"x": x})[0]
    cotangent = np.random.default_rng(0).uniform(1, 2, y.shape).astype(np.float32)
    session = onnxruntime.InferenceSession(gradient_model(forward, ["x"]).SerializeToString())
    return cotangent, session.run(None, {"x": x, "cotangent": cotangent})[0]


@pytest.mark.parametrize("symbolic", [False, True], ids=["known", "symbolic"])
@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("value", [0.0, -3.5, 255.0])
def test_a_flat_picture_keeps_the_sum(window: dict[str, Any], value: float, symbolic: bool) -> None:
    x = np.full((1, 2, 9, 11), value, np.float32)
    cotangent, gradient = pooled_gradient(x, window, symbolic=symbolic)
    np.testing.assert_allclose(gradient.sum((2, 3)), cotangent.sum((2, 3)), rtol=1e-5)


def test_shares_of_a_flat_window_are_equal() -> None:
    x = np.zeros((1, 1, 4, 6), np.float32)
    cotangent, gradient = pooled_gradient(x, WINDOWS["2x2 stride 2"], symbolic=False)
    expected = np.repeat(np.repeat(cotangent, 2, 2), 2, 3) / 4
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_two_of_four_tied_cells_get_half_each() -> None:
    x = np.array([[[[1, 5], [5, 2]]]], np.float32)
    cotangent, gradient = pooled_gradient(x, WINDOWS["2x2 stride 2"], symbolic=False)
    expected = cotangent[0, 0, 0, 0] * np.array([[0, 0.5], [0.5, 0]])
    np.testing.assert_allclose(gradient[0, 0], expected, rtol=1e-6)


def test_a_cell_may_win_several_overlapping_windows() -> None:
    x = np.zeros((1, 1, 5, 5), np.float32)
    x[0, 0, 2, 2] = 1
    window = {"kernel_shape": [3, 3], "strides": [2, 2]}
    cotangent, gradient = pooled_gradient(x, window, symbolic=False)
    np.testing.assert_allclose(gradient[0, 0, 2, 2], cotangent.sum(), rtol=1e-6)
    assert np.count_nonzero(gradient) == 1
