"""Keras files of both layouts, written with h5py; and hostile ones."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.errors import WeightsError
from impasto.models.weights import keras_h5, read_weights

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(3, 3, 2, 5)).astype(np.float32)  # height, width, in, out
BIAS = RNG.normal(size=5).astype(np.float32)

OLD = ("block1_conv1/block1_conv1_W_1:0", "block1_conv1/block1_conv1_b_1:0")
NEW = ("block1_conv1/block1_conv1/kernel:0", "block1_conv1/block1_conv1/bias:0")


def write(path: Path, names: tuple[str, str], root: str = "") -> Path:
    with h5py.File(path, "w") as file:
        file[f"{root}{names[0]}"] = KERNEL
        file[f"{root}{names[1]}"] = BIAS
        file.create_group(f"{root}block1_pool")
        file[f"{root}fc1/fc1_W_1:0"] = np.zeros((20, 30), np.float32)
    return path


@pytest.mark.parametrize("root", ["", "model_weights/", "layers/"])
@pytest.mark.parametrize("names", [OLD, NEW], ids=["2016", "later"])
def test_both_layouts_are_read(tmp_path: Path, names: tuple[str, str], root: str) -> None:
    found = read_weights(write(tmp_path / "weights.bin", names, root))
    assert list(found) == ["block1_conv1.bias", "block1_conv1.weight"] or list(found) == [
        "block1_conv1.weight",
        "block1_conv1.bias",
    ]
    np.testing.assert_array_equal(found["block1_conv1.weight"], KERNEL.transpose(3, 2, 0, 1))
    np.testing.assert_array_equal(found["block1_conv1.bias"], BIAS)


def test_without_h5py_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "weights.h5", OLD)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(WeightsError, match=r"pip install .impasto\[h5\]"):
        read_weights(path)


def test_files_that_reach_elsewhere_or_explode_are_refused(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.h5", OLD)

    def external_link(file: h5py.File) -> None:
        file["block1_conv1"] = h5py.ExternalLink(str(secret), "/block1_conv1")

    def soft_link(file: h5py.File) -> None:
        file["block1_conv1"] = h5py.SoftLink("/elsewhere")

    def inner_link(file: h5py.File) -> None:
        file.create_group("block1_conv1")["W"] = h5py.ExternalLink(str(secret), OLD[0])

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((3, 3, 2, 5), np.float32)
        layout[:] = h5py.VirtualSource(str(secret), OLD[0], shape=(3, 3, 2, 5))
        file.create_group("block1_conv1").create_virtual_dataset("W", layout)

    def external_storage(file: h5py.File) -> None:
        group = file.create_group("block1_conv1")
        where = [(str(secret), 0, 3 * 3 * 2 * 5 * 4)]
        group.create_dataset("W", (3, 3, 2, 5), np.float32, external=where)

    def bomb(file: h5py.File) -> None:
        group = file.create_group("block1_conv1")
        group.create_dataset("W", (100, 100, 100, 10), np.float32, compression="gzip")

    def larger_than_the_file(file: h5py.File) -> None:
        file.create_group("block1_conv1").create_dataset("W", (500, 500, 50, 50), np.float32)

    def integers(file: h5py.File) -> None:
        file.create_group("block1_conv1")["W"] = np.zeros((3, 3, 2, 5), np.int32)

    def loop(file: h5py.File) -> None:
        group = file.create_group("block1_conv1")
        group["again"] = group

    def empty(file: h5py.File) -> None:
        file.create_group("block1_conv1")

    for attack in (
        external_link,
        soft_link,
        inner_link,
        virtual,
        external_storage,
        bomb,
        larger_than_the_file,
        integers,
        loop,
        empty,
    ):
        path = tmp_path / f"{attack.__name__}.h5"
        with h5py.File(path, "w") as file:
            attack(file)
        with pytest.raises(WeightsError, match=attack.__name__):  # the file's name
            read_weights(path)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = write(tmp_path_factory.mktemp("fuzz") / "file", OLD)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(9, len(content)))])
    with contextlib.suppress(WeightsError):
        keras_h5.read(path)
