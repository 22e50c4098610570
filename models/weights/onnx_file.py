"""Reads ``.onnx`` files: the kernels and biases of their convolutions.

Format: one ``ModelProto`` message of Protocol Buffers, which the ``onnx`` package parses; nothing
in it is run. Its ``graph`` has ``node``, in the order they are computed, and ``initializer``, the
tensors: each with a name, ``dims``, a ``data_type`` and its numbers, little-endian in ``raw_data``
or as a list in ``float_data``, ``double_data`` or ``int32_data`` (the bits of 16-bit floats).

Read are the second and third input of every node ``Conv`` of the main graph, in its order, if the
former has four dimensions: an initialiser, or the tensor of a node ``Constant``. PyTorch's
``features.0.weight`` keeps its name; others are called after the node, or after the kernel if the
node has no name, with ``.weight`` and ``.bias``.

A tensor's numbers are as many as its ``dims`` say, and all tensors together are no larger than the
file, which has at most 2 GiB, as in Protocol Buffers themselves. Refused: weights that another node
makes (the ``onnx`` package's own test models fill theirs with a constant, and a quantised model has
integers), weights that are inputs of the graph, and external data: a second file, whose path the
first one chooses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto

from impasto.errors import WeightsError

__all__ = ["matches", "read"]

MAX_FILE_BYTES = 2 * 2**30 - 1

# ModelProto: field 1, ir_version, in one byte, and then a key that may follow: producer_name,
# producer_version, domain, model_version, doc_string, graph, opset_import, metadata_props.
_IR_VERSION_KEY = 0x08
_NEXT_KEYS = b"\x12\x1a\x22\x28\x32\x3a\x42\x72"

_PYTORCH_SUFFIX = ".weight"


class _Float(NamedTuple):
    """How numbers of a type are stored: their type in ``raw_data``, and the list they may be in."""

    dtype: str
    listed: str


# A bfloat16 is read as the upper half of a float32: NumPy lacks the type.
_FLOATS: dict[int, _Float] = {
    TensorProto.FLOAT: _Float("<f4", "float_data"),
    TensorProto.DOUBLE: _Float("<f8", "double_data"),
    TensorProto.FLOAT16: _Float("<f2", "int32_data"),
    TensorProto.BFLOAT16: _Float("<u2", "int32_data"),
}


def matches(head: bytes) -> bool:
    """Return whether a file that begins with `head` looks like a ``ModelProto``."""
    return (
        len(head) > 2
        and head[0] == _IR_VERSION_KEY
        and 0 < head[1] < 0x80
        and (head[2] in _NEXT_KEYS)
    )


def read(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the kernels and biases of the convolutions in the file, in the order of its graph.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict of str to ndarray
        For every convolution ``<name>.weight``, of four dimensions, and, if it has one,
        ``<name>.bias``. 16-bit floats are widened exactly, doubles are rounded.

    Raises
    ------
    WeightsError
        If the file is damaged, or of a kind named in the module's description.
    """
    try:
        tensors = _tensors(*_parsed(path), path)
    # Text that is not UTF-8 is found when it is asked for: a ValueError, or bytes in its place.
    except (OSError, DecodeError, ValueError, TypeError) as error:
        raise WeightsError(f"{path}: not a readable ONNX file: {error}.") from error
    if not tensors:
        raise WeightsError(f"{path}: the ONNX model has no convolution over two dimensions.")
    return tensors


def _tensors(graph: onnx.GraphProto, budget: int, path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the convolutions' tensors, which together have at most `budget` bytes."""
    constants = _constants(graph)
    makers = {output: node.op_type for node in graph.node for output in node.output}
    tensors: dict[str, NDArray[np.float32]] = {}
    for name, tensor in _wanted(graph, constants, makers, path):
        if name in tensors:
            raise WeightsError(f"{path}: two convolutions have a tensor called {name!r}.")
        budget -= _byte_count(tensor, name, path)
        if budget < 0:
            raise WeightsError(f"{path}: with {name!r} its tensors are larger than the file.")
        tensors[name] = _array(tensor, name, path)
    return tensors


def _parsed(path: Path) -> tuple[onnx.GraphProto, int]:
    """Return the main graph, and the size of the file in bytes."""
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise WeightsError(f"{path}: has {size} bytes; an ONNX file has at most 2 GiB.")
    model = onnx.ModelProto()
    model.ParseFromString(path.read_bytes())
    return model.graph, size


def _constants(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    """Return the tensors the graph holds, by the name its nodes know them by."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found |= {
                name: a.t for name in node.output for a in node.attribute if a.name == "value"
            }
    return found


def _wanted(
    graph: onnx.GraphProto,
    constants: Mapping[str, TensorProto],
    makers: Mapping[str, str],
    path: Path,
) -> Iterator[tuple[str, TensorProto]]:
    """Yield the kernel and the bias of each convolution, with the name it is given."""
    for node in graph.node:
        if node.op_type != "Conv" or node.domain not in ("", "ai.onnx"):
            continue
        if len(node.input) < 2:
            raise WeightsError(f"{path}: convolution {node.name!r} has no kernel.")
        kernel_name, bias_name = node.input[1], "".join(node.input[2:3])
        kernel = _constant(kernel_name, constants, makers, path)
        if len(kernel.dims) != 4:
            continue
        stem = node.name or kernel_name
        if kernel_name.endswith(_PYTORCH_SUFFIX):
            stem = kernel_name.removesuffix(_PYTORCH_SUFFIX)
        yield f"{stem}.weight", kernel
        if bias_name:
            bias = _constant(bias_name, constants, makers, path)
            if len(bias.dims) != 1:
                raise WeightsError(
                    f"{path}: tensor '{stem}.bias' has shape {tuple(bias.dims)}, expected one "
                    "dimension."
                )
            yield f"{stem}.bias", bias


def _constant(
    name: str, constants: Mapping[str, TensorProto], makers: Mapping[str, str], path: Path
) -> TensorProto:
    if name in constants:
        return constants[name]
    if name in makers:
        raise WeightsError(
            f"{path}: tensor {name!r} is made by a node {makers[name]!r} when the model runs; the "
            "file holds no trained weights for it. Impasto reads weights and runs nothing: export "
            "the model with its weights as initialisers."
        )
    raise WeightsError(
        f"{path}: tensor {name!r} is an input of the model or is missing, expected an initialiser. "
        "The file holds no trained weights for it."
    )


def _byte_count(tensor: TensorProto, name: str, path: Path) -> int:
    """Return the bytes of a tensor's numbers, after comparing them with its shape."""
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise WeightsError(
            f"{path}: tensor {name!r} is in another file (external data), which is not read. Save "
            "the model as one file."
        )
    if tensor.data_type not in _FLOATS:
        known = TensorProto.DataType.values()
        kind = tensor.data_type
        kind_name = TensorProto.DataType.Name(kind) if kind in known else str(kind)
        raise WeightsError(
            f"{path}: tensor {name!r} is of type {kind_name}, expected one of "
            f"{', '.join(TensorProto.DataType.Name(t) for t in _FLOATS)}."
        )
    shape, stored = tuple(tensor.dims), _FLOATS[tensor.data_type]
    size = np.dtype(stored.dtype).itemsize
    if tensor.HasField("raw_data"):
        found = len(tensor.raw_data)
    else:
        found = len(getattr(tensor, stored.listed)) * size
    expected = math.prod(shape) * size
    if min(shape, default=1) < 1 or found != expected:
        raise WeightsError(
            f"{path}: tensor {name!r} of shape {shape} has {found} bytes, expected {expected}."
        )
    return found


def _array(tensor: TensorProto, name: str, path: Path) -> NDArray[np.float32]:
    stored = _FLOATS[tensor.data_type]
    values: NDArray[Any]
    if tensor.HasField("raw_data"):
        values = np.frombuffer(tensor.raw_data, stored.dtype)
    elif stored.listed == "int32_data":
        bits = np.array(tensor.int32_data, np.int64)
        if bits.min() < 0 or bits.max() > 0xFFFF:
            raise WeightsError(f"{path}: tensor {name!r} has numbers of more than 16 bits.")
        values = bits.astype("<u2").view(stored.dtype)
    else:
        values = np.array(getattr(tensor, stored.listed), stored.dtype)
    if tensor.data_type == TensorProto.BFLOAT16:
        values = (values.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # `Model` refuses them later
        return values.reshape(tuple(tensor.dims)).astype(np.float32, copy=False)
