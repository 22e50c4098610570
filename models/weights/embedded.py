"""Weights that are part of the package: VGG-19, at eight bits a weight.

The file holds, for each convolution, ``<layer>.indices`` (uint8, output channels x input channels
x height x width), ``<layer>.codebook`` (float32, 256 values) and ``<layer>.bias`` (float32).
``weight = codebook[indices]``; nothing is computed, so the numbers are the stored ones exactly.
``scripts/encode_vgg19.py`` made it; its licence is beside it, in ``LICENSE.vgg19``.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from impasto.errors import WeightsError
from impasto.models.layer import Architecture, Layer

__all__ = ["CODEBOOK_SIZE", "expand_codebooks", "read_embedded"]

CODEBOOK_SIZE = 256


def read_embedded(architecture: Architecture, filename: str) -> dict[str, NDArray[np.float32]]:
    """Return the weights in the package's data file `filename`.

    Returns
    -------
    dict of str to ndarray
        ``<layer>.weight`` and ``<layer>.bias``, as of `expand_codebooks`.

    Raises
    ------
    WeightsError
        If the file is missing or damaged: the installation is incomplete.
    """
    with resources.as_file(resources.files("impasto.models.data") / filename) as path:
        return expand_codebooks(architecture, path)


def expand_codebooks(architecture: Architecture, path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the weights of `architecture` in the file of codebooks at `path`.

    Tensors are looked at only after their type and shape were compared with the architecture, so
    the memory used is that of the architecture, whatever the file says.

    Returns
    -------
    dict of str to ndarray
        For every convolution ``<layer>.weight``, float32 of shape (output channels, input
        channels, kernel, kernel), and ``<layer>.bias``, float32 of shape (output channels,).

    Raises
    ------
    WeightsError
        If the file is missing or damaged, or a tensor is not there or has another type or shape.
    """
    arrays: dict[str, NDArray[np.float32]] = {}
    try:
        with safe_open(path, framework="np") as file:
            for layer in architecture.convolutions:
                stored = {name: _checked(file, path, layer, name) for name in _stored(layer)}
                codebook, indices = stored["codebook"], stored["indices"]
                arrays[f"{layer.name}.weight"] = codebook[indices]
                arrays[f"{layer.name}.bias"] = stored["bias"]
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{path}: the weights that come with Impasto cannot be read ({error}). "
            "Install Impasto again."
        ) from error
    return arrays


def _stored(layer: Layer) -> dict[str, tuple[str, list[int]]]:
    """Return type and shape of the three tensors of `layer`."""
    kernel = [layer.out_channels, layer.in_channels, layer.kernel, layer.kernel]
    return {
        "indices": ("U8", kernel),
        "codebook": ("F32", [CODEBOOK_SIZE]),
        "bias": ("F32", [layer.out_channels]),
    }


def _checked(file: Any, path: Path, layer: Layer, name: str) -> NDArray[np.float32]:
    """Return the tensor `name` of `layer`, whose type and shape are as expected."""
    key = f"{layer.name}.{name}"
    if key not in file.keys():  # noqa: SIM118 (the file is no mapping)
        raise WeightsError(f"{path}: tensor {key!r} is missing. Install Impasto again.")
    view = file.get_slice(key)
    found, expected = (view.get_dtype(), view.get_shape()), _stored(layer)[name]
    if found != expected:
        raise WeightsError(
            f"{path}: tensor {key!r} is {found[0]} of shape {found[1]}, expected {expected[0]} of "
            f"shape {expected[1]}. Install Impasto again."
        )
    return np.ascontiguousarray(file.get_tensor(key))
