"""A network together with its weights, and how to get one by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from impasto.errors import WeightsError
from impasto.models.layer import Architecture, Preprocessing
from impasto.models.registry import ModelSpec, model_spec

__all__ = ["Model", "load_model"]

EMBEDDED = "embedded"


@dataclass(frozen=True)
class Model:
    """A network together with its weights.

    Parameters
    ----------
    spec : ModelSpec
        The registry's entry: provenance and licence.
    architecture : Architecture
        The network's layers.
    arrays : mapping of str to ndarray
        For every convolution ``<layer>.weight``, float32 of shape (output channels, input
        channels, kernel, kernel), a cross-correlation, and ``<layer>.bias``, float32 of shape
        (output channels,); C-contiguous.
    preprocessing : Preprocessing
        What the weights expect as input.
    source : str
        Where the arrays came from: ``embedded``, or the path of a file.

    Raises
    ------
    WeightsError
        If an array is missing or too many, or has another type or shape than its layer.
    """

    spec: ModelSpec
    architecture: Architecture
    arrays: Mapping[str, NDArray[np.float32]]
    preprocessing: Preprocessing
    source: str

    def __post_init__(self) -> None:
        if self.source == EMBEDDED:
            return  # checked by its reader, and expanded only when it is asked for
        checked = _validated(self.architecture, self.arrays, self.source)
        object.__setattr__(self, "arrays", MappingProxyType(checked))

    def arrays_of(self, layers: Collection[str]) -> Mapping[str, NDArray[np.float32]]:
        """Return the arrays of some layers, which need not keep those of the others in memory."""
        from impasto.models.weights.embedded import CodebookArrays

        if isinstance(self.arrays, CodebookArrays):
            return self.arrays.only(layers)
        return {
            name: array for name, array in self.arrays.items() if name.rpartition(".")[0] in layers
        }


def load_model(name: str, weights: Path | None = None) -> Model:
    """Return the model called `name`.

    Without `weights`, a model that is part of the package is read from it, and any other from the
    file that ``impasto fetch`` put into the cache.

    Parameters
    ----------
    name : str
        A name of the registry: ``vgg19``.
    weights : path, optional
        A weights file to read instead: PyTorch ``.pth``, ``.caffemodel``, ``.safetensors``, Keras
        ``.h5`` or ``.onnx``; its format is recognised by its content. `name` then says which
        network it is for *and* which input it expects, since no file says that itself: Oxford's
        weights in any format are ``vgg19``, those of torchvision or timm ``vgg19-torchvision``.
        A wrong choice between the two gives no error but a poor picture.

    Raises
    ------
    UnknownNameError
        If no model has this name.
    WeightsError
        If the file is missing, cannot be read or is of another network.
    """
    spec = model_spec(name)
    if weights is None and spec.embedded:
        return _embedded_model(spec)
    path = _fetched_file(spec) if weights is None else Path(weights)
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file for model {spec.name!r}.")
    return _model_from_file(spec, path)


# The readers are imported when they are needed: who only lists models, or paints with the embedded
# one, need not wait for them, nor have what they need.


def _embedded_model(spec: ModelSpec) -> Model:
    from impasto.models.weights.embedded import read_embedded

    arrays = read_embedded(spec.architecture, spec.filename)
    return Model(spec, spec.architecture, arrays, spec.preprocessing, EMBEDDED)


def _model_from_file(spec: ModelSpec, path: Path) -> Model:
    from impasto.models.weights import read_weights
    from impasto.models.weights.assign import assign_weights

    arrays = assign_weights(spec.architecture, read_weights(path), path)
    return Model(spec, spec.architecture, arrays, spec.preprocessing, str(path))


def _fetched_file(spec: ModelSpec) -> Path:
    from impasto.models.weights.cache import cached_file

    path = cached_file(spec)
    if not path.is_file():
        raise WeightsError(
            f"The weights of model {spec.name!r} are not here: {path} does not exist. "
            f"Get them with `impasto fetch {spec.name}` (from {' or '.join(spec.urls)}; licence: "
            f"{spec.licence}), or name a file you have with `--weights FILE`. "
            "The model 'vgg19' needs no download."
        )
    return path


def _validated(
    architecture: Architecture, arrays: Mapping[str, NDArray[np.float32]], source: str
) -> dict[str, NDArray[np.float32]]:
    """Return `arrays` in the order of the layers, contiguous, each as its layer has it."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in architecture.convolutions:
        kernel = (layer.kernel, layer.kernel)
        shapes[f"{layer.name}.weight"] = (layer.out_channels, layer.in_channels, *kernel)
        shapes[f"{layer.name}.bias"] = (layer.out_channels,)
    if missing := [key for key in shapes if key not in arrays]:
        raise WeightsError(f"{source}: no tensor for {missing[0]!r} of {architecture.name}.")
    if unknown := [key for key in arrays if key not in shapes]:
        raise WeightsError(f"{source}: {unknown[0]!r} is no tensor of {architecture.name}.")
    for key, shape in shapes.items():
        found = arrays[key]
        if found.dtype != np.float32 or found.shape != shape:
            raise WeightsError(
                f"{source}: tensor {key!r} is {found.dtype} of shape {found.shape}, expected "
                f"float32 of shape {shape}."
            )
        if not np.isfinite(found).all():
            raise WeightsError(f"{source}: tensor {key!r} holds values that are not finite.")
    return {key: np.ascontiguousarray(arrays[key]) for key in shapes}
