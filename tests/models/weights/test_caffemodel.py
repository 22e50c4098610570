"""Caffe models of both generations, written field by field; and forged ones."""

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

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(4, 3, 3, 3)).astype(np.float32)
BIAS = RNG.normal(size=4).astype(np.float32)


def number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def integer(field: int, value: int) -> bytes:
    return number(field << 3) + number(value)


def message(field: int, content: bytes) -> bytes:
    return number(field << 3 | 2) + number(len(content)) + content


def old_blob(array: Array) -> bytes:
    shape = (1,) * (4 - array.ndim) + array.shape
    dims = b"".join(integer(index + 1, dim) for index, dim in enumerate(shape))
    return dims + message(5, array.astype("<f4").tobytes())


def new_blob(array: Array, *, packed: bool = True, double: bool = False) -> bytes:
    dims = b"".join(map(number, array.shape)) if packed else b""
    shape = message(1, dims) if packed else b"".join(integer(1, dim) for dim in array.shape)
    data = array.astype("<f8" if double else "<f4").tobytes()
    return message(7, shape) + message(8 if double else 5, data)


def old_layer(name: str, kind: int, *blobs: bytes) -> bytes:
    content = b"".join(message(6, blob) for blob in blobs)
    return message(2, content + message(4, name.encode()) + integer(5, kind))


def new_layer(name: str, kind: str, *blobs: bytes) -> bytes:
    content = message(1, name.encode()) + message(2, kind.encode())
    return message(100, content + b"".join(message(7, blob) for blob in blobs))


def model(*layers: bytes) -> bytes:
    return message(1, b"A network") + b"".join(layers)


OLD = model(
    old_layer("conv1_1", 4, old_blob(KERNEL), old_blob(BIAS)),
    old_layer("relu1_1", 18),
    old_layer("fc6", 14, old_blob(RNG.normal(size=(1, 1, 50, 60)))),
)
NEW = model(
    new_layer("data", "Input"),
    new_layer("conv1_1", "Convolution", new_blob(KERNEL), new_blob(BIAS)),
    new_layer("fc6", "InnerProduct", new_blob(RNG.normal(size=(50, 60)))),
)


def read(tmp_path: Path, data: bytes) -> dict[str, Array]:
    (tmp_path / "file").write_bytes(data)
    return read_weights(tmp_path / "file")


@pytest.mark.parametrize(
    "data",
    [
        OLD,
        NEW,
        model(
            new_layer(
                "conv1_1",
                "Convolution",
                new_blob(KERNEL, packed=False),
                new_blob(BIAS.astype(np.float64), double=True),
            )
        ),
        new_layer("conv1_1", "Convolution", new_blob(KERNEL), old_blob(BIAS)),
    ],
    ids=["V1", "V2", "unpacked shape and doubles", "no name, mixed blobs"],
)
def test_convolutions_are_read_and_the_rest_is_not(tmp_path: Path, data: bytes) -> None:
    found = read(tmp_path, data)
    assert list(found) == ["conv1_1.weight", "conv1_1.bias"]
    np.testing.assert_array_equal(found["conv1_1.weight"], KERNEL)
    np.testing.assert_array_equal(found["conv1_1.bias"], BIAS)


def test_floats_that_are_not_packed_are_read(tmp_path: Path) -> None:
    single = b"".join(number(5 << 3 | 5) + struct.pack("<f", v) for v in KERNEL.ravel())
    dims = message(7, message(1, bytes(KERNEL.shape)))
    found = read(tmp_path, model(new_layer("conv1_1", "Convolution", dims + single)))
    np.testing.assert_array_equal(found["conv1_1.weight"], KERNEL)


HUGE = b"\xff" * 8 + b"\x01"
FORGED = {
    "blob smaller than its shape": new_layer(
        "c", "Convolution", message(7, message(1, bytes([9, 9, 9, 9]))) + message(5, b"\0" * 4)
    ),
    "shape of many dimensions": new_layer(
        "c", "Convolution", message(7, message(1, b"\x01" * 5000)) + message(5, b"\0" * 4)
    ),
    "shape overflowing": new_layer(
        "c", "Convolution", b"".join(integer(i, 2**62) for i in (1, 2, 3, 4))
    ),
    "half a float": new_layer("c", "Convolution", message(5, b"\0" * 6)),
    "length beyond the end": b"\xa2\x06" + HUGE + b"\0",
    "number without end": b"\xa2\x06" + b"\xff" * 40,
    "a group": b"\x13" + b"\x14",
    "no convolution": new_layer("data", "Input"),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match="file: "):
        read(tmp_path, model(FORGED[name]))


@pytest.mark.parametrize("data", [OLD, NEW], ids=["V1", "V2"])
def test_truncated_files_are_refused(tmp_path: Path, data: bytes) -> None:
    end = data.index(BIAS.tobytes()) + BIAS.nbytes
    for keep in range(1, end, 7):
        with pytest.raises(WeightsError):
            read(tmp_path, data[:keep])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(data.draw(st.sampled_from([OLD, NEW, model(b"")])))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "file"
    path.write_bytes(bytes(content) + data.draw(st.binary(max_size=20)))
    with contextlib.suppress(WeightsError):
        caffemodel.read(path)
