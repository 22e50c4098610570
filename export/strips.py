"""Strips: which rows of every layer belong together, so that a network can run part by part.

A chain of layers is cut into *segments*, one after every pooling. A segment runs over an image of
any height in *strips* of full width. A strip **owns** rows of the segment's output, and of every
layer inside; over all strips these are a partition. To compute the rows it owns it also computes
some that its neighbours own, the halo: one row for each 3x3 convolution that follows.

Forward this is plain. Backward it is exact because a vector-Jacobian product is linear in the
cotangents: a strip carries the cotangents of the rows it owns, and only those, back to every row
it has read, and the sum over the strips is the whole product. So the halo is that of one direction
only, and of one segment: 4 rows for four 3x3 convolutions, where a tile of the whole network needs
the receptive field, 156 pixels for relu5_1 of VGG-19.

Only integers here; `impasto.export.strip_graphs` makes the graphs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from impasto.export.encoder import LayerLike, window_count

__all__ = ["Rows", "Segment", "Strip", "StripLayer", "segments_of", "strip_kinds", "strips_of"]

POOLINGS = ("max_pool", "average_pool")


@dataclass(frozen=True)
class Rows:
    """Rows `start` to `stop`, the last not included."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def within(self, other: Rows) -> Rows:
        """Return these rows as numbered from the first of `other`."""
        return Rows(self.start - other.start, self.stop - other.start)

    def joined(self, other: Rows) -> Rows:
        """Return the least range that holds both."""
        return Rows(min(self.start, other.start), max(self.stop, other.stop))

    @property
    def slice(self) -> slice:
        """For indexing an array."""
        return slice(self.start, self.stop)


@dataclass(frozen=True)
class Segment:
    """Layers that run together: up to a pooling, or to the end of the chain.

    Parameters
    ----------
    index : int
        Its place in the chain.
    layers : tuple of LayerLike
    """

    index: int
    layers: tuple[LayerLike, ...]

    @property
    def output(self) -> LayerLike:
        """Its last layer."""
        return self.layers[-1]

    @property
    def stride(self) -> int:
        """Rows of its input per row of its output."""
        stride = 1
        for layer in self.layers:
            stride *= layer.stride
        return stride


@dataclass(frozen=True)
class StripLayer:
    """A layer within a strip. Rows are numbered over the whole feature map of the layer.

    Parameters
    ----------
    layer : LayerLike
    rows : Rows
        What is computed.
    owned : Rows
        The part of `rows` that no other strip owns.
    padded : (top, bottom)
        Rows of padding, where the feature map that the layer reads ends.
    """

    layer: LayerLike
    rows: Rows
    owned: Rows
    padded: tuple[int, int]


@dataclass(frozen=True)
class Strip:
    """A strip of a segment.

    Parameters
    ----------
    read : Rows
        Rows of the segment's input that it reads.
    owned : Rows
        Rows of the segment's input that it owns.
    layers : tuple of StripLayer
    """

    read: Rows
    owned: Rows
    layers: tuple[StripLayer, ...]

    @property
    def written(self) -> Rows:
        """Rows of the segment's output that it computes, all of them its own."""
        return self.layers[-1].rows

    def __getitem__(self, name: str) -> StripLayer:
        (found,) = (item for item in self.layers if item.layer.name == name)
        return found

    @property
    def shape(self) -> tuple[object, ...]:
        """What a graph for this strip depends on: strips of equal shape share one."""
        at = self.read.start
        rows: list[object] = [len(self.read), self.owned.start - at, self.owned.stop - at]
        for item in self.layers:
            owned = item.owned.within(item.rows)
            rows.append((len(item.rows), owned.start, owned.stop, item.padded))
        return tuple(rows)


def segments_of(layers: Sequence[LayerLike]) -> tuple[Segment, ...]:
    """Cut a chain after every pooling."""
    found: list[tuple[LayerLike, ...]] = []
    rest: list[LayerLike] = []
    for layer in layers:
        rest.append(layer)
        if layer.kind in POOLINGS:
            found.append(tuple(rest))
            rest = []
    if rest:
        found.append(tuple(rest))
    return tuple(Segment(index, part) for index, part in enumerate(found))


def strips_of(segment: Segment, height: int, rows: int, wraps: bool = False) -> tuple[Strip, ...]:
    """Cut a segment over an input of `height` rows into strips.

    At the ends of the picture a strip has padding and its graph is another than inside. So that
    these graphs need little memory, the first and the last strip are small where there are others:
    just so large that those inside touch no padding. Those inside are of equal height; the last
    strip also has what does not divide.

    Parameters
    ----------
    segment : Segment
    height : int
        Rows of the segment's input.
    rows : int
        About how many rows of the input a strip owns at most.
    wraps : bool
        Whether the first row follows the last. Then no strip has padding, and what strips read goes
        beyond the picture: rows -1 and `height` are the last and the first.
    """
    heights = _heights(segment, height)
    return tuple(
        _strip(segment, heights, owned, wraps) for owned in _owned(segment, heights, rows, wraps)
    )


def strip_kinds(
    segment: Segment, height: int, rows: int, wraps: bool = False
) -> list[tuple[Strip, int]]:
    """Return one strip of each kind that :func:`strips_of` returns, and how many there are.

    Those inside are all of one kind; so this takes the same time for any height. Only where the
    halo reaches from one end to the other they are not, and then they are few.
    """
    heights = _heights(segment, height)
    owned = _owned(segment, heights, rows, wraps)
    if len(owned) > 3:
        first, inside, before_last, last = (
            _strip(segment, heights, owned[at], wraps) for at in (0, 1, -2, -1)
        )
        if inside.shape == before_last.shape:
            return [(first, 1), (inside, len(owned) - 2), (last, 1)]
    strips = [_strip(segment, heights, each, wraps) for each in owned]
    counts = Counter(strip.shape for strip in strips)
    return [(strip, counts[shape]) for shape, strip in {s.shape: s for s in strips}.items()]


def _heights(segment: Segment, height: int) -> list[int]:
    heights = [height]
    for layer in segment.layers:
        heights.append(window_count(layer, heights[-1]))
    return heights


def _owned(segment: Segment, heights: Sequence[int], rows: int, wraps: bool) -> list[Rows]:
    """Return the rows of the output that each strip owns."""
    total = heights[-1]
    most = max(1, rows // segment.stride)
    count = -(-total // most)
    if count <= 2 or wraps:
        starts = list(range(0, total, -(-total // count)))
    else:
        edge = _edge(segment, heights, total)
        inside = total - 2 * edge
        step = -(-inside // max(1, -(-inside // most)))
        # What does not divide goes to the last strip, which is no larger than the others then.
        starts = [0, *range(edge, edge + inside // step * step + 1, step)]
    stops = [*starts[1:], total]
    return [Rows(*bounds) for bounds in zip(starts, stops, strict=True)]


def _edge(segment: Segment, heights: Sequence[int], total: int) -> int:
    """Return how many rows of the output lie between an end and a strip without padding."""
    for edge in range(1, total // 2):
        strip = _strip(segment, heights, Rows(edge, total - edge), wraps=False)
        if not any(any(item.padded) for item in strip.layers):
            return edge
    return 1


def _strip(segment: Segment, heights: Sequence[int], output: Rows, wraps: bool) -> Strip:
    """Walk back from the rows of the output that the strip owns."""
    found: list[StripLayer] = []
    owned = needed = output
    last = output.stop == heights[-1]
    for layer, above, below in zip(
        reversed(segment.layers), heights[-2::-1], heights[:0:-1], strict=True
    ):
        window, padded = _window(layer, needed, above, below, wraps)
        found.append(StripLayer(layer, needed, owned, padded))
        owned = Rows(
            min(owned.start * layer.stride, above),
            above if last else min(owned.stop * layer.stride, above),
        )
        # A layer's own rows may lie outside the next layer's windows: an odd last row, say.
        needed = window.joined(owned)
    return Strip(needed, owned, tuple(reversed(found)))


def _window(
    layer: LayerLike, rows: Rows, above: int, below: int, wraps: bool
) -> tuple[Rows, tuple[int, int]]:
    """Return the rows of the input that `rows` of the output read, and the padding around."""
    start = rows.start * layer.stride - layer.padding
    stop = (rows.stop - 1) * layer.stride - layer.padding + layer.kernel
    if wraps:
        return Rows(start, stop), (0, 0)
    at_end = rows.stop == below
    # At the end a ceil-mode window may hang over by more than the padding, as in the whole graph.
    bottom = layer.padding if layer.ceil and at_end else max(0, stop - above)
    return Rows(max(0, start), min(stop, above)), (max(0, -start), bottom)
