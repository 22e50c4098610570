"""Models whose large constants are beside them: the same models, and light."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from impasto.export.encoder import Encoder
from impasto.export.gradient import build_gradient_graph, light_gradient_graph
from impasto.export.light import APART_BYTES, LightModel
from impasto.models.registry import model_spec
from impasto.models.weights.random_weights import random_weights

LARGE = APART_BYTES // 4  # float32 entries


def product(entries: int) -> onnx.ModelProto:
    """Return y = x · w + 1 with a w of so many entries."""
    weight = np.random.default_rng(1).normal(size=(1, entries)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "w"], ["xw"]),
            helper.make_node("Add", ["xw", "one"], ["y"]),
        ],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, entries))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, entries))],
        [
            numpy_helper.from_array(weight, "w"),
            numpy_helper.from_array(np.ones(1, np.float32), "one"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def encoder() -> Encoder:
    spec = model_spec("vgg16-keras")
    architecture = spec.architecture.truncated(("relu3_1",))
    arrays = random_weights(architecture, 2)
    return Encoder("vgg16-keras", architecture.layers, arrays, spec.preprocessing)


@pytest.mark.parametrize(("entries", "apart"), [(LARGE, {"w"}), (LARGE - 1, set())])
def test_constants_from_a_size_on_are_apart(entries: int, apart: set[str]) -> None:
    model = product(entries)
    before = model.SerializeToString(deterministic=True)
    light = LightModel.of(model)
    assert set(light.constants) == apart
    assert light.model.ByteSize() < APART_BYTES or not apart
    assert model.SerializeToString(deterministic=True) == before


def test_taken_apart_and_whole_again_is_the_same_model() -> None:
    model = product(LARGE)
    whole = LightModel.of(model).whole()
    assert whole == model
    onnx.checker.check_model(whole, full_check=True)


def test_what_is_light_stays_as_it_is() -> None:
    light = LightModel.of(product(LARGE))
    assert LightModel.of(light) is light


def test_gradient_graphs_are_light_without_a_copy_of_the_large_weights() -> None:
    network = encoder()
    asked = (network, (), ("relu1_1", "relu3_1"))
    light = light_gradient_graph(*asked, size=(32, 32))
    heavy = sum(value.nbytes for value in light.constants.values())
    assert heavy > 2**20
    assert light.model.ByteSize() < heavy / 4
    assert light.whole() == build_gradient_graph(*asked, size=(32, 32))
    largest = network.arrays["conv3_1.weight"]
    assert any(np.shares_memory(largest, value) for value in light.constants.values())


def test_the_original_is_not_changed_by_filling_in() -> None:
    light = LightModel.of(product(LARGE))
    before = light.model.SerializeToString(deterministic=True)
    light.whole()
    assert light.model.SerializeToString(deterministic=True) == before
