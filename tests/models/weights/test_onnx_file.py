"""Weights out of ONNX files; and files that do not have any, or lie."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from impasto.errors import WeightsError
from impasto.export.encoder import Encoder
from impasto.export.gradient import build_feature_graph
from impasto.models.architectures.vgg import VGG16
from impasto.models.model import load_model
from impasto.models.registry import model_spec
from impasto.models.weights import onnx_file, read_weights
from impasto.models.weights.assign import assign_weights
from impasto.models.weights.random_weights import random_weights

RNG = np.random.default_rng(0)
KERNELS = [RNG.normal(size=(4, 3, 3, 3)), RNG.normal(size=(2, 4, 1, 1))]
BIASES = [RNG.normal(size=4), RNG.normal(size=2)]


def model(dtype: type = np.float32) -> onnx.ModelProto:
    """Two convolutions, stored in the order second, first, with a classifier behind them."""
    stored = {
        "second/kernel": KERNELS[1],
        "second/bias": BIASES[1],
        "first.weight": KERNELS[0],
        "first.bias": BIASES[0],
        "fc": RNG.normal(size=(2, 7)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "first.weight", "first.bias"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second/kernel", "second/bias"], ["c"]),
    ]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    result = helper.make_tensor_value_info("c", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(a.astype(dtype), name) for name, a in stored.items()]
    return helper.make_model(helper.make_graph(nodes, "net", [value], [result], tensors))


def write(path: Path, content: onnx.ModelProto) -> Path:
    path.write_bytes(content.SerializeToString())
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_weights_come_in_the_order_of_the_nodes(tmp_path: Path, dtype: type) -> None:
    found = read_weights(write(tmp_path / "weights.bin", model(dtype)))
    assert list(found) == [
        "first.weight",
        "first.bias",
        "second/kernel.weight",
        "second/kernel.bias",
    ]
    arrays = [KERNELS[0], BIASES[0], KERNELS[1], BIASES[1]]
    for array, expected in zip(found.values(), arrays, strict=True):
        np.testing.assert_array_equal(array, expected.astype(dtype).astype(np.float32))


def test_floats_in_a_list_are_read(tmp_path: Path) -> None:
    changed = model()
    tensor = changed.graph.initializer[2]
    tensor.ClearField("raw_data")
    tensor.float_data.extend(KERNELS[0].astype(np.float32).ravel().tolist())
    found = read_weights(write(tmp_path / "file", changed))
    np.testing.assert_array_equal(found["first.weight"], KERNELS[0].astype(np.float32))


def test_an_exported_network_is_read_back(tmp_path: Path) -> None:
    small = VGG16.truncated(("relu2_1",))
    arrays = random_weights(small, seed=3)
    spec = model_spec("vgg16-torchvision")  # its RGB input leaves the kernels' channels in order
    plain = type(spec.preprocessing)("rgb", (0.0, 0.0, 0.0))
    graph = build_feature_graph(Encoder("vgg16", small.layers, arrays, plain), ["relu2_1"])
    path = write(tmp_path / "vgg16.onnx", graph)
    found = assign_weights(small, read_weights(path), path)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_file_without_trained_weights_is_refused() -> None:
    """The onnx package's VGG-19 has ConstantOfShape nodes in place of weights."""
    light = Path(onnx.__file__).parent / "backend/test/data/light/light_vgg19.onnx"
    with pytest.raises(WeightsError, match=r"ConstantOfShape.*no trained weights"):
        load_model("vgg19", light)


def changed_tensor(**changes: object) -> onnx.ModelProto:
    changed = model()
    tensor = changed.graph.initializer[2]
    for field, value in changes.items():
        if field == "dims":
            del tensor.dims[:]
            tensor.dims.extend(value)  # type: ignore[arg-type]
        else:
            setattr(tensor, field, value)
    return changed


def external() -> onnx.ModelProto:
    changed = changed_tensor(raw_data=b"", data_location=TensorProto.EXTERNAL)
    entry = changed.graph.initializer[2].external_data.add()
    entry.key, entry.value = "location", "../../../../etc/passwd"
    return changed


def without_convolutions() -> onnx.ModelProto:
    changed = model()
    del changed.graph.node[:]
    return changed


HOSTILE = {
    "another file": external(),
    "huge shape": changed_tensor(dims=[2**40, 2**40, 2**40, 2**40]),
    "negative shape": changed_tensor(dims=[-4, -3, 3, 3]),
    "data cut": changed_tensor(raw_data=b"\0" * 5),
    "integers": changed_tensor(data_type=TensorProto.INT32),
    "undefined type": changed_tensor(data_type=0),
    "weight not stored": changed_tensor(name="other"),
    "no convolutions": without_convolutions(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match="file: "):
        read_weights(write(tmp_path / "file", HOSTILE[name]))


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    data = model().SerializeToString()
    for keep in range(1, len(data) - 40, 23):
        (tmp_path / "cut").write_bytes(data[:keep])
        with pytest.raises(WeightsError):
            read_weights(tmp_path / "cut")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(model().SerializeToString())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "file"
    path.write_bytes(content)
    with contextlib.suppress(WeightsError):
        onnx_file.read(path)
