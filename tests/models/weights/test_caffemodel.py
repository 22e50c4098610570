"""Caffe files, written here byte by byte: both generations are read, damaged ones are refused."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.errors import WeightsError
from impasto.models.weights import caffemodel, read_weights

Array = np.ndarray[Any, Any]


def varint(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def block(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def shape(*dims: int, packed: bool = True) -> bytes:
    if packed:
        return block(7, block(1, b"".join(map(varint, dims))))
    return block(7, b"".join(integer(1, n) for n in dims))


def old_shape(*dims: int) -> bytes:
    return b"".join(integer(i, n) for i, n in enumerate(dims, start=1))


def data(array: Array) -> bytes:
    return block(5, array.astype("<f4").tobytes())


def blob(array: Array) -> bytes:
    return shape(*array.shape) + data(array)


def old_blob(array: Array) -> bytes:
    return old_shape(*(1,) * (4 - array.ndim), *array.shape) + data(array)


def layer(name: str, *blobs: bytes, kind: str = "Convolution") -> bytes:
    content = block(1, name.encode()) + block(2, kind.encode()) + block(3, b"below")
    return block(100, content + b"".join(block(7, b) for b in blobs))


def v1_layer(name: str, *blobs: bytes, kind: int = 4) -> bytes:
    content = block(2, b"below") + block(3, b"above") + block(4, name.encode()) + integer(5, kind)
    return block(2, content + b"".join(block(6, b) for b in blobs))


def net(*layers: bytes) -> bytes:
    return block(1, b"A_NET") + b"".join(layers)


RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(4, 3, 3, 2)).astype(np.float32)
BIAS = RNG.normal(size=4).astype(np.float32)
DENSE = RNG.normal(size=(5, 6)).astype(np.float32)

NEW = net(
    block(3, b"data"),
    layer("conv1_1", blob(WEIGHT), blob(BIAS)),
    layer("relu1_1", kind="ReLU"),
    layer("conv1_2", blob(WEIGHT + 1), blob(BIAS + 1)),
    layer("fc6", blob(DENSE), kind="InnerProduct"),
)
OLD = net(
    v1_layer("conv1_1", old_blob(WEIGHT), old_blob(BIAS)),
    v1_layer("conv1_2", old_blob(WEIGHT + 1), old_blob(BIAS + 1)),
    v1_layer("fc6", old_blob(DENSE), kind=14),
)


def written(folder: Path, content: bytes) -> Path:
    path = folder / "weights.bin"
    path.write_bytes(content)
    return path


def one_layer(folder: Path, *blobs: bytes) -> dict[str, Any]:
    return caffemodel.read(written(folder, net(layer("conv", *blobs))))


@pytest.mark.parametrize("content", [NEW, OLD], ids=["new", "old"])
def test_convolutions_are_read(tmp_path: Path, content: bytes) -> None:
    found = read_weights(written(tmp_path, content))
    expected = {
        "conv1_1.weight": WEIGHT,
        "conv1_1.bias": BIAS,
        "conv1_2.weight": WEIGHT + 1,
        "conv1_2.bias": BIAS + 1,
    }
    assert list(found) == list(expected)
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array)
        assert found[key].dtype == np.float32


def test_numbers_need_not_be_packed_nor_in_one_piece(tmp_path: Path) -> None:
    values = WEIGHT.ravel()
    key = varint(5 << 3 | 5)
    single = b"".join(key + struct.pack("<f", v) for v in values[:7])
    pieces = single + data(values[7:20]) + data(values[20:])
    found = one_layer(tmp_path, pieces + shape(*WEIGHT.shape, packed=False))
    np.testing.assert_array_equal(found["conv.weight"], WEIGHT)


def test_doubles_are_rounded(tmp_path: Path) -> None:
    exact = RNG.normal(size=WEIGHT.shape)
    found = one_layer(tmp_path, shape(*exact.shape) + block(8, exact.astype("<f8").tobytes()))
    np.testing.assert_array_equal(found["conv.weight"], exact.astype(np.float32))


def test_the_gradients_of_a_blob_are_not_its_data(tmp_path: Path) -> None:
    gradient = block(6, np.zeros(WEIGHT.size, "<f4").tobytes())
    found = one_layer(tmp_path, blob(WEIGHT) + gradient)
    np.testing.assert_array_equal(found["conv.weight"], WEIGHT)


def test_what_a_dense_layer_holds_is_not_looked_at(tmp_path: Path) -> None:
    broken = layer("fc6", b"\xff" * 20, kind="InnerProduct")
    content = net(layer("conv", blob(WEIGHT)), broken)
    assert list(caffemodel.read(written(tmp_path, content))) == ["conv.weight"]


@pytest.mark.parametrize(
    ("blobs", "message"),
    [
        ([shape(4, 3, 3, 3) + data(WEIGHT)], "72 elements, expected 108"),
        ([shape(2**40, 2**40, 1, 1) + data(WEIGHT)], "72 elements, expected"),
        ([shape(2**32, 2**32, 1, 72) + data(WEIGHT)], "72 elements, expected"),
        ([old_shape(2**64 - 1, 1, 1, 1) + data(WEIGHT)], "72 elements, expected"),
        ([shape(0, 3, 3, 3)], "0 elements"),
        ([shape(*[1] * 40) + data(BIAS[:1])], "more than 32 dimensions"),
        ([blob(DENSE)], "expected four dimensions"),
        ([blob(WEIGHT), blob(DENSE)], "'conv.bias' has shape .* expected one dimension"),
        ([blob(WEIGHT), blob(BIAS), blob(BIAS)], "3 blobs"),
        ([shape(4, 3, 3, 2) + block(5, b"123")], "'conv.weight' is damaged: 3 bytes"),
        ([blob(WEIGHT)[:-9]], "'conv.weight' is damaged: field 5 has 288 bytes"),
        ([b"\x0b"], "wire type 3"),
        ([b"\x00\x00"], "field number 0"),
        ([b"\x08" + b"\xff" * 10], "too long"),
        ([b"\x08" + b"\xff" * 9 + b"\x7f"], "too long"),
    ],
)
def test_damaged_tensors_are_refused(tmp_path: Path, blobs: list[bytes], message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        one_layer(tmp_path, *blobs)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (net(layer("conv")), "no convolution with weights"),
        (net(layer("fc6", blob(DENSE), kind="InnerProduct")), "no convolution with weights"),
        (net(layer("a", blob(WEIGHT)), layer("a", blob(WEIGHT))), "two convolutions .* 'a'"),
        (net(varint(802) + varint(2**62)), "has 4611686018427387904 bytes"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        caffemodel.read(written(tmp_path, content))


@pytest.mark.parametrize("content", [NEW, OLD], ids=["new", "old"])
def test_a_file_cut_anywhere_never_gives_a_damaged_tensor(tmp_path: Path, content: bytes) -> None:
    whole = caffemodel.read(written(tmp_path, content))
    for end in range(0, len(content), 7):
        with contextlib.suppress(WeightsError):
            for key, array in caffemodel.read(written(tmp_path, content[:end])).items():
                np.testing.assert_array_equal(array, whole[key])


@given(tail=st.binary(max_size=300), begin=st.integers(0, len(NEW)), old=st.booleans())
@settings(deadline=None, derandomize=True, max_examples=200)
def test_hostile_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes, begin: int, old: bool
) -> None:
    content = OLD if old else NEW
    damaged = content[:begin] + tail + content[begin + len(tail) :]
    path = written(tmp_path_factory.getbasetemp(), damaged)
    with contextlib.suppress(WeightsError):
        assert all(a.dtype == np.float32 for a in caffemodel.read(path).values())


@pytest.mark.parametrize(
    "content",
    [
        NEW,
        OLD,
        net(layer("conv", blob(WEIGHT))),
        layer("conv", blob(WEIGHT)),
        OLD[7:],
        block(1, b"n" * 300) + OLD[7:],
    ],
)
def test_it_is_recognised(content: bytes) -> None:
    assert caffemodel.matches(content[:64])


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x0a",
        b"\x0a\x00",
        b"\x80\x02}q",
        b"PK\x03\x04",
        b"\x89HDF\r\n\x1a\n",
        b"\x08\x07\x12\x07tf2onnx",
        *(struct.pack("<Q", n) + b'{"a":' for n in (10, 0x120A, 0x12, 0x2612, 0x8012, 0x6A2)),
        b"\n\nA text file that begins with empty lines",
        b"\x0a\x05A_NET<html>",
        b"\x0a\x05A\x00\x01ET\xa2\x06",
        b"\x0a" + b"\xff" * 20,
    ],
)
def test_other_formats_are_not_recognised(head: bytes) -> None:
    assert not caffemodel.matches(head)
