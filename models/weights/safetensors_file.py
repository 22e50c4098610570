"""Reads ``.safetensors`` files.

Format: eight bytes, the length of the header as a little-endian integer; the header, a JSON object
``{name: {"dtype": "F32", "shape": [64, 3, 3, 3], "data_offsets": [begin, end]}}`` with an optional
``"__metadata__"`` of strings; then the tensors' bytes, little-endian, in row-major order, which
the offsets cover without a gap or an overlap.

The ``safetensors`` library parses it. It refuses a header longer than the file or than 100 MB,
offsets that overlap, leave a gap or end elsewhere than the file does, and a shape that does not
fit its offsets: so no tensor read here is larger than the file. Read are floating-point tensors
with one dimension (biases) or four (kernels); a fully connected layer's weights, which have two,
are most of such a file and are left where they are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from impasto.errors import WeightsError

__all__ = ["matches", "read"]

# 0.5 MB would do for any network there is; the library's own limit is 100 MB.
_MAX_HEADER_BYTES = 16 * 2**20
_LENGTH_BYTES = 8
_FLOATS = ("F64", "F32", "F16", "BF16")


def matches(head: bytes) -> bool:
    """Return whether a file that begins with `head`, of at least nine bytes, is of this format."""
    length = int.from_bytes(head[:_LENGTH_BYTES], "little")
    return 2 <= length <= _MAX_HEADER_BYTES and head[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b"{"


def read(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the kernels and biases in the file, as float32, under the file's names.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict of str to ndarray
        Tensors of one or four dimensions. ``F16`` and ``BF16`` are widened exactly, ``F64`` is
        rounded.

    Raises
    ------
    WeightsError
        If the file is damaged, or a tensor to be read is not of floating-point numbers.
    """
    try:
        _check_header_length(path)
        with safe_open(path, framework="np") as file:
            return _tensors(file, path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file: {error}.") from error


def _check_header_length(path: Path) -> None:
    """Refuse a header that is longer than the file or than any network needs, before parsing."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    limit = min(_MAX_HEADER_BYTES, path.stat().st_size - _LENGTH_BYTES)
    if length > limit:
        raise WeightsError(
            f"{path}: the safetensors header says it has {length} bytes; at most {limit} are "
            "possible. The file is damaged."
        )


def _tensors(file: Any, path: Path) -> dict[str, NDArray[np.float32]]:
    tensors: dict[str, NDArray[np.float32]] = {}
    for name in file.keys():  # noqa: SIM118 (the file is no mapping)
        view = file.get_slice(name)
        dtype, shape = view.get_dtype(), tuple(view.get_shape())
        if len(shape) not in (1, 4):
            continue
        if dtype not in _FLOATS:
            raise WeightsError(
                f"{path}: tensor {name!r} is of type {dtype}, expected one of {', '.join(_FLOATS)}."
            )
        if dtype == "BF16":
            tensors[name] = _bfloat16(path, name, shape)
        else:
            tensors[name] = file.get_tensor(name).astype(np.float32, copy=False)
    return tensors


def _bfloat16(path: Path, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a bfloat16 tensor of a file the library has checked, since NumPy lacks the type.

    A bfloat16 is the upper half of the float32 of the same value.
    """
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        begin, end = json.loads(stream.read(length))[name]["data_offsets"]
        stream.seek(_LENGTH_BYTES + length + begin)
        upper = np.frombuffer(stream.read(end - begin), dtype="<u2")
    return (upper.astype(np.uint32) << 16).view(np.float32).reshape(shape)
