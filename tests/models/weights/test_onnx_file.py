"""ONNX files: trained weights are read, everything else is refused, nothing is run."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from impasto.errors import WeightsError
from impasto.models.weights import onnx_file, read_weights

Array = np.ndarray[Any, Any]

RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(4, 3, 3, 2)).astype(np.float32)
BIAS = RNG.normal(size=4).astype(np.float32)


def tensor(array: Array, name: str) -> onnx.TensorProto:
    return numpy_helper.from_array(array, name)


def conv(weight: str, bias: str | None = None, name: str = "") -> onnx.NodeProto:
    inputs = ["x", weight] if bias is None else ["x", weight, bias]
    return helper.make_node("Conv", inputs, [f"out of {weight} {name}"], name=name)


def model(nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto]) -> bytes:
    graph = helper.make_graph(nodes, "net", [], [], tensors)
    content: bytes = helper.make_model(graph, producer_name="a test").SerializeToString()
    return content


def written(folder: Path, content: bytes) -> Path:
    path = folder / "weights.bin"
    path.write_bytes(content)
    return path


def one_conv(folder: Path, weight: onnx.TensorProto) -> dict[str, Any]:
    return onnx_file.read(written(folder, model([conv(weight.name)], [weight])))


GENUINE = model(
    [
        conv("features.0.weight", "features.0.bias", "/features/Conv"),
        helper.make_node("Relu", ["a"], ["b"]),
        conv("w", "b", "block1_conv2/BiasAdd"),
        conv("third"),
        helper.make_node("Gemm", ["a", "dense"], ["c"]),
    ],
    [
        tensor(BIAS + 1, "b"),
        tensor(np.zeros((5, 6), np.float32), "dense"),
        tensor(WEIGHT + 2, "third"),
        tensor(WEIGHT + 1, "w"),
        tensor(BIAS, "features.0.bias"),
        tensor(WEIGHT, "features.0.weight"),
    ],
)


def test_convolutions_are_read_in_the_order_of_the_graph(tmp_path: Path) -> None:
    found = read_weights(written(tmp_path, GENUINE))
    expected = {
        "features.0.weight": WEIGHT,
        "features.0.bias": BIAS,
        "block1_conv2/BiasAdd.weight": WEIGHT + 1,
        "block1_conv2/BiasAdd.bias": BIAS + 1,
        "third.weight": WEIGHT + 2,
    }
    assert list(found) == list(expected)
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array)
        assert found[key].dtype == np.float32


def test_lists_of_numbers_are_read(tmp_path: Path) -> None:
    listed = helper.make_tensor("w", TensorProto.FLOAT, WEIGHT.shape, WEIGHT.ravel())
    assert listed.float_data
    np.testing.assert_array_equal(one_conv(tmp_path, listed)["w.weight"], WEIGHT)


@pytest.mark.parametrize("raw", [True, False])
def test_16_bit_floats_are_widened_exactly(tmp_path: Path, raw: bool) -> None:
    half = WEIGHT.astype(np.float16)
    upper = WEIGHT.view(np.uint32) >> 16
    for kind, bits, expected in (
        (TensorProto.FLOAT16, half.view(np.uint16), half.astype(np.float32)),
        (TensorProto.BFLOAT16, upper.astype(np.uint16), (upper << 16).view(np.float32)),
    ):
        stored = onnx.TensorProto(name="w", data_type=kind, dims=WEIGHT.shape)
        if raw:
            stored.raw_data = bits.tobytes()
        else:
            stored.int32_data.extend(bits.ravel().tolist())
        np.testing.assert_array_equal(one_conv(tmp_path, stored)["w.weight"], expected)


@pytest.mark.parametrize("raw", [True, False])
def test_doubles_are_rounded(tmp_path: Path, raw: bool) -> None:
    exact = RNG.normal(size=WEIGHT.shape)
    values = exact.tobytes() if raw else exact.ravel()
    stored = helper.make_tensor("w", TensorProto.DOUBLE, exact.shape, values, raw=raw)
    found = one_conv(tmp_path, stored)["w.weight"]
    np.testing.assert_array_equal(found, exact.astype(np.float32))


def test_a_constant_node_is_as_good_as_an_initialiser(tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["w"], value=tensor(WEIGHT, "w"))
    found = onnx_file.read(written(tmp_path, model([constant, conv("w")], [])))
    np.testing.assert_array_equal(found["w.weight"], WEIGHT)


def test_convolutions_over_one_dimension_are_passed_over(tmp_path: Path) -> None:
    tensors = [tensor(WEIGHT, "w"), tensor(np.zeros((2, 2, 3), np.float32), "one")]
    content = model([conv("one", name="one"), conv("w")], tensors)
    assert list(onnx_file.read(written(tmp_path, content))) == ["w.weight"]


def test_the_light_model_of_the_onnx_package_has_no_trained_weights() -> None:
    light = Path(onnx.__file__).parent / "backend/test/data/light/light_vgg19.onnx"
    with pytest.raises(WeightsError, match=r"'ConstantOfShape'.* no trained weights"):
        read_weights(light)


@pytest.mark.parametrize("maker", ["DequantizeLinear", "Identity"])
def test_weights_that_a_node_makes_are_refused(tmp_path: Path, maker: str) -> None:
    nodes = [helper.make_node(maker, ["q"], ["w"]), conv("w")]
    with pytest.raises(WeightsError, match=f"tensor 'w' is made by a node '{maker}'"):
        onnx_file.read(written(tmp_path, model(nodes, [tensor(WEIGHT, "q")])))


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "weights.bin"])
@pytest.mark.parametrize("marked", [True, False])
def test_external_data_are_refused(tmp_path: Path, target: str, marked: bool) -> None:
    weight = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=WEIGHT.shape)
    weight.external_data.add(key="location", value=target)
    if marked:
        weight.data_location = TensorProto.EXTERNAL
    with pytest.raises(WeightsError, match=r"'w\.weight' is in another file"):
        one_conv(tmp_path, weight)


@pytest.mark.parametrize(
    ("dims", "found"),
    [
        ((4, 3, 3, 3), "has 288 bytes, expected 432"),
        ((2**40, 2**40, 1, 1), "has 288 bytes, expected"),
        ((2**32, 2**32, 1, 72), "has 288 bytes, expected"),
        ((-4, -3, 3, 2), "has 288 bytes"),
        ((0, 1, 1, 1), "has 288 bytes, expected 0"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    tmp_path: Path, dims: tuple[int, ...], found: str
) -> None:
    weight = tensor(WEIGHT, "w")
    weight.dims[:] = dims
    with pytest.raises(WeightsError, match=rf"'w.weight' of shape .* {found}"):
        one_conv(tmp_path, weight)


@pytest.mark.parametrize("kind", [TensorProto.INT8, TensorProto.STRING, 99])
def test_other_types_are_refused(tmp_path: Path, kind: int) -> None:
    weight = tensor(WEIGHT, "w")
    weight.data_type = kind
    with pytest.raises(WeightsError, match=r"'w\.weight' is of type .*, expected one of FLOAT"):
        one_conv(tmp_path, weight)


@pytest.mark.parametrize("value", [-1, 2**16])
def test_numbers_that_are_no_16_bit_floats_are_refused(tmp_path: Path, value: int) -> None:
    weight = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT16, dims=(1, 1, 1, 1))
    weight.int32_data.append(value)
    with pytest.raises(WeightsError, match="more than 16 bits"):
        one_conv(tmp_path, weight)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([], "no convolution"),
        ([conv("absent")], "'absent' is an input of the model or is missing"),
        ([helper.make_node("Conv", ["x"], ["y"], name="c")], "'c' has no kernel"),
        ([conv("w", "w")], "'w.bias' has shape .* expected one dimension"),
        ([conv("w"), conv("w")], "two convolutions have a tensor called 'w.weight'"),
        ([conv("w", name=str(i)) for i in range(9)], "larger than the file"),
    ],
)
def test_other_graphs_are_refused(
    tmp_path: Path, nodes: list[onnx.NodeProto], message: str
) -> None:
    path = written(tmp_path, model(nodes, [tensor(WEIGHT, "w")]))
    with pytest.raises(WeightsError, match=message) as caught:
        onnx_file.read(path)
    assert str(path) in str(caught.value)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    for end in range(1, len(GENUINE) - 10, 7):
        with pytest.raises(WeightsError):
            onnx_file.read(written(tmp_path, GENUINE[:end]))


@given(tail=st.binary(max_size=300), begin=st.integers(0, len(GENUINE)))
@settings(deadline=None, derandomize=True, max_examples=300)
def test_hostile_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes, begin: int
) -> None:
    damaged = GENUINE[:begin] + tail + GENUINE[begin + len(tail) :]
    path = written(tmp_path_factory.getbasetemp(), damaged)
    with contextlib.suppress(WeightsError):
        assert all(a.dtype == np.float32 for a in onnx_file.read(path).values())


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x08",
        b"\x08\x07",
        b"\x08\x87\x12",
        b"\x08\x00\x12",
        b"\x0a\x05A_NET",
        b"\x08\x07\x00",
    ],
)
def test_other_formats_are_not_recognised(head: bytes) -> None:
    assert not onnx_file.matches(head)
