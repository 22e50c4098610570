"""What a network is: a list of layers, as data.

An :class:`Architecture` is the part of a network that style transfer uses: convolutions, ReLUs and
poolings in one chain. Weights are elsewhere (`impasto.models.weights`), and so is everything that
runs (`impasto.export` reads these tables through a protocol of its own, not through this module).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from impasto.errors import UnknownNameError

__all__ = ["Architecture", "Layer", "LayerKind", "PoolRounding", "Pooling", "Preprocessing"]

LayerKind = Literal["convolution", "relu", "max_pool", "average_pool"]
Pooling = Literal["max", "avg"]
PoolRounding = Literal["floor", "ceil"]


@dataclass(frozen=True)
class Layer:
    """One layer of a chain.

    Parameters
    ----------
    name : str
        Name by which the layer is addressed: ``conv4_2``, ``relu4_2``, ``pool4``.
    kind : {"convolution", "relu", "max_pool", "average_pool"}
        What the layer computes.
    in_channels, out_channels : int
        Channels read and written; equal unless the layer is a convolution.
    kernel, stride, padding : int
        Window side, step and zero padding, in pixels, the same in both directions.
        1, 1 and 0 for ``relu``. Average pooling does not count padding.
    ceil : bool
        For poolings: whether a last, incomplete window counts (Caffe) or not (PyTorch).
    """

    name: str
    kind: LayerKind
    in_channels: int
    out_channels: int
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    ceil: bool = False


@dataclass(frozen=True)
class Preprocessing:
    """What a set of weights expects as input, given an RGB picture in 0-255.

    ``network_input = (picture[channel_order] - mean) * scale``

    Parameters
    ----------
    channel_order : {"rgb", "bgr"}
        Order of the channels the first convolution reads.
    mean, scale : tuple of 3 float
        Per channel, in `channel_order`; the mean in 0-255 units.
    """

    channel_order: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Architecture:
    """A chain of layers with a name.

    Parameters
    ----------
    name : str
        ``vgg19``, ``vgg16`` or ``nin``.
    layers : tuple of Layer
        In the order they are computed.
    """

    name: str
    layers: tuple[Layer, ...]

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of every layer, in network order."""
        return tuple(layer.name for layer in self.layers)

    @property
    def convolutions(self) -> tuple[Layer, ...]:
        """The convolutions, in network order: the layers that have weights."""
        return tuple(layer for layer in self.layers if layer.kind == "convolution")

    def layer(self, name: str) -> Layer:
        """Return the layer called `name`.

        Raises
        ------
        UnknownNameError
            If there is none; the message lists those there are.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise UnknownNameError(f"{self.name} layer", name, self.layer_names)

    def in_order(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return `names` without repetitions in network order.

        The order the caller gave does not matter. (neural-style matches names with a pointer that
        only moves forward, so that one unknown or early name silently drops those after it.)

        Raises
        ------
        UnknownNameError
            If a name is not a layer of this architecture.
        """
        wanted = {self.layer(name).name for name in names}
        return tuple(name for name in self.layer_names if name in wanted)

    def truncated(self, names: tuple[str, ...]) -> Architecture:
        """Return the architecture up to the last of the layers `names`."""
        last = self.in_order(names)[-1]
        return replace(self, layers=self.layers[: self.layer_names.index(last) + 1])

    def with_pooling(
        self, pooling: Pooling | None = None, rounding: PoolRounding | None = None
    ) -> Architecture:
        """Return the architecture with its windowed poolings of another kind or rounding.

        Parameters
        ----------
        pooling : {"max", "avg"}, optional
            ``None`` keeps each pooling as it is.
        rounding : {"floor", "ceil"}, optional
            ``None`` keeps each pooling's own.
        """
        kinds: dict[str | None, LayerKind] = {"max": "max_pool", "avg": "average_pool"}

        def changed(layer: Layer) -> Layer:
            if layer.kind not in ("max_pool", "average_pool"):
                return layer
            return replace(
                layer,
                kind=kinds.get(pooling, layer.kind),
                ceil=layer.ceil if rounding is None else rounding == "ceil",
            )

        return replace(self, layers=tuple(changed(layer) for layer in self.layers))
