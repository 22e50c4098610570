"""Reads weights files of every format Impasto knows; a format is told by content, not by suffix.

Each format has a module with `matches(head)` and `read(path)`, and its description as the module's
documentation. A weights file is untrusted: readers run nothing, and allocate nothing because a
header says so.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy.typing as npt

from impasto.errors import WeightsError

__all__ = ["FORMATS", "read_weights"]

FORMATS = {
    "PyTorch (.pth)": "torch_pth",
    "safetensors": "safetensors_file",
    "Keras (.h5)": "keras_h5",
    "ONNX": "onnx_file",
    "Caffe (.caffemodel)": "caffemodel",
}
"""Reader by format, in the order they are asked; the least certain to recognise its own is last."""

MAX_FILE_BYTES = 4 * 2**30
_HEAD_BYTES = 64


def read_weights(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of a weights file, in its order and under its names.

    Parameters
    ----------
    path : path
        A file of any of :data:`FORMATS`.

    Raises
    ------
    WeightsError
        If there is no such file, or it is of no known format, damaged or hostile.
    """
    head = _head(path)
    for module in FORMATS.values():
        # One reader at a time: h5py and onnx take their while to import.
        reader = importlib.import_module(f"impasto.models.weights.{module}")
        if reader.matches(head):
            tensors: dict[str, npt.NDArray[Any]] = reader.read(path)
            return tensors
    raise WeightsError(
        f"{path}: not a weights file of a known format. Known: {', '.join(FORMATS)}."
    )


def _head(path: Path) -> bytes:
    try:
        if not path.is_file():
            what = "is a directory" if path.is_dir() else "does not exist"
            raise WeightsError(f"{path}: {what}; expected a weights file.")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise WeightsError(
                f"{path}: has {size} bytes; at most {MAX_FILE_BYTES} are read (VGG-19 with its "
                "classifier has 575 million)."
            )
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}.") from error
    if not head:
        raise WeightsError(f"{path}: is empty; expected a weights file.")
    return head
