r"""Reads Keras' ``.h5`` files: the kernels and biases of their convolutions.

Format: HDF5 (signature ``\x89HDF\r\n\x1a\n``), a tree of groups with datasets for leaves, which
``h5py`` parses; it is optional: ``pip install "impasto[h5]"``. Keras has written several trees::

    /block1_conv1/block1_conv1_W_1:0                Keras 1, and the published VGG weights
    /block1_conv1/block1_conv1/kernel:0             Keras 2, weights only
    /model_weights/block1_conv1/block1_conv1/kernel:0       Keras 2, whole model
    /layers/block1_conv1/vars/0                     Keras 3

In all of them a layer's tensors share a group, and the last name on the way to it, ``vars`` not
counted, is the layer's. A layer with one dataset of four dimensions is a convolution: its kernel
(height, width, input channels, output channels), a cross-correlation, is returned transposed as
``block1_conv1.weight`` (output, input, height, width), and its dataset of one dimension as
``block1_conv1.bias``. Layers come in the order of the attribute ``layer_names`` where there is one
with strings of a fixed length, and others after them, by name, with numbers counted as numbers:
``conv2d_2`` before ``conv2d_10``. (Kernels in Theano's order of
dimensions are not recognised: their shape will fit no layer.)

No dataset is larger than the file, nor are all of them together. Refused: links that are not hard
links (soft and external ones), virtual datasets, external storage, compressed datasets (Keras
writes none; so nothing is decompressed and no filter is loaded), types other than floats of 16, 32
or 64 bits, and trees that are deeper or have more members than any network's. The parser itself is
a large C library: for a file from nowhere, safetensors is the better format.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.errors import WeightsError

__all__ = ["matches", "read"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ROOTS = ("model_weights", "layers")
_NOT_LAYERS = ("optimizer_weights", "optimizer")
_MAX_DEPTH = 12
_MAX_MEMBERS = 100_000
_MAX_ATTRIBUTE_BYTES = 2**20
_FLOAT_BYTES = (2, 4, 8)


def matches(head: bytes) -> bool:
    """Return whether a file that begins with `head` is of this format."""
    return head.startswith(_SIGNATURE)


def read(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the kernels and biases of the convolutions in the file, in the order of its layers.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict of str to ndarray
        For every convolution ``<layer>.weight``, of shape (output channels, input channels, height,
        width), and, if it has one, ``<layer>.bias``. 16-bit floats are widened exactly, doubles
        are rounded.

    Raises
    ------
    WeightsError
        If ``h5py`` is not installed, or the file is damaged, or of a kind named in the module's
        description.
    """
    try:
        import h5py
    except ImportError as error:
        raise WeightsError(
            f'{path}: Keras files need h5py, which is not installed: pip install "impasto[h5]".'
        ) from error
    try:
        with h5py.File(path, "r") as file:
            return _Reader(h5py, path).tensors(file)
    # h5py passes on whatever the C library says in exceptions of all these kinds.
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise WeightsError(f"{path}: not a readable Keras (HDF5) file: {error}.") from error


class _Reader:
    """Walks one open file.

    Parameters
    ----------
    h5py : module
        The library, passed on since it is imported only when there is a file to read.
    path : path
        The file, for messages.
    """

    def __init__(self, h5py: Any, path: Path) -> None:
        self._h5py, self._path = h5py, path
        self._members = 0
        self._budget = path.stat().st_size

    def tensors(self, file: Any) -> dict[str, NDArray[np.float32]]:
        root = self._root(file)
        layers: dict[str, list[Any]] = {}
        groups: dict[str, str] = {}
        for group, dataset in self._datasets(root, ()):
            layer = next((part for part in reversed(group) if part != "vars"), "")
            where = "/".join(group)
            if groups.setdefault(layer, where) != where:
                raise self._error(f"layer {layer!r} is in {groups[layer]!r} and in {where!r}")
            layers.setdefault(layer, []).append(dataset)
        tensors: dict[str, NDArray[np.float32]] = {}
        for layer in self._in_order(root, layers):
            self._add_convolution(tensors, layer, layers[layer])
        if not tensors:
            raise self._error("it has no convolution: no layer with a four-dimensional dataset")
        return tensors

    def _error(self, what: str) -> WeightsError:
        return WeightsError(f"{self._path}: {what}.")

    def _root(self, file: Any) -> Any:
        for name in _ROOTS:
            if name in file.keys():  # noqa: SIM118 (`in file` would follow a link)
                found = self._member(file, name, ())
                if isinstance(found, self._h5py.Group):
                    return found
        return file

    def _datasets(self, group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Yield every dataset below `group`, with the names on the way to its group."""
        if len(path) > _MAX_DEPTH:
            raise self._error(f"its groups are nested more than {_MAX_DEPTH} deep")
        for name in group:
            self._members += 1
            if self._members > _MAX_MEMBERS:
                raise self._error(f"its groups have more than {_MAX_MEMBERS} members")
            if not path and name in _NOT_LAYERS:
                continue
            member = self._member(group, name, path)
            if isinstance(member, self._h5py.Group):
                yield from self._datasets(member, (*path, name))
            elif isinstance(member, self._h5py.Dataset):
                yield path, member

    def _member(self, group: Any, name: str, path: tuple[str, ...]) -> Any:
        link = group.get(name, getlink=True)
        if not isinstance(link, self._h5py.HardLink):
            raise self._error(
                f"{'/'.join((*path, name))!r} is a link ({type(link).__name__}), expected a group "
                "or a dataset; links are not followed"
            )
        return group[name]

    def _in_order(self, root: Any, layers: dict[str, list[Any]]) -> list[str]:
        """Return the names of `layers` in the order of the network."""
        listed = {name: rank for rank, name in enumerate(self._layer_names(root))}
        return sorted(layers, key=lambda name: (listed.get(name, len(listed)), _natural(name)))

    def _layer_names(self, root: Any) -> list[str]:
        if "layer_names" not in root.attrs:
            return []
        attribute = root.attrs.get_id("layer_names")
        if math.prod(attribute.shape) * attribute.dtype.itemsize > _MAX_ATTRIBUTE_BYTES:
            raise self._error("its attribute 'layer_names' is larger than any network's")
        # Strings of variable length, which Keras writes with h5py 3, lie in the global heap, where
        # a damaged size sends the C library into an endless loop: they are not read.
        if attribute.dtype.kind != "S":
            return []
        names = np.ravel(np.asarray(root.attrs["layer_names"]))
        return [name.decode(errors="replace") for name in names]

    def _add_convolution(
        self, tensors: dict[str, NDArray[np.float32]], layer: str, datasets: list[Any]
    ) -> None:
        kernels = [dataset for dataset in datasets if len(dataset.shape or ()) == 4]
        biases = [dataset for dataset in datasets if len(dataset.shape or ()) == 1]
        if not kernels:
            return
        if len(kernels) > 1 or len(biases) > 1:
            raise self._error(
                f"layer {layer!r} has {len(kernels)} kernels and {len(biases)} biases, expected "
                "one of each"
            )
        kernel = self._array(kernels[0])
        tensors[f"{layer}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        if biases:
            tensors[f"{layer}.bias"] = self._array(biases[0])

    def _array(self, dataset: Any) -> NDArray[np.float32]:
        """Return a dataset's values, after checking that the file itself has them all."""
        name, shape, dtype = dataset.name, dataset.shape, dataset.dtype
        storage, layouts = dataset.id.get_create_plist(), self._h5py.h5d
        if dtype.kind != "f" or dtype.itemsize not in _FLOAT_BYTES:
            raise self._error(f"dataset {name!r} is of type {dtype}, expected floats")
        if storage.get_layout() == layouts.VIRTUAL or storage.get_external_count():
            raise self._error(f"dataset {name!r} is stored in another file, which is not read")
        if storage.get_nfilters():
            raise self._error(f"dataset {name!r} is compressed or filtered; Keras writes none so")
        size = math.prod(shape) * dtype.itemsize
        self._budget -= size
        if 0 in shape or self._budget < 0:
            raise self._error(
                f"dataset {name!r} of shape {shape} has {size} bytes, which the file has no room "
                "for"
                if size
                else f"dataset {name!r} of shape {shape} is empty"
            )
        with np.errstate(over="ignore", invalid="ignore"):  # `Model` refuses them later
            values: NDArray[np.float32] = dataset[()].astype(np.float32, copy=False)
        return values


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key by which ``conv2d_2`` comes before ``conv2d_10``."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]
