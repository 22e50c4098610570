"""Writes PyTorch files byte by byte, as `torch.save` does, genuine or with something forged."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C

STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "uint8": "ByteStorage"}


class Code(bytes):
    """Pickle instructions to be placed as they are."""


def value(item: Any) -> bytes:
    """Return the instructions that push `item`: protocol 2."""
    if isinstance(item, Code):
        return bytes(item)
    if item is None:
        return b"N"
    if isinstance(item, bool):
        return b"\x88" if item else b"\x89"
    if isinstance(item, int):
        if -(2**31) <= item < 2**31:
            return b"J" + struct.pack("<i", item)
        raw = item.to_bytes((item.bit_length() + 8) // 8, "little", signed=True)
        return b"\x8a" + bytes([len(raw)]) + raw
    if isinstance(item, str):
        return b"X" + struct.pack("<I", len(item.encode())) + item.encode()
    if isinstance(item, bytes):
        return b"U" + bytes([len(item)]) + item
    if isinstance(item, tuple):
        return b"(" + b"".join(map(value, item)) + b"t"
    if isinstance(item, list):
        return b"](" + b"".join(map(value, item)) + b"e"
    if isinstance(item, dict):
        return b"}(" + b"".join(value(k) + value(v) for k, v in item.items()) + b"u"
    raise TypeError(type(item))


def name(module: str, attribute: str) -> Code:
    return Code(b"c" + module.encode() + b"\n" + attribute.encode() + b"\n")


def call(function: Code, *arguments: Any) -> Code:
    return Code(function + value(arguments) + b"R")


def pickled(item: Any) -> bytes:
    return b"\x80\x02" + value(item) + b"."


@dataclass
class TorchFile:
    """A state dict to write.

    Every array becomes one tensor with a storage of its own. `forge` replaces parts of how a
    tensor is described: ``count``, ``offset``, ``shape``, ``stride``, ``key``, ``kind``.
    """

    arrays: dict[str, np.ndarray[Any, Any]]
    forge: dict[str, dict[str, Any]] = field(default_factory=dict)
    rebuild: str = "_rebuild_tensor_v2"
    wrapper: str | None = None
    location: str = "cpu"

    def storage(self, tensor: str, key: str, legacy: bool) -> Code:
        array, forged = self.arrays[tensor], self.forge.get(tensor, {})
        kind = name("torch", forged.get("kind", STORAGES[array.dtype.name]))
        count = forged.get("count", array.size)
        view = (None,) if legacy else ()
        described = ("storage", kind, forged.get("key", key), self.location, count, *view)
        return Code(value(described) + b"Q")

    def tensor(self, tensor: str, key: str, legacy: bool) -> Code:
        array, forged = self.arrays[tensor], self.forge.get(tensor, {})
        stride = tuple(s // array.itemsize for s in array.strides)
        place = (
            self.storage(tensor, key, legacy),
            forged.get("offset", 0),
            forged.get("shape", array.shape),
            forged.get("stride", stride),
        )
        if self.rebuild == "BUILD":  # the oldest tensors: an empty object, filled by its state
            return Code(call(name("torch", "FloatTensor")) + value(place) + b"b")
        hooks = call(name("collections", "OrderedDict"))
        more = (False, hooks) if self.rebuild == "_rebuild_tensor_v2" else ()
        return call(name("torch._utils", self.rebuild), *place, *more)

    def state(self, legacy: bool) -> Code:
        entries = {
            tensor: self.tensor(tensor, str(index), legacy)
            for index, tensor in enumerate(self.arrays)
        }
        made = call(name("collections", "OrderedDict"))
        items = b"".join(value(k) + value(v) for k, v in entries.items())
        metadata = value({"_metadata": call(name("collections", "OrderedDict"))}) + b"b"
        state = Code(made + b"(" + items + b"u" + metadata)
        return Code(value({"epoch": 3, self.wrapper: state})) if self.wrapper else state

    def zip(self, path: Path, compression: int = zipfile.ZIP_STORED) -> Path:
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("archive/data.pkl", pickled(self.state(legacy=False)))
            archive.writestr("archive/byteorder", "little")
            for index, array in enumerate(self.arrays.values()):
                archive.writestr(f"archive/data/{index}", array.tobytes())
            archive.writestr("archive/version", "3\n")
        return path

    def legacy(self, path: Path) -> Path:
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
        keys = [str(index) for index in range(len(self.arrays))]
        data = b"".join(map(pickled, (MAGIC, 1001, system, self.state(legacy=True), keys)))
        for array in self.arrays.values():
            data += struct.pack("<q", array.size) + array.tobytes()
        path.write_bytes(data)
        return path
