"""Finds a network's weights among the tensors of a file, whatever they are called there.

Tried in this order, each for all of the network's convolutions or not at all:

1. their names here: ``conv4_2.weight``, ``cccp1.bias`` (Caffe files have these);
2. Keras' names: ``block4_conv2.weight``;
3. their order: the file's four-dimensional tensors, sorted by number if they are called
   ``features.0.weight``, ``features.10.weight`` and so on (PyTorch), as they come otherwise, each
   with its bias.

A classifier's tensors are left out. A file with more or fewer convolution kernels than the network
is of another network, whatever its tensors are called. Values are checked by `Model`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.errors import WeightsError
from impasto.models.layer import Architecture, Layer

__all__ = ["assign_weights"]

Tensors = Mapping[str, npt.NDArray[Any]]

_NUMBERED = re.compile(r"(?:.*\.)?(\d+)\.weight")
_VGG_LAYER = re.compile(r"conv(\d)_(\d)")


def assign_weights(
    architecture: Architecture, tensors: Tensors, path: Path
) -> dict[str, npt.NDArray[np.float32]]:
    """Return the weights and biases of `architecture`.

    Parameters
    ----------
    architecture : Architecture
        The network.
    tensors : mapping of str to ndarray
        What a reader found, in the order of the file.
    path : path
        The file, for messages.

    Returns
    -------
    dict of str to ndarray
        For every convolution ``<layer>.weight``, float32 of shape (output channels, input
        channels, kernel, kernel), and ``<layer>.bias``, float32 of shape (output channels,).

    Raises
    ------
    WeightsError
        If a tensor is missing, or has another shape than its layer.
    """
    layers = architecture.convolutions
    _check_network(architecture, tensors, path)
    names = (
        _named(layers, tensors, lambda layer: layer.name)
        or _named(layers, tensors, _keras_name)
        or _ordered(tensors, path)
    )
    found: dict[str, npt.NDArray[np.float32]] = {}
    for layer, (weight, bias) in zip(layers, names, strict=True):
        kernel = (layer.out_channels, layer.in_channels, layer.kernel, layer.kernel)
        found[f"{layer.name}.weight"] = _checked(tensors, weight, kernel, layer, path)
        found[f"{layer.name}.bias"] = _checked(tensors, bias, (layer.out_channels,), layer, path)
    return found


def _check_network(architecture: Architecture, tensors: Tensors, path: Path) -> None:
    """Refuse a file that cannot be this network's, however its tensors are called."""
    if statistics := [name for name in tensors if name.endswith("running_mean")]:
        raise WeightsError(
            f"{path}: tensor {statistics[0]!r} belongs to batch normalisation, which "
            f"{architecture.name} does not have. Take the weights trained without it."
        )
    found = sum(array.ndim == 4 for array in tensors.values())
    expected = len(architecture.convolutions)
    if found != expected:
        raise WeightsError(
            f"{path}: it has {found} convolution kernels (four-dimensional tensors), expected "
            f"{expected} for {architecture.name}. Is it a file of another network?"
        )


def _named(layers: Sequence[Layer], tensors: Tensors, name_of: Any) -> list[tuple[str, str]] | None:
    names = [(f"{name_of(layer)}.weight", f"{name_of(layer)}.bias") for layer in layers]
    return names if all(w in tensors and b in tensors for w, b in names) else None


def _keras_name(layer: Layer) -> str:
    return _VGG_LAYER.sub(r"block\1_conv\2", layer.name)


def _ordered(tensors: Tensors, path: Path) -> list[tuple[str, str]]:
    kernels = [name for name, array in tensors.items() if array.ndim == 4]
    numbers = [_NUMBERED.fullmatch(name) for name in kernels]
    if all(numbers):
        order = {name: int(m[1]) for name, m in zip(kernels, numbers, strict=True) if m}
        kernels.sort(key=order.__getitem__)
    return [(name, _bias_of(name, tensors, path)) for name in kernels]


def _bias_of(kernel: str, tensors: Tensors, path: Path) -> str:
    """Return the name of the bias that belongs to a kernel: the same stem, or the next tensor."""
    names = list(tensors)
    follower = names[names.index(kernel) + 1 : names.index(kernel) + 2]
    stem = kernel.removesuffix(".weight")
    for candidate in (f"{stem}.bias", *follower):
        if candidate in tensors and tensors[candidate].ndim == 1:
            return candidate
    raise WeightsError(f"{path}: tensor {kernel!r} has no bias beside it.")


def _checked(
    tensors: Tensors, name: str, shape: tuple[int, ...], layer: Layer, path: Path
) -> npt.NDArray[np.float32]:
    array = tensors[name]
    if array.shape != shape:
        raise WeightsError(
            f"{path}: tensor {name!r} has shape {array.shape}, expected {shape} for "
            f"{layer.name!r}. Is it a file of another network?"
        )
    if array.dtype.kind != "f":
        raise WeightsError(
            f"{path}: tensor {name!r} is of type {array.dtype}, expected floating-point numbers."
        )
    return np.ascontiguousarray(array, np.float32)
