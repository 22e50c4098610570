"""What one evaluation costs: multiplications, and the bytes of its tensors; counted, not measured.

`impasto.engine.footprint` turns bytes into memory and `impasto.engine.plan` work into time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from impasto.engine.network import Network
from impasto.engine.streaming import Keeping, Streaming
from impasto.export.encoder import LayerLike
from impasto.export.strips import Strip, segments_of, strip_kinds

__all__ = ["StripWork", "strip_work", "tensor_bytes", "weight_bytes", "whole_work"]

Size = tuple[int, int]
FLOAT = 4


@dataclass(frozen=True)
class StripWork:
    """What an evaluation in strips costs.

    Parameters
    ----------
    multiplications : float
        Of all convolutions, forward, again, and backward.
    parts : int
        Strips of one pass.
    stored_bytes : int
        Pooling outputs and kept activations.
    largest_part_bytes : int
        Tensors of the largest part: what its layers put out, half of it where the backward pass
        does not compute it again.
    moved_bytes : int
        Read from and written to what is stored.
    compiled_bytes : int
        Weights in all compiled parts, in float32: forward, again, and backward.
    """

    multiplications: float
    parts: int
    stored_bytes: int
    largest_part_bytes: int
    moved_bytes: int
    compiled_bytes: int


def tensor_bytes(network: Network, size: Size) -> int:
    """Return the bytes of all feature maps of convolutions and poolings, in float32.

    What an overlapping pooling reads counts twice: backward it is taken apart by window cells. So
    does what a guided loss reads, for each of its regions.
    """
    sizes = network.feature_sizes(size)
    copies = _guided_copies(network)
    total, before = 0, 0
    for layer in network.encoder.layers:
        here = FLOAT * _elements(layer, sizes)
        if layer.kind != "relu":
            total += here
        total += copies[layer.name] * here
        if layer.kind in ("max_pool", "average_pool") and layer.kernel > layer.stride:
            total += before
        before = here
    return total


def weight_bytes(network: Network) -> int:
    """Return the bytes of the convolutions' weights, in float32."""
    return _weight_bytes(network, network.encoder.layers)


def _weight_bytes(network: Network, layers: Sequence[LayerLike]) -> int:
    return sum(
        FLOAT * network.encoder.weight_count(layer.name)
        for layer in layers
        if layer.kind == "convolution"
    )


def whole_work(network: Network, size: Size) -> float:
    """Return the multiplications of an untiled evaluation: forward, and as many backward.

    Those of convolutions, and of the Gram matrices of regions.
    """
    sizes = network.feature_sizes(size)
    convolutions = sum(
        2.0 * _per_row(network, layer, sizes[layer.name][1]) * sizes[layer.name][0]
        for layer in network.encoder.layers
        if layer.kind == "convolution"
    )
    return convolutions + regions_work(network, size)


def regions_work(network: Network, size: Size) -> float:
    """Return the multiplications of the products of regions, forward and backward.

    One product a layer is left out, as it is where nothing is guided: beside the convolutions it
    is little.
    """
    sizes = network.feature_sizes(size)
    total = 0.0
    for name, regions in network.guides.regions.items():
        height, width = sizes[name]
        channels = float(network.encoder.channels(name))
        total += 2 * (len(regions) - 1) * channels**2 * height * width
    return total


def _guided_copies(network: Network) -> Counter[str]:
    """Return by layer how many copies of its features, times a guide, the losses read."""
    copies = Counter({name: len(all_) for name, all_ in network.guides.regions.items()})
    if network.guides.content:
        copies.update(network.content_layers)
    return copies


def strip_work(network: Network, size: Size, streaming: Streaming) -> StripWork:
    """Return what an evaluation in strips costs."""
    sizes = network.feature_sizes(size)
    segments = segments_of(network.encoder.layers)
    multiplications, parts, largest, compiled = 0.0, 0, 0, 0
    height = size[0]
    again = _computed_again(network, streaming.keeping)
    for_norms = _computed_for_norms(network, streaming.keeping)
    copies = _guided_copies(network)
    for segment, rows in zip(segments, streaming.rows, strict=True):
        weights = 2 * _weight_bytes(network, segment.layers) + sum(
            _weight_bytes(network, [layer for layer in segment.layers if layer.name in others])
            for others in (again, for_norms)
        )
        for strip, count in strip_kinds(segment, height, rows, network.wraps):
            compiled += weights
            parts += count
            multiplications += count * _strip_work(network, strip, sizes, again, for_norms)
            largest = max(largest, _part_bytes(strip, sizes, again, copies))
        height = sizes[segment.output.name][0]
    multiplications += regions_work(network, size)
    stored = 0
    for segment in segments[:-1]:
        stored += FLOAT * _elements(segment.output, sizes)
    kept = _kept_bytes(network, streaming.keeping, sizes)
    # Outputs are written, read twice, and read and written as cotangents; the kept once each way.
    # A pass for norms reads both once more.
    passes = network.form.normalized
    moved = (5 + passes) * stored + (2 + passes) * kept
    return StripWork(multiplications, parts, stored + kept, largest, moved, compiled)


def _elements(layer: LayerLike, sizes: Mapping[str, Size]) -> int:
    height, width = sizes[layer.name]
    return layer.out_channels * height * width


def _kept_bytes(network: Network, keeping: Keeping, sizes: Mapping[str, Size]) -> int:
    layers = {layer.name: layer for layer in network.encoder.layers}
    features = sum(FLOAT * _elements(layers[name], sizes) for name in keeping.features)
    signs = 0
    for name in keeping.signs - keeping.features:
        height, width = sizes[name]
        signs += layers[name].out_channels * height * -(-width // 8)
    return features + signs


def _per_row(network: Network, layer: LayerLike, width: int) -> float:
    """Return the multiplications of one row of a convolution's output."""
    return float(network.encoder.weight_count(layer.name)) * width


def _strip_work(
    network: Network,
    strip: Strip,
    sizes: Mapping[str, Size],
    again: frozenset[str],
    for_norms: frozenset[str],
) -> float:
    total = 0.0
    for item in strip.layers:
        layer = item.layer
        if layer.kind == "convolution":
            times = 2 + (layer.name in again) + (layer.name in for_norms)
            total += times * _per_row(network, layer, sizes[layer.name][1]) * len(item.rows)
            # Backward, a convolution computes the rows it has read: those of its padding more.
            extra = (layer.kernel - layer.stride) / layer.stride
            total += _per_row(network, layer, sizes[layer.name][1]) * max(0.0, extra)
    return total


def _computed_again(network: Network, keeping: Keeping) -> frozenset[str]:
    """Return the convolutions that the backward pass computes again."""
    of_losses = {*network.content_layers, *network.style_layers}
    found = set()
    for segment in segments_of(network.encoder.layers):
        value_needed = False
        for layer in reversed(segment.layers):
            if layer.kind == "relu":
                kept = layer.name in keeping.features
                signs = layer.name in keeping.signs
                value_needed = not kept and (value_needed or layer.name in of_losses or not signs)
            elif layer.kind == "convolution":
                if value_needed or layer.name in of_losses:
                    found.add(layer.name)
                    value_needed = True
            else:
                # A max pooling compares its input; its mask is in the signs of the ReLU before.
                value_needed = layer.name in of_losses
    return frozenset(found)


def _computed_for_norms(network: Network, keeping: Keeping) -> frozenset[str]:
    """Return the convolutions that the pass between the two computes again, if there is one."""
    if not network.form.normalized:
        return frozenset()
    of_losses = {*network.content_layers, *network.style_layers}
    found = set()
    for segment in segments_of(network.encoder.layers):
        value_needed = False
        for layer in reversed(segment.layers):
            value_needed = value_needed or layer.name in of_losses
            if layer.name in keeping.features:
                value_needed = False
            if layer.kind == "convolution" and value_needed:
                found.add(layer.name)
    return frozenset(found)


def _part_bytes(
    strip: Strip, sizes: Mapping[str, Size], again: frozenset[str], copies: Mapping[str, int]
) -> int:
    """Return the bytes of a part's feature maps; half of what is not computed again."""
    total = 0
    for item in strip.layers:
        row = FLOAT * item.layer.out_channels * sizes[item.layer.name][1]
        total += copies[item.layer.name] * row * len(item.owned)
        if item.layer.kind == "relu":
            continue
        each = row * len(item.rows)
        spared = item.layer.kind == "convolution" and item.layer.name not in again
        total += each // 2 if spared else each
    return total
