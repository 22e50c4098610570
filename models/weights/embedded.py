"""Weights that are part of the package: VGG-19, at eight bits a weight.

The file holds, for each convolution, ``<layer>.indices`` (uint8, output channels x input channels
x height x width), ``<layer>.codebook`` (float32, 256 values) and ``<layer>.bias`` (float32).
``weight = codebook[indices]``; nothing is computed, so the numbers are the stored ones exactly.
``scripts/encode_vgg19.py`` made it; its licence is beside it, in ``LICENSE.vgg19``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from impasto.errors import WeightsError
from impasto.models.layer import Architecture, Layer

__all__ = ["CODEBOOK_SIZE", "CodebookArrays", "expand_codebooks", "read_embedded"]

CODEBOOK_SIZE = 256


class CodebookArrays(Mapping[str, NDArray[np.float32]]):
    """Weights that stay at eight bits, and are expanded whenever they are asked for.

    A run asks for each a few times, while it makes a graph; expanded once and for all, VGG-19's
    would take 80 MB from beginning to end.

    Parameters
    ----------
    stored : mapping of str to mapping of str to ndarray
        By layer: ``indices``, ``codebook`` and ``bias``, as in the file.
    """

    def __init__(self, stored: Mapping[str, Mapping[str, NDArray[Any]]]) -> None:
        self._stored = stored

    def only(self, layers: Collection[str]) -> CodebookArrays:
        """Return those of some layers."""
        return CodebookArrays({name: self._stored[name] for name in self._stored if name in layers})

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """Return ``<layer>.weight`` or ``<layer>.bias``, as of `expand_codebooks`."""
        layer, _, kind = name.rpartition(".")
        if kind not in ("weight", "bias"):
            raise KeyError(name)
        stored = self._stored[layer]
        return stored["codebook"][stored["indices"]] if kind == "weight" else stored["bias"]

    def __iter__(self) -> Iterator[str]:
        """Return the names, layer by layer."""
        return (f"{layer}.{kind}" for layer in self._stored for kind in ("weight", "bias"))

    def __len__(self) -> int:
        """Return how many there are."""
        return 2 * len(self._stored)


def read_embedded(architecture: Architecture, filename: str) -> CodebookArrays:
    """Return the weights in the package's data file `filename`.

    Returns
    -------
    mapping of str to ndarray
        ``<layer>.weight`` and ``<layer>.bias``, as of `expand_codebooks`.

    Raises
    ------
    WeightsError
        If the file is missing or damaged: the installation is incomplete.
    """
    with resources.as_file(resources.files("impasto.models.data") / filename) as path:
        return expand_codebooks(architecture, path)


def expand_codebooks(architecture: Architecture, path: Path) -> CodebookArrays:
    """Return the weights of `architecture` in the file of codebooks at `path`.

    Tensors are looked at only after their type and shape were compared with the architecture, so
    the memory used is that of the architecture, whatever the file says.

    Returns
    -------
    mapping of str to ndarray
        For every convolution ``<layer>.weight``, float32 of shape (output channels, input
        channels, kernel, kernel), and ``<layer>.bias``, float32 of shape (output channels,).

    Raises
    ------
    WeightsError
        If the file is missing or damaged, or a tensor is not there or has another type or shape.
    """
    stored = {}
    try:
        with safe_open(path, framework="np") as file:
            for layer in architecture.convolutions:
                names = _stored(layer)
                found = {name: _checked(file, path, layer, name) for name in names}
                if not all(np.isfinite(found[name]).all() for name in ("codebook", "bias")):
                    raise WeightsError(
                        f"{path}: {layer.name} has values that are not finite. "
                        "Install Impasto again."
                    )
                stored[layer.name] = found
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{path}: the weights that come with Impasto cannot be read ({error}). "
            "Install Impasto again."
        ) from error
    return CodebookArrays(stored)


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
