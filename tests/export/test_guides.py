"""Guided losses in one piece: the oracle's numbers in every form; no guide where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from agreement import assert_same_gradient
from double_backend import DoubleBackend
from guided_network import GuidedTask, guided_task
from numpy_network import gram
from pictures import photo
from streamed_networks import network_of, task_of
from style_cases import oracle_of

from impasto.engine.backends import open_backend
from impasto.export.gradient import build_feature_graph, build_gradient_graph
from impasto.export.guides import UNGUIDED, Guides, layer_of

SIZE = (67, 45)
FORMS = [("onnxruntime", "nchwc"), ("openvino", "portable"), ("openvino", "nhwc")]


def gradient_graph(task: GuidedTask, **form: Any) -> onnx.ModelProto:
    network = task.network
    layers = network.content_layers, network.style_layers
    return build_gradient_graph(network.encoder, *layers, guides=network.guides, **form)


def evaluated(graph: Any, task: GuidedTask, dtype: Any = np.float32) -> dict[str, Any]:
    inputs = {name: value.astype(dtype) for name, value in task.targets.items()}
    graph.bind(inputs | {name: np.array(value, dtype) for name, value in task.weights.items()})
    return {n: v.copy() for n, v in graph.run({"image": task.image.astype(dtype)}).items()}


@pytest.mark.parametrize("size", [SIZE, None], ids=["fixed", "symbolic"])
@pytest.mark.parametrize("name", ["vgg19", "nin"])
def test_guided_losses_and_gradient_equal_the_oracle(name: str, size: Any) -> None:
    task = guided_task(name, SIZE)
    graph = DoubleBackend().compile(gradient_graph(task, size=size, dtype=np.float64))
    found = evaluated(graph, task, np.float64)
    assert found.keys() - {"loss", "gradient"} == task.losses.keys()
    for term, value in task.losses.items():
        assert found[term] == pytest.approx(value, rel=1e-10), term
    assert found["loss"] == pytest.approx(sum(task.losses.values()), rel=1e-10)
    error = np.abs(found["gradient"][0] - task.gradient).max()
    assert error <= 1e-10 * np.abs(task.gradient).max()


@pytest.mark.parametrize(
    ("backend", "lowering"),
    [(name, form + more) for name, form in FORMS for more in ("", "-winograd")],
)
def test_every_form_agrees(backend: str, lowering: str) -> None:
    task = guided_task("vgg19", (64, 48))
    model = gradient_graph(task, size=(64, 48), lowered_for=lowering)
    found = evaluated(open_backend(backend, "f32", 1).compile(model), task)
    for term, value in task.losses.items():
        assert found[term] == pytest.approx(value, rel=1e-4), term
    assert_same_gradient(found["gradient"][0], task.gradient)


def test_a_guide_of_ones_changes_nothing() -> None:
    plain = task_of("vgg19", SIZE)
    network = plain.network
    layers = network.content_layers, network.style_layers
    guides = Guides(dict.fromkeys(network.style_layers, ("all",)), content=True)
    backend = open_backend("onnxruntime", "f32", 1)

    def run(guides: Guides, more: dict[str, Any], suffix: str) -> dict[str, Any]:
        model = build_gradient_graph(network.encoder, *layers, guides=guides, size=SIZE)
        graph = backend.compile(model)
        inputs = {(n + suffix if n.startswith("style") else n): v for n, v in plain.targets.items()}
        weights = {
            (n + suffix if n.startswith("style") else n): np.array(v, np.float32)
            for n, v in plain.weights.items()
        }
        return graph.run({"image": plain.image, **inputs, **weights, **more})

    expected = run(UNGUIDED, {}, "")
    sizes = network.feature_sizes(SIZE)
    ones = {f"guide.{n}.all": np.ones((1, 1, *sizes[n]), np.float32) for n in network.style_layers}
    ones |= {
        f"content_guide.{n}": np.ones((1, 1, *sizes[n]), np.float32) for n in network.content_layers
    }
    found = run(guides, ones, ".all")
    for name, value in expected.items():
        guided = found[name + ".all" if name.startswith("style") else name]
        np.testing.assert_allclose(guided, value, rtol=1e-6, atol=1e-6 * np.abs(value).max())
    assert found["loss"] == pytest.approx(float(expected["loss"]), rel=1e-6)


def test_without_guides_the_graph_is_what_it_was() -> None:
    network = network_of("vgg19")
    layers = network.content_layers, network.style_layers
    for size in (None, SIZE):
        model = build_gradient_graph(network.encoder, *layers, guides=Guides(), size=size)
        assert model == build_gradient_graph(network.encoder, *layers, size=size)
        assert not [value.name for value in model.graph.input if "guide" in value.name]
        assert not [entry.key for entry in model.metadata_props if "guide" in entry.key]


def test_the_metadata_tell_the_regions() -> None:
    task = guided_task("nin", SIZE)
    model = gradient_graph(task)
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert '"relu3": ["sky", "tower", "all"]' in found["impasto.regions"]
    assert found["impasto.content_guided"] == "true"
    shapes = {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in model.graph.input
    }
    assert shapes["guide.relu3.sky"] == [1, 1, "height.relu3", "width.relu3"]
    assert shapes["content_guide.relu7"] == [1, 1, "height.relu7", "width.relu7"]


@pytest.mark.parametrize("size", [SIZE, None], ids=["fixed", "symbolic"])
def test_guided_gram_matrices_of_a_picture(size: Any) -> None:
    network = network_of("vgg19")
    layers = ("relu1_1", "relu3_1")
    image = photo(*SIZE).astype(np.float64)
    values = oracle_of(network.encoder).forward(image[0])
    random = np.random.default_rng(5)
    guides = {f"guide.{n}": random.random((1, 1, *values[n].shape[1:])) for n in layers}
    model = build_feature_graph(
        network.encoder, (), layers, guided=True, size=size, dtype=np.float64
    )
    found = DoubleBackend().compile(model).run({"image": image, **guides})
    for name in layers:
        expected = gram(guides[f"guide.{name}"][0] * values[name])
        np.testing.assert_allclose(found[f"gram.{name}"], expected, rtol=1e-10)


def test_terms_are_named_after_layer_and_region() -> None:
    guides = Guides({"relu1_1": ("1", "2")})
    assert guides.terms("relu1_1") == ("relu1_1.1", "relu1_1.2")
    assert guides.terms("relu2_1") == ("relu2_1",)
    assert [layer_of(term) for term in ("relu1_1.2", "relu1_1")] == ["relu1_1", "relu1_1"]
