"""Keras files: every tree Keras has written is read; links, bombs and damage are refused."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.errors import WeightsError
from impasto.models.weights import keras_h5, read_weights

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(3, 2, 4, 5)).astype(np.float32)  # height, width, input, output
BIAS = RNG.normal(size=5).astype(np.float32)

LAYOUTS = {
    "Keras 1": "block1_conv{i}/block1_conv{i}_{old}_1:0",
    "Keras 2": "block1_conv{i}/block1_conv{i}/{new}:0",
    "Keras 2, model": "model_weights/block1_conv{i}/block1_conv{i}/{new}:0",
    "Keras 2, nested": "model_weights/vgg19/block1_conv{i}/{new}:0",
    "Keras 3": "layers/block1_conv{i}/vars/{index}",
    "Keras 3, nested": "layers/functional/layers/block1_conv{i}/vars/{index}",
}


def genuine(path: Path, layout: str) -> Path:
    with h5py.File(path, "w") as file:
        for i in (1, 2):
            file[layout.format(i=i, old="W", new="kernel", index=0)] = KERNEL + i
            file[layout.format(i=i, old="b", new="bias", index=1)] = BIAS + i
        top = layout.split("/", maxsplit=1)[0]
        inside = file if "{" in top else file[top]
        inside["dense/dense/kernel:0"] = np.zeros((6, 7), np.float32)
        inside["dense/dense/bias:0"] = np.zeros(7, np.float32)
        inside.create_group("pool1")
        file["optimizer_weights/Adam/block1_conv1/kernel/m:0"] = KERNEL
    return path


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_genuine_files_are_read(tmp_path: Path, layout: str) -> None:
    found = read_weights(genuine(tmp_path / "weights.bin", layout))
    assert list(found) == [f"block1_conv{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")]
    for i in (1, 2):
        weight = found[f"block1_conv{i}.weight"]
        assert weight.shape == (5, 4, 3, 2)
        assert weight[4, 3, 2, 1] == KERNEL[2, 1, 3, 4] + i
        np.testing.assert_array_equal(weight, (KERNEL + i).transpose(3, 2, 0, 1))
        np.testing.assert_array_equal(found[f"block1_conv{i}.bias"], BIAS + i)


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", ">f8"])
def test_other_floats_are_converted(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file["conv/kernel"] = KERNEL.astype(dtype)
    found = keras_h5.read(path)["conv.weight"]
    expected = KERNEL.astype(dtype).astype(np.float32).transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32


def test_uncompressed_chunks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("conv/kernel", data=KERNEL, chunks=(1, 2, 4, 5))
    found = keras_h5.read(path)["conv.weight"]
    np.testing.assert_array_equal(found, KERNEL.transpose(3, 2, 0, 1))


def test_layers_come_in_the_order_of_the_network(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        for name in ("a10", "a2", "last", "first"):
            file[f"{name}/kernel:0"] = KERNEL
        file.attrs["layer_names"] = np.array([b"first", b"input", b"last"])
    assert list(keras_h5.read(path)) == [f"{n}.weight" for n in ("first", "last", "a2", "a10")]


def test_names_of_variable_length_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file["conv_10/kernel"] = KERNEL
        file["conv_2/kernel"] = KERNEL
        file.attrs["layer_names"] = ["conv_10", "conv_2"]
    assert list(keras_h5.read(path)) == ["conv_2.weight", "conv_10.weight"]


def test_without_h5py_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = genuine(tmp_path / "w.h5", LAYOUTS["Keras 1"])
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(WeightsError, match=r'pip install "impasto\[h5\]"'):
        read_weights(path)


def soft_link(file: Any) -> None:
    file["real"] = KERNEL
    file["conv/kernel"] = h5py.SoftLink("/real")


def external_link(file: Any) -> None:
    file["conv/kernel"] = h5py.ExternalLink("/etc/passwd", "/secret")


def linked_root(file: Any) -> None:
    file["model_weights"] = h5py.ExternalLink("/etc/passwd", "/")


def external_storage(file: Any) -> None:
    other = [(f"{file.filename}.raw", 0, KERNEL.nbytes)]
    file.create_dataset("conv/kernel", KERNEL.shape, "<f4", external=other)


def virtual_dataset(file: Any) -> None:
    layout = h5py.VirtualLayout(KERNEL.shape, "<f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "secret", KERNEL.shape)
    file.create_virtual_dataset("conv/kernel", layout)


def compressed(file: Any) -> None:
    zeros = np.zeros((3, 3, 512, 512), np.float32)
    file.create_dataset("conv/kernel", data=zeros, compression="gzip")


def huge_and_unwritten(file: Any) -> None:
    file.create_dataset("conv/kernel", (2**15,) * 4, "<f4")


def huge_and_chunked(file: Any) -> None:
    file.create_dataset("conv/kernel", (2**15,) * 4, "<f4", chunks=(1, 1, 1, 8))


def the_same_often(file: Any) -> None:
    file["conv0/kernel"] = np.zeros((3, 3, 64, 64), np.float32)
    for i in range(1, 20):
        file[f"conv{i}/kernel"] = file["conv0/kernel"]


def cycle(file: Any) -> None:
    file["a/kernel"] = KERNEL
    file["a/b"] = file["/"]
    file["a/c"] = file["/"]


def empty(file: Any) -> None:
    file["conv/kernel"] = np.zeros((0, 3, 3, 3), np.float32)


def integers(file: Any) -> None:
    file["conv/kernel"] = KERNEL.astype(np.int32)


def two_kernels(file: Any) -> None:
    file["conv/depthwise"] = KERNEL
    file["conv/pointwise"] = KERNEL


def one_name_twice(file: Any) -> None:
    file["a/conv/kernel"] = KERNEL
    file["b/conv/kernel"] = KERNEL


def no_kernel(file: Any) -> None:
    file["dense/kernel"] = KERNEL[0, 0]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (soft_link, r"'conv/kernel' is a link \(SoftLink\)"),
        (external_link, r"'conv/kernel' is a link \(ExternalLink\)"),
        (linked_root, r"'model_weights' is a link"),
        (external_storage, "'/conv/kernel' is stored in another file"),
        (virtual_dataset, "'/conv/kernel' is stored in another file"),
        (compressed, "'/conv/kernel' is compressed"),
        (huge_and_unwritten, "'/conv/kernel' of shape .* no room"),
        (huge_and_chunked, "'/conv/kernel' of shape .* no room"),
        (the_same_often, "no room"),
        (cycle, "nested more than 12 deep|more than 100000 members"),
        (empty, "is empty"),
        (integers, "of type int32, expected floats"),
        (two_kernels, "'conv' has 2 kernels"),
        (one_name_twice, "'conv' is in 'a/conv' and in 'b/conv'"),
        (no_kernel, "no convolution"),
    ],
)
def test_other_files_are_refused(
    tmp_path: Path, write: Callable[[Any], None], message: str
) -> None:
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        write(file)
    with pytest.raises(WeightsError, match=message) as caught:
        keras_h5.read(path)
    assert str(path) in str(caught.value)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    content = genuine(tmp_path / "w.h5", LAYOUTS["Keras 2"]).read_bytes()
    cut = tmp_path / "cut.h5"
    for end in range(8, len(content) - 8, len(content) // 40):
        cut.write_bytes(content[:end])
        with pytest.raises(WeightsError):
            keras_h5.read(cut)


@given(tail=st.binary(max_size=300))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_random_bytes_behind_the_signature_are_refused(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "random.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + tail)
    assert keras_h5.matches(path.read_bytes()[:64])
    with pytest.raises(WeightsError):
        keras_h5.read(path)


def test_numbers_changed_inside_a_file_never_escape_as_another_error(tmp_path: Path) -> None:
    content = bytearray(genuine(tmp_path / "w.h5", LAYOUTS["Keras 1"]).read_bytes())
    damaged = tmp_path / "damaged.h5"
    for position in range(8, 96):
        changed = bytearray(content)
        changed[position] ^= 0xFF
        damaged.write_bytes(changed)
        with contextlib.suppress(WeightsError):
            keras_h5.read(damaged)
