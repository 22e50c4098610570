"""Networks on a torus: against the oracle, and the same wherever the picture is cut open."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from agreement import assert_same_gradient
from double_backend import DoubleBackend
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import photo
from streamed_networks import Task, network_of, task_for

from impasto.engine.backends import open_backend
from impasto.engine.network import Network
from impasto.export.gradient import build_feature_graph, build_gradient_graph
from impasto.export.graph import GraphBuilder
from impasto.export.torus import (
    append_wrapped,
    first_unwrappable,
    total_stride,
    wrap_convolutions,
)
from impasto.models.layer import Layer, Pooling

STRIDE = 16
SIZE = (48, 32)

Values = dict[str, npt.NDArray[Any]]


def torus_of(pooling: Pooling = "max", narrowed: int = 8) -> Network:
    return replace(network_of("vgg19", pooling, None, narrowed), wraps=True)


@cache
def task(pooling: Pooling = "max", size: tuple[int, int] = SIZE, narrowed: int = 8) -> Task:
    return task_for(torus_of(pooling, narrowed), photo(*size))


def gradient_graph(network: Network, **form: Any) -> onnx.ModelProto:
    return build_gradient_graph(
        network.encoder,
        network.content_layers,
        network.style_layers,
        wraps=network.wraps,
        **form,
    )


def in_double(network: Network, job: Task, image: npt.NDArray[Any]) -> Values:
    """Evaluate the portable gradient graph, of symbolic size, in float64."""
    graph = DoubleBackend().compile(gradient_graph(network, dtype=np.float64))
    graph.bind({name: np.asarray(value, np.float64) for name, value in job.targets.items()})
    graph.bind({name: np.array(value) for name, value in job.weights.items()})
    return graph.run({"image": image.astype(np.float64)})


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_loss_and_gradient_equal_the_oracle_in_float64(pooling: Pooling) -> None:
    job = task(pooling)
    found = in_double(job.network, job, job.image)
    for term, value in job.losses.items():
        assert found[term] == pytest.approx(value, rel=1e-10), term
    assert np.abs(found["gradient"][0] - job.gradient).max() <= 1e-10 * np.abs(job.gradient).max()


@pytest.mark.parametrize(
    ("backend", "lowering"),
    [
        ("onnxruntime", "portable"),
        ("onnxruntime", "nchwc"),
        ("onnxruntime", "nchwc-winograd"),
        ("openvino", "nhwc"),
        ("openvino", "nhwc-winograd"),
    ],
)
def test_every_lowering_equals_the_oracle(backend: str, lowering: str) -> None:
    job = task("max", (64, 48), 1)
    model = gradient_graph(job.network, size=job.size, lowered_for=lowering)
    graph = open_backend(backend, "f32").compile(model)
    graph.bind({name: np.asarray(value, np.float32) for name, value in job.targets.items()})
    graph.bind({name: np.array(value, np.float32) for name, value in job.weights.items()})
    found = graph.run({"image": job.image})
    for term, value in job.losses.items():
        assert found[term] == pytest.approx(value, rel=1e-4), term
    assert_same_gradient(found["gradient"][0], job.gradient)


shifts = st.integers(-2, 3).map(lambda cells: cells * STRIDE)


def rolled_style_only() -> tuple[Network, Task]:
    """A style, whose target knows no place."""
    network = replace(torus_of(), content_layers=())
    return network, task_for(network, photo(*SIZE))


@settings(deadline=None, derandomize=True, max_examples=4)
@given(down=shifts, right=shifts)
def test_a_rolled_picture_has_the_loss_and_the_rolled_gradient(down: int, right: int) -> None:
    network, job = rolled_style_only()
    here = in_double(network, job, job.image)
    there = in_double(network, job, np.roll(job.image, (down, right), (2, 3)))
    assert there["loss"] == pytest.approx(float(here["loss"]), rel=1e-10)
    rolled = np.roll(here["gradient"], (down, right), (2, 3))
    assert np.abs(there["gradient"] - rolled).max() <= 1e-10 * np.abs(rolled).max()


def test_a_flat_network_tells_where_it_was_cut_open() -> None:
    """What the tests above would not see if the network ended at its borders."""
    network, job = rolled_style_only()
    here = in_double(network.flat, job, job.image)
    there = in_double(network.flat, job, np.roll(job.image, STRIDE, 3))
    assert there["loss"] != pytest.approx(float(here["loss"]), rel=1e-3)


def test_features_roll_with_the_picture() -> None:
    encoder = torus_of().encoder
    names = ("relu1_1", "relu3_1", "relu5_1")
    model = build_feature_graph(encoder, names, names, wraps=True, dtype=np.float64)
    graph = DoubleBackend().compile(model)
    image = photo(*SIZE).astype(np.float64)
    here = {name: value.copy() for name, value in graph.run({"image": image}).items()}
    there = graph.run({"image": np.roll(image, (STRIDE, -STRIDE), (2, 3))})
    for name, stride in zip(names, (1, 4, 16), strict=True):
        rolled = np.roll(here[f"features.{name}"], (STRIDE // stride, -STRIDE // stride), (2, 3))
        np.testing.assert_allclose(there[f"features.{name}"], rolled, rtol=0, atol=1e-9)
        gram = here[f"gram.{name}"]
        np.testing.assert_allclose(there[f"gram.{name}"], gram, rtol=0, atol=1e-10 * gram.max())


def test_every_padded_convolution_is_wrapped_and_nothing_else_changes() -> None:
    whole = gradient_graph(torus_of().flat, size=SIZE)
    flat = Counter(node.op_type for node in whole.graph.node)
    model = gradient_graph(torus_of(), size=SIZE)
    torus = Counter(node.op_type for node in model.graph.node)
    onnx.checker.check_model(model, full_check=True)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    pads = [list(a.ints) for node in convolutions for a in node.attribute if a.name == "pads"]
    assert len(convolutions) == flat["Conv"] == 2 * 13
    assert not np.any(pads)
    more = torus - flat
    assert more["Concat"] >= 2 * len(convolutions)
    assert set(more) <= {"Slice", "Concat", "Pad", "Sum"}, "all but Concat also of the variation"
    assert not flat - torus
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert "multiples of 16" in metadata["impasto.torus"]


def test_what_is_no_torus_is_told() -> None:
    assert first_unwrappable(torus_of().encoder.layers) is None
    assert total_stride(torus_of().encoder.layers) == STRIDE
    nin = network_of("nin").encoder.layers
    odd = first_unwrappable(nin)
    assert odd is not None
    assert odd.name == nin[0].name
    overlapping = Layer("pool", "max_pool", 4, 4, kernel=3, stride=2)
    assert first_unwrappable([overlapping]) is overlapping


@pytest.mark.parametrize("pads", [[1, 1, 1, 0], [2, 2, 2, 2]])
def test_convolutions_that_change_the_size_are_refused(pads: list[int]) -> None:
    graph = GraphBuilder()
    image = graph.input("image", (1, 3, 8, 8))
    weight = graph.constant(np.ones((3, 3, 3, 3), np.float32))
    graph.op("Conv", image, weight, name="odd", kernel_shape=[3, 3], pads=pads)
    with pytest.raises(ValueError, match="odd has a kernel"):
        wrap_convolutions(graph)


def test_nothing_to_wrap_is_the_value_itself() -> None:
    graph = GraphBuilder()
    image = graph.input("image", (1, 3, 8, 8))
    assert append_wrapped(graph, image, 2, 0, 0) == image
