"""Turn a chain of layers and its weights into ONNX nodes.

`export` does not import `models`: it reads any object with the attributes of the protocols below,
so that a table, a test or another program can describe a network without sharing a base class.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from impasto.export.graph import GraphBuilder

__all__ = [
    "Arrays",
    "Encoder",
    "LayerLike",
    "PreprocessingLike",
    "append_centred",
    "append_encoder",
    "append_layer",
    "feature_size",
    "window_count",
]

Arrays = Mapping[str, npt.NDArray[Any]]


class LayerLike(Protocol):
    """A layer of a chain; `impasto.models.layer.Layer` is one."""

    @property
    def name(self) -> str:
        """Name of the layer, and of its output in the graph."""

    @property
    def kind(self) -> str:
        """``convolution``, ``relu``, ``max_pool`` or ``average_pool``."""

    @property
    def out_channels(self) -> int:
        """Channels of its output."""

    @property
    def kernel(self) -> int:
        """Side of the window."""

    @property
    def stride(self) -> int:
        """Step of the window."""

    @property
    def padding(self) -> int:
        """Padding on each side."""

    @property
    def ceil(self) -> bool:
        """Whether a last incomplete pooling window counts."""


class PreprocessingLike(Protocol):
    """What weights expect as input: ``(picture[channel_order] - mean) * scale``."""

    @property
    def channel_order(self) -> str:
        """``rgb`` or ``bgr``."""

    @property
    def mean(self) -> tuple[float, float, float]:
        """Per channel, in `channel_order`."""

    @property
    def scale(self) -> tuple[float, float, float]:
        """Per channel, in `channel_order`."""


@dataclass(frozen=True)
class Encoder:
    """A network that turns an image into feature maps: layers, weights, preprocessing.

    Parameters
    ----------
    name : str
        Written into the metadata of exported files.
    layers : sequence of LayerLike
        A chain that begins with a convolution over the 3 image channels.
    arrays : mapping of str to ndarray
        ``<layer>.weight`` of shape (out, in, kernel, kernel) and ``<layer>.bias`` of shape (out,)
        for every convolution.
    preprocessing : PreprocessingLike
        Applied inside the graph.
    """

    name: str
    layers: Sequence[LayerLike]
    arrays: Arrays
    preprocessing: PreprocessingLike

    def weight_count(self, layer: str) -> int:
        """Return the number of weights, biases aside, of the convolution called `layer`."""
        channels = 3
        for item in self.layers:
            if item.name == layer:
                return item.kernel**2 * channels * item.out_channels
            channels = item.out_channels
        raise ValueError(f"{self.name} has no layer {layer}.")

    def channels(self, layer: str) -> int:
        """Return the number of channels of the layer called `layer`."""
        (found,) = (item.out_channels for item in self.layers if item.name == layer)
        return found


def append_encoder(
    graph: GraphBuilder, encoder: Encoder, image: str, taps: Collection[str]
) -> dict[str, str]:
    """Append the encoder, up to the last of the layers `taps`.

    Parameters
    ----------
    graph : GraphBuilder
        Receives the nodes.
    encoder : Encoder
    image : str
        RGB in 0-255, of shape (1, 3, height, width).
    taps : collection of str
        Layers whose feature maps are wanted.

    Returns
    -------
    dict of str to str
        Feature map of each layer in `taps`, of shape (1, C, h, w).

    Raises
    ------
    ValueError
        If `taps` names a layer the encoder does not have, or an array is missing.
    """
    missing = set(taps) - {layer.name for layer in encoder.layers}
    if missing:
        raise ValueError(f"{encoder.name} has no layer {', '.join(sorted(missing))}.")
    value = append_centred(graph, encoder, image)
    found: dict[str, str] = {}
    for layer in encoder.layers:
        if len(found) == len(set(taps)):
            break
        value = append_layer(graph, encoder, layer, value)
        if layer.name in taps:
            found[layer.name] = value
    return found


def append_centred(graph: GraphBuilder, encoder: Encoder, image: str) -> str:
    """Append what the first layer reads: the image less the mean colour."""
    return graph.op("Sub", image, _mean_rgb(graph, encoder.preprocessing), name="centred_image")


def append_layer(
    graph: GraphBuilder,
    encoder: Encoder,
    layer: LayerLike,
    value: str,
    rows_padded: tuple[int, int] | None = None,
) -> str:
    """Append one layer of the encoder and return its output.

    Parameters
    ----------
    graph : GraphBuilder
    encoder : Encoder
    layer : LayerLike
        One of the encoder's.
    value : str
        What it reads; for the first layer, :func:`append_centred`.
    rows_padded : (top, bottom), optional
        Padding above and below, where `value` is a strip of rows whose neighbours are missing. By
        default the layer's own on both sides.
    """
    if layer.kind == "relu":
        return graph.op("Relu", value, name=layer.name)
    top, bottom = rows_padded or (layer.padding, layer.padding)
    window: dict[str, Any] = {
        "kernel_shape": [layer.kernel] * 2,
        "strides": [layer.stride] * 2,
        "pads": [top, layer.padding, bottom, layer.padding],
    }
    if layer.kind == "convolution":
        return _convolution(graph, encoder, layer, value, window)
    op_type = {"max_pool": "MaxPool", "average_pool": "AveragePool"}[layer.kind]
    return graph.op(op_type, value, name=layer.name, ceil_mode=int(layer.ceil), **window)


def feature_size(layers: Sequence[LayerLike], height: int, width: int) -> tuple[int, int]:
    """Return (h, w) of the last feature map of a chain for an image of (height, width).

    A size below 1 means that the image is too small for the chain.
    """
    h, w = height, width
    for layer in layers:
        h, w = (window_count(layer, side) for side in (h, w))
    return h, w


def window_count(layer: LayerLike, side: int) -> int:
    """Return how many windows of `layer` lie along a side of `side` cells."""
    covered = side + 2 * layer.padding - layer.kernel
    if covered < 0 and not (layer.ceil and side > 0):
        return 0
    steps = -(-covered // layer.stride) if layer.ceil else covered // layer.stride
    # A last window that would begin outside the picture and its left padding does not count.
    if layer.ceil and steps * layer.stride >= side + layer.padding:
        steps -= 1
    return steps + 1


def _mean_rgb(graph: GraphBuilder, preprocessing: PreprocessingLike) -> str:
    mean = np.array(preprocessing.mean, graph.dtype)
    if preprocessing.channel_order == "bgr":
        mean = mean[::-1]
    return graph.constant(mean.reshape(1, 3, 1, 1), "mean_rgb")


def _convolution(
    graph: GraphBuilder, encoder: Encoder, layer: LayerLike, value: str, window: Mapping[str, Any]
) -> str:
    try:
        weight = encoder.arrays[f"{layer.name}.weight"]
        bias = encoder.arrays[f"{layer.name}.bias"]
    except KeyError as error:
        raise ValueError(f"{encoder.name} has no array {error}.") from error
    if layer.name == encoder.layers[0].name:
        weight = _reading_rgb(weight, encoder.preprocessing)
    return graph.op(
        "Conv",
        value,
        graph.constant(np.asarray(weight, graph.dtype), f"{layer.name}.weight"),
        graph.constant(np.asarray(bias, graph.dtype), f"{layer.name}.bias"),
        name=layer.name,
        **window,
    )


def _reading_rgb(
    weight: npt.NDArray[Any], preprocessing: PreprocessingLike
) -> npt.NDArray[np.float64]:
    """Fold channel order and scale into the first convolution.

    Both are linear and keep zero padding zero, so the convolution of the centred RGB image equals
    that of the preprocessed one. The mean cannot be folded: it would shift the padding.
    """
    scaled = weight.astype(np.float64) * np.array(preprocessing.scale).reshape(1, 3, 1, 1)
    step = -1 if preprocessing.channel_order == "bgr" else 1
    return np.asarray(scaled[:, ::step], np.float64)
