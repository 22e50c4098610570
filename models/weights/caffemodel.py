"""Reads ``.caffemodel`` files: the kernels and biases of their convolutions.

Format: one ``NetParameter`` message of Protocol Buffers (`impasto.models.weights.protobuf`), with
these fields, of which those not named are passed over::

    NetParameter      name 1, layers 2 (V1LayerParameter, before 2014-12), layer 100 (since)
    V1LayerParameter  name 4, type 5 (a number; 4 is a convolution), blobs 6
    LayerParameter    name 1, type 2 (a string; "Convolution"), blobs 7
    BlobProto         num 1, channels 2, height 3, width 4: the shape, before 2014-12
                      shape 7 (BlobShape), the shape since; data 5, floats; double_data 8, doubles
    BlobShape         dim 1, integers

Numbers may be packed or not. A convolution's blobs are its kernel (output channels, input channels,
height, width), a cross-correlation, and its bias, which old files shape (1, 1, 1, channels). Layer
``conv1_1`` gives ``conv1_1.weight`` and ``conv1_1.bias``.

A tensor has as many elements as its shape says, and none is larger than the file. Layers other than
convolutions are passed over unread. Refused: layers of the same name, more than two blobs, the
layers of 2013 (``V0LayerParameter``), and network definitions without weights.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from impasto.errors import WeightsError
from impasto.models.weights.protobuf import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    Field,
    ProtobufError,
    fields,
    varint,
)

__all__ = ["matches", "read"]

_NET_NAME, _NET_V1_LAYER, _NET_LAYER = 1, 2, 100
_V1_CONVOLUTION = 4
_CONVOLUTION = b"Convolution"
_OLD_SHAPE = (1, 2, 3, 4)
_DATA, _SHAPE, _DOUBLE_DATA = 5, 7, 8
_MAX_DIMENSIONS = 32  # Caffe's own limit, kMaxBlobAxes

_NAME_KEY = b"\x0a"
_LAYER_KEY, _V1_LAYER_KEY = b"\xa2\x06", b"\x12"
# The keys that may follow a name: layers, input, input_dim, force_backward, state, debug_info,
# input_shape and layer.
_KEYS_AFTER_NAME = (_V1_LAYER_KEY, b"\x1a", b"\x20", b"\x28", b"\x32", b"\x38", b"\x42", _LAYER_KEY)
_MAX_NET_NAME_BYTES = 1024


@dataclass(frozen=True)
class _LayerFields:
    """Which field of a layer's message is what."""

    name: int
    type: int
    blobs: int


_LAYER_FIELDS = {
    _NET_V1_LAYER: _LayerFields(name=4, type=5, blobs=6),
    _NET_LAYER: _LayerFields(name=1, type=2, blobs=7),
}


def matches(head: bytes) -> bool:
    """Return whether a file that begins with `head` looks like a ``NetParameter``.

    The format has no signature. Accepted are a printable name followed by a key that may follow it,
    and no name but a layer that begins as layers do.
    """
    try:
        if head.startswith(_NAME_KEY):
            return _begins_with_name(memoryview(head))
        if head.startswith((_LAYER_KEY, _V1_LAYER_KEY)):
            return _begins_with_layer(memoryview(head))
    except ProtobufError:
        return False
    return False


def _begins_with_name(head: memoryview) -> bool:
    size, begin = varint(head, 1)
    name = bytes(head[begin : begin + size])
    if size > _MAX_NET_NAME_BYTES or not name.decode("utf-8", "ignore").isprintable():
        return False
    rest = bytes(head[begin + size :])
    return rest.startswith(_KEYS_AFTER_NAME) or begin + size >= len(head) > begin


def _begins_with_layer(head: memoryview) -> bool:
    key, begin = varint(head, 0)
    _, begin = varint(head, begin)
    # What a layer begins with: its name, and in a V1 layer before that its bottoms and tops.
    return bytes(head[begin : begin + 1]) in (
        {b"\x0a"} if key >> 3 == _NET_LAYER else {b"\x12", b"\x1a", b"\x22"}
    )


def read(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the kernels and biases of the convolutions in the file, in its order.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict of str to ndarray
        For every convolution ``<layer>.weight``, of four dimensions, and, if it has one,
        ``<layer>.bias``, of one. Doubles are rounded.

    Raises
    ------
    WeightsError
        If the file is damaged, or of a kind named in the module's description.
    """
    try:
        with path.open("rb") as stream:
            file = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        tensors: dict[str, NDArray[np.float32]] = {}
        for name, blobs in _convolutions(file):
            _add_layer(tensors, name, blobs, path)
    except (OSError, ValueError) as error:  # a ProtobufError is a ValueError
        raise WeightsError(f"{path}: not a readable caffemodel file: {error}.") from error
    if not tensors:
        raise WeightsError(
            f"{path}: the caffemodel file has no convolution with weights. Is it only the "
            "definition of a network, or of before 2014?"
        )
    return tensors


def _convolutions(net: memoryview) -> Iterator[tuple[str, list[memoryview]]]:
    """Yield the name and the blobs of each convolution that has blobs."""
    for layer in fields(net):
        if layer.number not in _LAYER_FIELDS or layer.wire != LENGTH:
            continue
        known = _LAYER_FIELDS[layer.number]
        name, is_convolution = "", False
        blobs: list[memoryview] = []
        for found in fields(layer.data):
            if found.number == known.name and found.wire == LENGTH:
                name = bytes(found.data).decode(errors="replace")
            elif found.number == known.type:
                is_convolution = _is_convolution(found)
            elif found.number == known.blobs and found.wire == LENGTH:
                blobs.append(found.data)
        if is_convolution and blobs:
            yield name, blobs


def _is_convolution(kind: Field) -> bool:
    if kind.wire == VARINT:
        return kind.integer == _V1_CONVOLUTION
    return kind.wire == LENGTH and kind.data == _CONVOLUTION


def _add_layer(
    tensors: dict[str, NDArray[np.float32]], name: str, blobs: list[memoryview], path: Path
) -> None:
    if f"{name}.weight" in tensors:
        raise WeightsError(f"{path}: two convolutions are called {name!r}.")
    if len(blobs) > 2:
        raise WeightsError(
            f"{path}: convolution {name!r} has {len(blobs)} blobs, expected a kernel and a bias."
        )
    weight = _tensor(blobs[0], f"{name}.weight", path)
    if weight.ndim != 4:
        raise WeightsError(
            f"{path}: tensor '{name}.weight' has shape {weight.shape}, expected four dimensions."
        )
    tensors[f"{name}.weight"] = weight
    if len(blobs) == 2:
        bias = _tensor(blobs[1], f"{name}.bias", path)
        if max(bias.shape, default=1) != bias.size:
            raise WeightsError(
                f"{path}: tensor '{name}.bias' has shape {bias.shape}, expected one dimension."
            )
        tensors[f"{name}.bias"] = bias.reshape(-1)


@dataclass
class _Blob:
    """What a ``BlobProto`` says, before any of it is believed."""

    old_shape: dict[int, int] = field(default_factory=dict)
    shape: list[int] = field(default_factory=list)
    floats: bytearray = field(default_factory=bytearray)
    doubles: bytearray = field(default_factory=bytearray)

    def dimensions(self) -> tuple[int, ...]:
        # As in Caffe: one of the old fields is enough for the new one not to count.
        if self.old_shape:
            return tuple(self.old_shape.get(number, 1) for number in _OLD_SHAPE)
        return tuple(self.shape)


def _tensor(message: memoryview, name: str, path: Path) -> NDArray[np.float32]:
    try:
        blob = _blob(message)
    except ValueError as error:
        raise WeightsError(f"{path}: tensor {name!r} is damaged: {error}.") from error
    shape = blob.dimensions()
    if blob.floats:
        values = np.frombuffer(blob.floats, "<f4")
    else:
        values = np.frombuffer(blob.doubles, "<f8")
    # Python's integers do not overflow, as those of a product in 64 bits may be made to.
    if len(shape) > _MAX_DIMENSIONS or 0 in shape or math.prod(shape) != values.size:
        raise WeightsError(
            f"{path}: tensor {name!r} has {values.size} elements, expected "
            f"{math.prod(shape)} for its shape {shape[:_MAX_DIMENSIONS]}."
        )
    with np.errstate(over="ignore", invalid="ignore"):  # `Model` refuses them later
        return values.reshape(shape).astype(np.float32, copy=False)


def _blob(message: memoryview) -> _Blob:
    blob = _Blob()
    for found in fields(message):
        if found.number in _OLD_SHAPE and found.wire == VARINT:
            blob.old_shape[found.number] = found.integer
        elif found.number == _SHAPE and found.wire == LENGTH:
            blob.shape = _dimensions(found.data)
        elif found.number == _DATA and found.wire in (LENGTH, FIXED32):
            blob.floats += _whole(found.data, 4)
        elif found.number == _DOUBLE_DATA and found.wire in (LENGTH, FIXED64):
            blob.doubles += _whole(found.data, 8)
    return blob


def _whole(numbers: memoryview, size: int) -> memoryview:
    if len(numbers) % size:
        raise ProtobufError(f"{len(numbers)} bytes are no whole count of {size}-byte numbers")
    return numbers


def _dimensions(message: memoryview) -> list[int]:
    found: list[int] = []
    for dim in fields(message):
        if dim.number == 1 and dim.wire == VARINT:
            found.append(dim.integer)
        elif dim.number == 1 and dim.wire == LENGTH:
            position = 0
            while position < len(dim.data) and len(found) <= _MAX_DIMENSIONS:
                value, position = varint(dim.data, position)
                found.append(value)
        if len(found) > _MAX_DIMENSIONS:
            raise ProtobufError(f"it has more than {_MAX_DIMENSIONS} dimensions")
    return found
