"""Safetensors files: what is read, and what a hostile file gets."""

from __future__ import annotations

import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

from impasto.errors import WeightsError
from impasto.models.weights.safetensors_file import matches, read

KERNEL = np.arange(2 * 3 * 3 * 3, dtype=np.float32).reshape(2, 3, 3, 3) / 7
BIAS = np.array([1.5, -2.25], np.float32)


def write(path: Path, header: object, data: bytes = b"", length: int | None = None) -> Path:
    """Write a file with this header, whose announced length may be forged."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def tensor(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_become_float32(path: Path, dtype: type[np.floating[Any]]) -> None:
    save_file({"a.weight": KERNEL.astype(dtype), "a.bias": BIAS.astype(dtype)}, path)
    tensors = read(path)
    assert tensors.keys() == {"a.weight", "a.bias"}
    assert {array.dtype for array in tensors.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(tensors["a.weight"], KERNEL.astype(dtype).astype(np.float32))


def test_bfloat16_is_widened(path: Path) -> None:
    kernel = (np.arange(16, dtype=np.float32) - 8).reshape(1, 4, 2, 2)  # exact in bfloat16
    upper = (kernel.view(np.uint32) >> 16).astype("<u2").tobytes()
    bias = struct.pack("<f", 3.5)
    header = {"w": tensor("BF16", [1, 4, 2, 2], 4, 36), "b": tensor("F32", [1], 0, 4)}
    tensors = read(write(path, header, bias + upper))
    assert tensors["w"].dtype == np.float32
    np.testing.assert_array_equal(tensors["w"], kernel)
    np.testing.assert_array_equal(tensors["b"], [3.5])


def test_fully_connected_layers_are_left_out(path: Path) -> None:
    save_file({"fc.weight": np.zeros((4, 4), np.float32), "fc.bias": np.zeros(4, np.float32)}, path)
    assert read(path).keys() == {"fc.bias"}


def test_integers_are_refused(path: Path) -> None:
    save_file({"a.weight": np.zeros((1, 1, 1, 1), np.int32)}, path)
    with pytest.raises(WeightsError, match=r"net\.safetensors: tensor 'a\.weight' is of type I32"):
        read(path)


def test_matches_by_content() -> None:
    assert matches(save({"a": BIAS})[:16])
    assert not matches(b"PK\x03\x04" + bytes(20))
    assert not matches(b"\x89HDF\r\n\x1a\n" + bytes(20))
    assert not matches(b"")
    assert not matches(struct.pack("<Q", 2**40) + b"{")


HOSTILE: dict[str, tuple[object, bytes]] = {
    "shape larger than the data": ({"w": tensor("F32", [2**40], 0, 8)}, bytes(8)),
    "shape that overflows": ({"w": tensor("F32", [2**40, 2**40], 0, 8)}, bytes(8)),
    "offsets beyond the end": ({"w": tensor("F32", [2**40], 0, 2**42)}, bytes(8)),
    "offsets that go back": ({"w": tensor("F32", [2], 8, 0)}, bytes(8)),
    "overlap": ({"v": tensor("F32", [2], 0, 8), "w": tensor("F32", [2], 4, 12)}, bytes(12)),
    "gap": ({"v": tensor("F32", [1], 0, 4), "w": tensor("F32", [1], 8, 12)}, bytes(12)),
    "bytes left over": ({"w": tensor("F32", [2], 0, 8)}, bytes(12)),
    "bytes missing": ({"w": tensor("F32", [2], 0, 8)}, bytes(7)),
    "negative size": ({"w": tensor("F32", [-1], 0, 8)}, bytes(8)),
    "unknown type": ({"w": tensor("Q7", [2], 0, 8)}, bytes(8)),
    "no JSON": (b"{" * 4000, bytes(8)),
    "deep nesting": (b"[" * 100_000, bytes(8)),
    "not UTF-8": (b'{"\xff\xfe": 1}', b""),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_file_is_refused(path: Path, case: str) -> None:
    header, data = HOSTILE[case]
    with pytest.raises(WeightsError, match=r"net\.safetensors"):
        read(write(path, header, data))


@pytest.mark.parametrize("length", [2**63 + 1, 2**40, 90_000_000, 200])
def test_forged_header_length_allocates_nothing(path: Path, length: int) -> None:
    write(path, {"w": tensor("F32", [1], 0, 4)}, bytes(4), length=length)
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match="The file is damaged"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"\0", b"\x02\0\0\0\0\0\0\0"])
def test_empty_file_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(WeightsError):
        read(path)


def test_missing_file_is_refused(path: Path) -> None:
    with pytest.raises(WeightsError, match="No such file"):
        read(path)


def test_every_truncation_is_refused(path: Path) -> None:
    whole = save({"w": KERNEL, "b": BIAS})
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError):
            read(path)


@settings(
    deadline=None,
    derandomize=True,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damage_gives_an_error_or_arrays_and_nothing_else(path: Path, data: st.DataObject) -> None:
    content = bytearray(save({"w": KERNEL, "b": BIAS}))
    header_end = content.index(b"}}") + 2
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, header_end))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        tensors = read(path)
    except WeightsError:
        return
    assert sum(array.nbytes for array in tensors.values()) <= 2 * len(content)
