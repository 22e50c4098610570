"""PyTorch files: what `torch.save` writes is read, what an attacker writes is refused."""

from __future__ import annotations

import contextlib
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_files import Code, TorchFile, call, name, pickled, value

from impasto.errors import WeightsError
from impasto.models.weights import read_weights, torch_pth

Writer = Callable[[TorchFile, Path], Path]
WRITERS: dict[str, Writer] = {"zip": TorchFile.zip, "legacy": TorchFile.legacy}
both_formats = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


def arrays() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return {
        "features.0.weight": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "features.0.bias": rng.normal(size=4).astype(np.float32),
        "table": rng.integers(0, 255, (2, 5), np.uint8),
        "exact": rng.normal(size=(2, 2)),
    }


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array)
        assert found[key].dtype == array.dtype


@both_formats
@pytest.mark.parametrize("rebuild", ["_rebuild_tensor_v2", "_rebuild_tensor"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("location", ["cpu", "cuda:7"])
def test_genuine_files_are_read(
    tmp_path: Path, write: Writer, rebuild: str, wrapper: str | None, location: str
) -> None:
    file = TorchFile(arrays(), rebuild=rebuild, wrapper=wrapper, location=location)
    assert_same(read_weights(write(file, tmp_path / "weights.bin")), arrays())


@both_formats
def test_the_oldest_tensors_are_read(tmp_path: Path, write: Writer) -> None:
    floats = {key: a for key, a in arrays().items() if a.dtype == np.float32}
    assert_same(read_weights(write(TorchFile(floats, rebuild="BUILD"), tmp_path / "w")), floats)


@both_formats
def test_views_of_a_storage_are_read(tmp_path: Path, write: Writer) -> None:
    base = np.arange(24, dtype=np.float32)
    forged = {"t": {"shape": (3, 2), "stride": (1, 4), "offset": 2}}
    file = TorchFile({"t": base}, forge=forged)
    expected = np.lib.stride_tricks.as_strided(base[2:], (3, 2), (4, 16))
    np.testing.assert_array_equal(read_weights(write(file, tmp_path / "w"))["t"], expected)


@both_formats
def test_bfloat16_and_half_are_read(tmp_path: Path, write: Writer) -> None:
    exact = np.array([1.5, -2.0, 0.15625, 3e38], np.float32)
    upper = (exact.view(np.uint32) >> 16).astype("<u2")
    # Two bytes an element, written as pairs of uint8.
    file = TorchFile(
        {"b": upper.view(np.uint8), "h": np.array([1.5, -2.0], "<f2").view(np.uint8)},
        forge={
            "b": {"kind": "BFloat16Storage", "count": 4, "shape": (4,)},
            "h": {"kind": "HalfStorage", "count": 2, "shape": (2,)},
        },
    )
    if write is TorchFile.legacy:
        path = _legacy_with_counts(file, tmp_path / "w", [4, 2])
    else:
        path = write(file, tmp_path / "w")
    found = read_weights(path)
    np.testing.assert_array_equal(found["b"], (upper.astype(np.uint32) << 16).view(np.float32))
    np.testing.assert_array_equal(found["h"], [1.5, -2.0])


def _legacy_with_counts(file: TorchFile, path: Path, counts: list[int]) -> Path:
    file.legacy(path)
    data = path.read_bytes()
    for array, count in zip(file.arrays.values(), counts, strict=True):
        plain = struct.pack("<q", array.size) + array.tobytes()
        assert plain in data
        data = data.replace(plain, struct.pack("<q", count) + array.tobytes())
    path.write_bytes(data)
    return path


# -- attacks -------------------------------------------------------------------------------------

ATTACKS: dict[str, Code] = {
    "os.system": call(name("os", "system"), "echo owned"),
    "eval": call(name("builtins", "eval"), "1+1"),
    "getattr": call(name("builtins", "getattr"), name("os", "path"), "join"),
    "nested name": name("torch._utils", "_rebuild_tensor.__globals__"),
    "numpy": call(name("numpy.core.multiarray", "_reconstruct"), 1),
    "torch.load": call(name("torch", "load"), "other.pth"),
    "storage called": call(name("torch", "FloatStorage"), 2**40),
    "stack global": Code(value("os") + value("system") + b"\x93" + value(("true",)) + b"R"),
    "instance": Code(b"(" + value("true") + b"ios\nsystem\n"),
    "object": Code(b"(" + name("os", "system") + value("true") + b"o"),
    "new object": Code(name("collections", "OrderedDict") + b")\x81"),
    "extension": Code(b"\x82\x01"),
    "text reference": Code(b"Pstorage\n"),
    "huge memo": Code(b"Nr\xff\xff\xff\xff" + b"h\x07"),
    "huge bytes": Code(b"\x8e" + struct.pack("<Q", 2**62)),
    "huge string": Code(b"X" + struct.pack("<I", 2**32 - 1)),
    "unknown escape": Code(b"S'\\z'\n"),
    "huge integer": Code(b"\x8b" + struct.pack("<i", 2**31 - 1)),
    "tuple as key": Code(value({}) + value(((1, 2), 3)) + b"Ns"),
    "state of nothing": Code(b"N" + value({"a": 1}) + b"b"),
    "tensor of no storage": call(name("torch._utils", "_rebuild_tensor"), 1, 0, (1,), (1,)),
    "empty stack": Code(b"00"),
    "lone mark": Code(b"("),
}


@both_formats
@pytest.mark.parametrize("attack", ATTACKS)
def test_programs_are_refused_and_not_run(
    tmp_path: Path, write: Writer, attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = TorchFile(arrays())
    plain = file.state
    object.__setattr__(
        file, "state", lambda legacy: Code(value({"x": ATTACKS[attack], "y": plain(legacy)}))
    )
    with pytest.raises(WeightsError, match=r"weights\.pth: "):
        read_weights(write(file, tmp_path / "weights.pth"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.pth"]


FORGERIES: dict[str, dict[str, Any]] = {
    "offset outside": {"offset": 1},
    "offset huge": {"offset": 2**47},
    "offset negative": {"offset": -1},
    "shape larger": {"shape": (400, 3, 3, 3)},
    "shape huge": {"shape": (2**20, 2**20), "stride": (0, 0)},
    "shape overflowing": {"shape": (2**40, 2**40, 2**40, 2**40), "stride": (0, 0, 0, 0)},
    "shape negative": {"shape": (-4, 3, 3, 3)},
    "shape of text": {"shape": ("4", "3")},
    "stride larger": {"stride": (2700, 9, 3, 1)},
    "stride negative": {"stride": (-27, 9, 3, 1)},
    "strides missing": {"stride": (27, 9)},
    "forty dimensions": {"shape": (1,) * 40, "stride": (1,) * 40},
    "count larger": {"count": 2**40},
    "count smaller": {"count": 5},
    "key of another": {"key": "1"},
    "key of nothing": {"key": "../../etc/passwd"},
    "kind unknown": {"kind": "QInt8Storage"},
    "kind of another size": {"kind": "DoubleStorage"},
}


@both_formats
@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_descriptions_are_refused(tmp_path: Path, write: Writer, forgery: str) -> None:
    file = TorchFile(arrays(), forge={"features.0.weight": FORGERIES[forgery]})
    with pytest.raises(WeightsError, match=r"weights\.pth: "):
        read_weights(write(file, tmp_path / "weights.pth"))


def test_many_views_of_one_storage_may_not_add_up_to_more_than_the_file(tmp_path: Path) -> None:
    big = np.zeros(5000, np.float32)
    copies = {f"t{index}": big if index == 0 else big[:1] for index in range(20)}
    forge = {f"t{index}": {"key": "0", "count": 5000, "shape": (5000,)} for index in range(20)}
    with pytest.raises(WeightsError, match="larger than the file"):
        read_weights(TorchFile(copies, forge=forge).zip(tmp_path / "weights.pth"))


@both_formats
def test_truncated_files_are_refused(tmp_path: Path, write: Writer) -> None:
    data = write(TorchFile(arrays()), tmp_path / "weights.pth").read_bytes()
    for keep in range(1, len(data), 37):
        (tmp_path / "cut.pth").write_bytes(data[:keep])
        with pytest.raises(WeightsError):
            read_weights(tmp_path / "cut.pth")


def test_compressed_entries_are_refused(tmp_path: Path) -> None:
    bomb = TorchFile({"t": np.zeros(10**6, np.float32)})
    path = bomb.zip(tmp_path / "bomb.pth", zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match="compressed"):
        read_weights(path)


def test_a_damaged_storage_is_noticed(tmp_path: Path) -> None:
    path = TorchFile(arrays()).zip(tmp_path / "weights.pth")
    data = bytearray(path.read_bytes())
    data[data.index(arrays()["features.0.weight"].tobytes()) + 8] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"archive/data/0.*damaged"):
        read_weights(path)


def test_other_archives_are_told_apart(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "plain.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(WeightsError, match=r"no PyTorch state dict"):
        read_weights(tmp_path / "plain.zip")
    (tmp_path / "list.pth").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "list.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickled([1, 2, 3]))
    with pytest.raises(WeightsError, match="no dict with tensors"):
        read_weights(tmp_path / "list.pth")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    write = data.draw(st.sampled_from(list(WRITERS.values())))
    content = bytearray(write(TorchFile(arrays()), folder / "w").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(0, min(len(content), 1500) - 1))
        content[position] = data.draw(st.integers(0, 255))
    (folder / "w").write_bytes(content)
    with contextlib.suppress(WeightsError):
        torch_pth.read(folder / "w")
