"""Single convolutions by Winograd, against the float64 oracle and on the runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy_network import convolve

from impasto.engine.backends import open_backend
from impasto.export.graph import GraphBuilder
from impasto.export.lowerings import winograd
from impasto.export.lowerings.channels_last import convolve_by_winograd
from impasto.export.lowerings.winograd import Worthwhile
from impasto.export.reference import evaluate

F64 = npt.NDArray[np.float64]

ALWAYS = (Worthwhile(1, 1), Worthwhile(1, 1, taps=5))


def normal(*shape: int, seed: int = 0) -> F64:
    return np.random.default_rng(seed).normal(size=shape)


def convolution(
    image: tuple[int, ...],
    weight: npt.NDArray[Any],
    bias: npt.NDArray[Any] | None = None,
    table: tuple[Worthwhile, ...] = ALWAYS,
    relu: bool = False,
    **attributes: Any,
) -> onnx.ModelProto:
    graph = GraphBuilder(dtype=weight.dtype)
    value = graph.input("image", image)
    constants = [graph.constant(array) for array in (weight, bias) if array is not None]
    value = graph.op("Conv", value, *constants, name="convolved", **attributes)
    if relu:
        value = graph.op("Relu", value, name="rectified")
    convolve_by_winograd(graph, table)
    graph.output(value, "result", (None,) * 4)
    return graph.build("convolution")


def ops(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def padded(image: F64, pads: tuple[int, int, int, int]) -> F64:
    top, left, bottom, right = pads
    return np.pad(image, [(0, 0), (top, bottom), (left, right)])


# -- exactness -----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    channels=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    taps=st.sampled_from((3, 5)),
    size=st.tuples(st.integers(1, 19), st.integers(1, 19)),
    pads=st.tuples(*[st.integers(0, 3)] * 4),
    biased=st.booleans(),
)
def test_any_size_and_pads_give_the_convolution(
    channels: tuple[int, int],
    taps: int,
    size: tuple[int, int],
    pads: tuple[int, int, int, int],
    biased: bool,
) -> None:
    assume(size[0] + pads[0] + pads[2] >= taps)
    assume(size[1] + pads[1] + pads[3] >= taps)
    image, weight = normal(channels[0], *size), normal(*channels[::-1], taps, taps, seed=1)
    bias = normal(channels[1], seed=2) if biased else None
    model = convolution((1, *image.shape), weight, bias, pads=list(pads))
    assert "Conv" not in ops(model)
    onnx.checker.check_model(model, full_check=True)
    found = evaluate(model, {"image": image[None]})["result"][0]
    zero = np.zeros(channels[1])
    expected = convolve(padded(image, pads), weight, zero if bias is None else bias, 1, 0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    taps=st.sampled_from((3, 5)),
    size=st.tuples(st.integers(5, 23), st.integers(5, 23)),
    most=st.integers(1, 9),
)
def test_tiles_computed_in_bands_give_the_convolution(
    taps: int, size: tuple[int, int], most: int
) -> None:
    image, weight = normal(3, *size), normal(2, 3, taps, taps, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "MOST_TILES", most)
        model = convolution((1, *image.shape), weight, pads=[1] * 4)
    onnx.checker.check_model(model, full_check=True)
    rows, columns = winograd.FILTERS[taps].tile_counts(size, (1, 1, 1, 1))
    products = [node for node in model.graph.node if "/products" in node.name]
    # As many as are needed, of whole rows of tiles.
    assert len(products) == min(rows, -(-rows * columns // most))
    found = evaluate(model, {"image": image[None]})["result"][0]
    expected = convolve(padded(image, (1, 1, 1, 1)), weight, np.zeros(2), 1, 0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("kernel", "attributes"),
    [
        (3, {"strides": [2, 2]}),
        (3, {"strides": [1, 2]}),
        (3, {"dilations": [2, 2]}),
        (3, {"auto_pad": "SAME_UPPER"}),
        (3, {"group": 2}),
        (7, {}),
        (1, {}),
    ],
)
def test_other_convolutions_stay(kernel: int, attributes: dict[str, Any]) -> None:
    weight = normal(4, 4 // attributes.get("group", 1), kernel, kernel)
    assert ops(convolution((1, 4, 12, 12), weight, **attributes)) == ["Conv", "Identity"]


@pytest.mark.parametrize("image", [(1, 4, "height", 12), (1, 4, 12, None), (2, 4, 12, 12)])
def test_unknown_sizes_and_several_pictures_stay(image: tuple[Any, ...]) -> None:
    assert "Conv" in ops(convolution(image, normal(4, 4, 3, 3)))


def test_a_weight_computed_at_run_time_stays() -> None:
    graph = GraphBuilder(dtype=np.float64)
    image, weight = graph.input("image", (1, 4, 8, 8)), graph.input("weight", (4, 4, 3, 3))
    value = graph.op("Conv", image, weight)
    convolve_by_winograd(graph, ALWAYS)
    graph.output(value, "result", (1, 4, 6, 6))
    assert "Conv" in ops(graph.build("convolution"))


@pytest.mark.parametrize(
    ("row", "covers"),
    [
        (Worthwhile(8, 4), True),
        (Worthwhile(9, 4), False),
        (Worthwhile(8, 5), False),
        (Worthwhile(8, 4, taps=5), False),
    ],
)
def test_the_table_decides_by_channels_tiles_and_taps(row: Worthwhile, covers: bool) -> None:
    # 6 and 12 channels have the harmonic mean 8; 8×8 outputs are 4 tiles.
    model = convolution((1, 6, 10, 10), normal(12, 6, 3, 3), table=(row,))
    assert ("Conv" not in ops(model)) == covers


# -- what lies between ---------------------------------------------------------------------------


def chain(count: int) -> GraphBuilder:
    graph = GraphBuilder(dtype=np.float64)
    value = graph.input("image", (1, 5, 9, 11))
    for index in range(count):
        weight = graph.constant(normal(5, 5, 3, 3, seed=index))
        value = graph.op("Conv", value, weight, pads=[1] * 4, name=f"convolved{index}")
        value = graph.op("Relu", value, name=f"rectified{index}")
    graph.output(value, "result", (1, 5, 9, 11))
    return graph


def turns(model: onnx.ModelProto) -> int:
    """How often the layout changes: Transposes of pictures."""
    orders = [
        list(node.attribute[0].ints) for node in model.graph.node if node.op_type == "Transpose"
    ]
    return sum(order in ([0, 2, 3, 1], [0, 3, 1, 2]) for order in orders)


def test_a_chain_changes_its_layout_at_its_ends_only() -> None:
    graph = chain(3)
    image = normal(1, 5, 9, 11, seed=9)
    expected = evaluate(chain(3).build("chain"), {"image": image})["result"]
    convolve_by_winograd(graph, ALWAYS)
    model = graph.build("chain")
    assert turns(model) == 2
    found = evaluate(model, {"image": image})["result"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_other_nodes_read_the_old_layout() -> None:
    graph = chain(1)
    pooled = graph.op("MaxPool", "rectified0", kernel_shape=[2, 2], strides=[2, 2])
    graph.output(pooled, "pooled", (1, 5, 4, 5))
    plain = chain(1)
    plain.output(
        plain.op("MaxPool", "rectified0", kernel_shape=[2, 2], strides=[2, 2]),
        "pooled",
        (1, 5, 4, 5),
    )
    convolve_by_winograd(graph, ALWAYS)
    image = {"image": normal(1, 5, 9, 11, seed=9)}
    found = evaluate(graph.build("pooled"), image)
    for name, value in evaluate(plain.build("pooled"), image).items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-10)


# -- on the runtimes -----------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("value", [0.0, -3.0, 1e-30, 1e30])
def test_the_factor_that_prevents_folding_is_one(backend: str, value: float) -> None:
    """Of whatever value stands in the first cell, where there is no padding."""
    image = normal(1, 16, 6, 6).astype(np.float32)
    weight = normal(16, 16, 3, 3, seed=1).astype(np.float32)
    weight[:, 0, 0, 0] = 0
    plain = convolution(image.shape, weight, table=())
    image[0, 0, 0, 0] = value
    found, expected = (
        open_backend(backend, "f32", 1).compile(model).run({"image": image})["result"].copy()
        for model in (convolution(image.shape, weight), plain)
    )
    assert np.isfinite(found).all()
    if abs(value) < 10:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_error_over_512_channels_is_that_of_float32(backend: str) -> None:
    image = np.maximum(normal(1, 512, 12, 12), 0)
    weight = normal(512, 512, 3, 3, seed=1) / 48
    pads = (1, 1, 1, 1)
    model = convolution(image.shape, weight.astype(np.float32), pads=list(pads))
    graph = open_backend(backend, "f32", 1).compile(model)
    found = graph.run({"image": image.astype(np.float32)})["result"][0]
    rounded = weight.astype(np.float32).astype(np.float64)
    exact_image = image[0].astype(np.float32).astype(np.float64)
    expected = convolve(padded(exact_image, pads), rounded, np.zeros(512), 1, 0)
    assert np.linalg.norm(found - expected) < 5e-6 * np.linalg.norm(expected)


def test_the_runtime_does_not_keep_the_transformed_weights(tmp_path: Path) -> None:
    """They are four times as large, so a graph that holds them is more than twice its file."""
    weight = normal(64, 64, 3, 3).astype(np.float32)
    model = convolution((1, 64, 32, 32), weight, pads=[1] * 4)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model.SerializeToString(), options)
    kept = onnx.load(options.optimized_model_filepath)
    assert sum(t.ByteSize() for t in kept.graph.initializer) < 2 * weight.nbytes
