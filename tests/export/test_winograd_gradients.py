"""Whole gradient graphs with Winograd: against the oracle, the plain lowerings, and in strips."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from agreement import assert_same_gradient, cosine
from pictures import photo
from style_cases import CONTENT, STYLE, balanced_weights, evaluate_oracle, targets_for

from impasto.engine.backends import open_backend
from impasto.export import lowerings
from impasto.export.encoder import Encoder
from impasto.export.gradient import build_gradient_graph
from impasto.export.lowerings import for_probes
from impasto.export.lowerings.winograd import Worthwhile
from impasto.export.reference import evaluate
from impasto.export.strip_backward import build_strip_backward
from impasto.export.strips import segments_of, strips_of
from impasto.models import load_model
from impasto.models.layer import Pooling
from impasto.models.registry import model_spec

Arrays = dict[str, npt.NDArray[Any]]

FORMS = [
    ("onnxruntime", "portable"),
    ("onnxruntime", "nchwc"),
    ("openvino", "portable"),
    ("openvino", "nhwc"),
]
in_every_form = pytest.mark.parametrize(("backend", "plain"), FORMS)


@pytest.fixture
def every_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Winograd for every 3×3 convolution, those of the image included."""
    table = {name: (Worthwhile(1, 1),) for name in lowerings.WINOGRAD}
    monkeypatch.setattr(lowerings, "WINOGRAD", MappingProxyType(table))


@cache
def encoder_of(pooling: Pooling = "max") -> Encoder:
    spec = model_spec("vgg19")
    architecture = spec.architecture.truncated(STYLE).with_pooling(pooling)
    return Encoder("vgg19", architecture.layers, load_model("vgg19").arrays, spec.preprocessing)


def gradient_on(
    backend: str, lowering: str, encoder: Encoder, size: tuple[int, int], inputs: Arrays
) -> Arrays:
    model = build_gradient_graph(encoder, CONTENT, STYLE, size=size, lowered_for=lowering)
    graph = open_backend(backend, "f32", 1).compile(model)
    found = graph.run({name: np.asarray(value, np.float32) for name, value in inputs.items()})
    return {name: value.copy() for name, value in found.items()}


@cache
def case(
    pooling: Pooling, size: tuple[int, int]
) -> tuple[Arrays, dict[str, float], npt.NDArray[np.float64]]:
    """Return the inputs, and the oracle's terms and gradient."""
    encoder, image = encoder_of(pooling), photo(*size)
    targets = targets_for(encoder, CONTENT, STYLE, image)
    weights = balanced_weights(encoder, CONTENT, STYLE, image, targets)
    losses, gradient = evaluate_oracle(encoder, CONTENT, STYLE, image, targets, weights)
    scalars = {name: np.array(value) for name, value in weights.items()}
    return {"image": image, **targets, **scalars}, losses, gradient


@in_every_form
@pytest.mark.usefixtures("every_layer")
@pytest.mark.parametrize(("pooling", "size"), [("max", (70, 52)), ("avg", (64, 48))])
def test_loss_and_gradient_equal_the_oracle(
    pooling: Pooling, size: tuple[int, int], backend: str, plain: str
) -> None:
    inputs, losses, gradient = case(pooling, size)
    found = gradient_on(backend, f"{plain}-winograd", encoder_of(pooling), size, inputs)
    for term, value in losses.items():
        assert found[term] == pytest.approx(value, rel=1e-4), term
    assert_same_gradient(found["gradient"][0], gradient)


@in_every_form
def test_vgg19_agrees_with_the_plain_lowering(backend: str, plain: str) -> None:
    size = (128, 128)
    encoder, image = encoder_of(), photo(*size)
    flat = {f"style.{n}": np.zeros((encoder.channels(n),) * 2) for n in STYLE}
    weights = {f"style_weight.{n}": np.array(1.0) for n in STYLE}
    inputs: Arrays = {
        "image": image, **flat, **weights, "content.relu4_2": np.zeros((1, 512, 16, 16)),
        "content_weight.relu4_2": np.array(1.0), "tv_weight": np.array(1e-3),
    }  # fmt: skip
    expected, found = (
        gradient_on(backend, name, encoder, size, inputs) for name in (plain, f"{plain}-winograd")
    )
    assert cosine(found["gradient"], expected["gradient"]) > 0.999999
    norms = [float(np.linalg.norm(result["gradient"])) for result in (found, expected)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)


@pytest.mark.parametrize("plain", sorted(lowerings.WINOGRAD))
def test_the_table_takes_the_wide_layers_both_ways(plain: str) -> None:
    """Of VGG-19 at 512 pixels conv3_2 to conv5_1, and conv3_1 where that pays."""
    model = build_gradient_graph(
        encoder_of(), CONTENT, STYLE, size=(512, 512), lowered_for=f"{plain}-winograd"
    )
    onnx.checker.check_model(model, full_check=True)
    products = [node.name for node in model.graph.node if node.name.endswith("/products")]
    first = 2 if plain == "nchwc" else 1
    wide = [f"conv3_{i}" for i in range(first, 5)]
    wide += [f"conv4_{i}" for i in range(1, 5)] + ["conv5_1"]
    backward = [f"{name}/vjp/correlated" for name in wide]
    assert sorted(products) == sorted(f"{name}/products" for name in (*wide, *backward))


@pytest.mark.parametrize("plain", sorted(lowerings.WINOGRAD))
def test_a_probe_has_the_layers_of_the_largest_picture(plain: str) -> None:
    def layers(size: tuple[int, int], name: str) -> set[str]:
        model = build_gradient_graph(encoder_of(), CONTENT, STYLE, size=size, lowered_for=name)
        return {node.name for node in model.graph.node if node.name.endswith("/products")}

    name = f"{plain}-winograd"
    small, large = (64, 64), (1024, 1024)
    assert layers(small, name) < layers(large, name) <= layers(small, for_probes(name))


@pytest.mark.usefixtures("every_layer")
@pytest.mark.parametrize("plain", sorted(lowerings.WINOGRAD))
def test_strips_carry_back_the_same(plain: str) -> None:
    encoder = encoder_of()
    segment = segments_of(encoder.layers)[1]
    rng = np.random.default_rng(2)
    for strip in strips_of(segment, 30, 11):
        models = [
            build_strip_backward(
                encoder, segment, strip, 18, styles=["relu2_1"], lowered_for=name, dtype=np.float64
            )
            for name in (plain, f"{plain}-winograd")
        ]
        feeds = {
            value.name: rng.normal(size=[d.dim_value for d in value.type.tensor_type.shape.dim])
            for value in models[0].graph.input
        }
        assert any(node.name.endswith("/products") for node in models[1].graph.node)
        expected, found = (evaluate(model, feeds)["gradient"] for model in models)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
