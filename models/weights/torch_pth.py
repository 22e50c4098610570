"""Reads PyTorch's ``.pth`` files, in both formats, without PyTorch.

**Zip** (PyTorch 1.6 and newer): an archive of uncompressed entries under one folder:
``<root>/data.pkl``, a pickle of the state dict; ``<root>/data/<key>``, the bytes of each storage;
``<root>/byteorder``, ``little`` if it is there.

**Legacy stream** (before): five pickles one after another (the number 0x1950a86a20f9469cfc6c, the
protocol version 1001, facts about the system, the state dict, the list of storage keys), and then
for every key its number of elements as an 8-byte integer and its elements, little-endian.

In both, the state dict's tensors say: storage, offset, shape and stride. The pickles are
interpreted by `impasto.models.weights.unpickler`, never unpickled. Sizes, offsets and strides are
checked against the storage, storages against the file; tensors are views of the mapped file, so
that a forged size allocates nothing. Together they may not be larger than the file.

Refused: compressed or encrypted entries, big-endian files, the tar format of 2016, TorchScript
archives' code, sparse and quantised tensors.
"""

from __future__ import annotations

import math
import mmap
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.errors import WeightsError
from impasto.models.weights.unpickler import (
    MAX_PICKLE_BYTES,
    PickleError,
    Storage,
    Tensor,
    interpret,
)

__all__ = ["matches", "read"]

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
_LEGACY_HEAD = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
_ZIP_HEAD = b"PK\x03\x04"
_LOCAL_HEADER_BYTES = 30
_WRAPPERS = ("state_dict", "model_state_dict", "model")

Blocks = Callable[[Storage], memoryview]
Array = npt.NDArray[Any]


def matches(head: bytes) -> bool:
    """Return whether a file that begins with `head` is of this format."""
    return head.startswith((_ZIP_HEAD, _LEGACY_HEAD))


def read(path: Path) -> dict[str, Array]:
    """Return the tensors of the state dict in `path`, in its order and under its names.

    Parameters
    ----------
    path : path
        The file. The state dict may lie under ``state_dict``, ``model_state_dict`` or ``model``.

    Returns
    -------
    dict of str to ndarray
        Read-only views of the mapped file in their own types; bfloat16 widened to float32.

    Raises
    ------
    WeightsError
        If the file is damaged, hostile, or of a kind named in the module's description.
    """
    try:
        with path.open("rb") as stream:
            file = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        if bytes(file[:4]) == _ZIP_HEAD:
            state, blocks = _open_zip(path, file)
        else:
            state, blocks = _open_legacy(file)
        return dict(_tensors(_state_dict(state), blocks, budget=len(file)))
    except (OSError, ValueError, zipfile.BadZipFile, PickleError) as error:
        raise WeightsError(f"{path}: not a readable PyTorch file: {error}.") from error
    except _DamagedError as error:
        raise WeightsError(f"{path}: {error}.") from error


class _DamagedError(Exception):
    """What is wrong with a file, to be told with its path."""


# -- the two containers --------------------------------------------------------------------------


def _open_zip(path: Path, file: memoryview) -> tuple[Any, Blocks]:
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: info for info in archive.infolist()}
    pickles = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise _DamagedError("the archive has no <root>/data.pkl, so it is no PyTorch state dict")
    root = pickles[0].removesuffix("data.pkl")

    def entry(name: str) -> memoryview:
        if name not in entries:
            raise _DamagedError(f"the archive has no entry {name!r}")
        return _entry_bytes(entries[name], file)

    if f"{root}byteorder" in entries and bytes(entry(f"{root}byteorder")) != b"little":
        raise _DamagedError("its byte order is not little-endian")
    program = entry(pickles[0])
    if len(program) > MAX_PICKLE_BYTES:
        raise _DamagedError(
            f"its pickle has {len(program)} bytes, at most {MAX_PICKLE_BYTES} are read"
        )

    def block(storage: Storage) -> memoryview:
        found = entry(f"{root}data/{storage.key}")
        _check_block(storage, len(found))
        return found

    return interpret(BytesIO(bytes(program))), block


def _entry_bytes(info: zipfile.ZipInfo, file: memoryview) -> memoryview:
    """Return the bytes of an uncompressed entry, after comparing them with its checksum."""
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise _DamagedError(
            f"the entry {info.filename!r} is compressed or encrypted; PyTorch's are not"
        )
    header = bytes(file[info.header_offset : info.header_offset + _LOCAL_HEADER_BYTES])
    if len(header) < _LOCAL_HEADER_BYTES or header[:4] != _ZIP_HEAD:
        raise _DamagedError(f"the entry {info.filename!r} has no header where the directory says")
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    begin = info.header_offset + _LOCAL_HEADER_BYTES + name_length + extra_length
    found = file[begin : begin + info.file_size]
    if len(found) != info.file_size or zlib.crc32(found) != info.CRC:
        raise _DamagedError(f"the entry {info.filename!r} is truncated or damaged")
    return found


def _open_legacy(file: memoryview) -> tuple[Any, Blocks]:
    stream = BytesIO(bytes(file[: 2 * MAX_PICKLE_BYTES]))
    if interpret(stream) != MAGIC:
        raise _DamagedError("it does not begin with PyTorch's number")
    version = interpret(stream)
    if version != PROTOCOL:
        raise _DamagedError(f"it is of protocol {version!r}, expected {PROTOCOL}")
    interpret(stream)  # facts about the system it was written on
    state, keys = interpret(stream), interpret(stream)
    if not isinstance(keys, list) or not all(isinstance(k, str | bytes | int) for k in keys):
        raise _DamagedError("it has no list of storages")
    names = [k.decode(errors="replace") if isinstance(k, bytes) else str(k) for k in keys]
    sizes = {s.key: s for s in _storages(state)}
    places: dict[str, memoryview] = {}
    position = stream.tell()
    for name in names:
        if name not in sizes:
            raise _DamagedError(f"its storage {name!r} is not used, so that its type is unknown")
        storage = sizes[name]
        count = int.from_bytes(file[position : position + 8], "little", signed=True)
        if count != storage.count:
            raise _DamagedError(
                f"storage {name!r} has {count} elements, expected {storage.count}, or is missing"
            )
        begin, end = position + 8, position + 8 + count * _item_bytes(storage)
        places[name] = file[begin:end]
        _check_block(storage, len(places[name]))
        position = end

    def block(storage: Storage) -> memoryview:
        if storage.key not in places or sizes[storage.key] != storage:
            raise _DamagedError(
                f"storage {storage.key!r} is not in the file, or is described twice"
            )
        return places[storage.key]

    return state, block


def _check_block(storage: Storage, found: int) -> None:
    expected = storage.count * _item_bytes(storage)
    if found != expected:
        raise _DamagedError(
            f"storage {storage.key!r} has {found} bytes, expected {expected} for "
            f"{storage.count} elements of {storage.dtype}: the file is truncated or damaged"
        )


def _item_bytes(storage: Storage) -> int:
    return 2 if storage.dtype == "bfloat16" else np.dtype(storage.dtype).itemsize


# -- tensors -------------------------------------------------------------------------------------


def _state_dict(state: Any) -> Mapping[str, Tensor]:
    if isinstance(state, dict):
        state = next((state[k] for k in _WRAPPERS if isinstance(state.get(k), dict)), state)
    found = {
        key.decode(errors="replace") if isinstance(key, bytes) else str(key): value
        for key, value in (state.items() if isinstance(state, dict) else ())
        if isinstance(value, Tensor)
    }
    if not found:
        raise _DamagedError("it holds no state dict: no dict with tensors in it")
    return found


def _storages(state: Any) -> Iterator[Storage]:
    """Yield the storages of every tensor of the state, wherever it lies."""
    waiting, seen = [state], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor) and value.storage is not None:
            yield value.storage
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(value.values() if isinstance(value, dict) else value)


def _tensors(
    state: Mapping[str, Tensor], blocks: Blocks, budget: int
) -> Iterator[tuple[str, Array]]:
    opened: dict[Storage, Array] = {}
    for name, tensor in state.items():
        storage = tensor.storage
        if storage is None:
            raise _DamagedError(f"tensor {name!r} has no storage")
        if storage not in opened:
            dtype = "<u2" if storage.dtype == "bfloat16" else storage.dtype
            opened[storage] = np.frombuffer(blocks(storage), dtype)
        budget -= math.prod(tensor.shape) * _item_bytes(storage)
        if budget < 0:
            raise _DamagedError(f"with tensor {name!r} its tensors are larger than the file")
        view = _view(name, tensor, opened[storage])
        if storage.dtype == "bfloat16":  # the upper half of the float32 of the same value
            view = (view.astype(np.uint32) << 16).view(np.float32)
        yield name, view


def _view(name: str, tensor: Tensor, block: Array) -> Array:
    """Return a tensor as a view of its storage, after checking that it lies inside."""
    shape, stride = tensor.shape, tensor.stride
    if len(shape) != len(stride) or len(shape) > 8:
        raise _DamagedError(
            f"tensor {name!r} has {len(shape)} dimensions and {len(stride)} strides"
        )
    empty = 0 in shape
    last = tensor.offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
    if not empty and last >= block.size:
        raise _DamagedError(
            f"tensor {name!r} of shape {shape} reaches element {last} of a storage of {block.size}"
        )
    view = np.lib.stride_tricks.as_strided(
        block[min(tensor.offset, block.size) :],
        shape,
        tuple(s * block.itemsize for s in stride),
        writeable=False,
    )
    return view
