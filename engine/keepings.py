"""What may be kept between the passes of a picture in strips: the choices a plan has."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, zip_longest

from impasto.engine.backends.base import Precision
from impasto.engine.network import Network
from impasto.engine.streaming import Keeping
from impasto.export.strips import segments_of

__all__ = ["keepings"]

DEEPEST = 3
"""Segments at the end of which activations may be kept whole: 296 bytes a pixel for VGG-19."""


def keepings(network: Network, precision: Precision) -> Iterator[Keeping]:
    """Yield what may be kept between the passes, from nothing to much.

    The ReLUs of the deepest one, two and three segments, where a byte spares most arithmetic; but
    not those before a pooling, since with them nothing would be spared. Bits of every ReLU that no
    loss reads, and the content features beside them.

    In bfloat16 nothing: handing over float32 activations takes longer than computing them again
    (2048x2048, VGG-19: 1.68 seconds a megapixel with nothing kept, 1.82 and 2.03 with two and
    three segments); and the bits would say that no entry is its window's maximum, since OpenVINO
    compares the entry before rounding with the maximum after it (the probe shows a cosine of 0.54).
    """
    yield Keeping()
    if precision == "bf16":
        return
    deep: frozenset[str] = frozenset()
    for segment in reversed(segments_of(network.encoder.layers)[-DEEPEST:]):
        deep |= {
            layer.name
            for layer, following in zip_longest(segment.layers, segment.layers[1:])
            if layer.kind == "relu" and (following is None or following.kind == "convolution")
        }
        yield Keeping(features=deep)
    layers = network.encoder.layers
    relus = frozenset(layer.name for layer in layers if layer.kind == "relu")
    of_losses = {*network.content_layers, *network.style_layers}
    # A loss has its layer computed again, from the values of the layer before and not its bits.
    of_losses |= {relu.name for relu, pool in pairwise(layers) if pool.name in of_losses}
    contents = relus.intersection(network.content_layers)
    overlapping = any(
        layer.kind == "max_pool" and ((layer.kernel, layer.stride) != (2, 2) or layer.ceil)
        for layer in network.encoder.layers
    )
    if not overlapping:
        yield Keeping(signs=relus - of_losses)
        yield Keeping(features=contents, signs=relus - of_losses)
