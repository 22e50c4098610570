"""Graphs of one strip of one segment: what the forward and the backward ones have in common.

Two passes over all strips give the gradient of the whole image's objective:

1. **Forward.** Every segment in turn, strip by strip: the segment's output, the strip's share of
   each Gram matrix (a sum over pixels) and of each content loss. Added up over the strips, these
   are the whole image's.
2. **Backward.** From the deepest segment to the first: now that the Gram matrices are known, the
   cotangent of a style layer's features is ``S F`` with one matrix S for the whole image, and that
   of a content layer's ``c (F - P)`` with one number c. A strip carries the cotangents of what it
   owns back to the rows it has read. Statistics with means have a summand a channel as well, and
   variances a factor a channel instead of S; `impasto.engine.style_losses` has their formulas.

With G = F Fᵀ / N, N = C h w, the losses of `impasto.export.gradient` have

=============  ======================================  =========================
style          w / C² · Σ (G − A)²                     S = 4 w / (C² N) (G − A)
content        w / N · Σ (F − P)²                      c = 2 w / N
=============  ======================================  =========================

A guide T (`impasto.export.guides`) puts T F in the place of F, cut by rows as F is: the cotangent
is ``T (S (T F))``, and ``T² c (F - P)`` that of a guided content layer. One layer may have several
style terms, each with a guide and a matrix S of its own; a *term* is a layer's name, or that of a
layer and a region.

Where the gradients of losses are normalised (`impasto.export.normalized`) there is a pass between
the two: with S and c known, it adds up the absolute values of each term's cotangent. Backward, S
and c are then the same divided by that norm.

`impasto.export.strip_forward`, `strip_norms` and `strip_backward` make the graphs.
"""

from __future__ import annotations

from impasto.export.encoder import Encoder, append_centred, append_layer
from impasto.export.graph import GraphBuilder
from impasto.export.strips import Rows, Segment, Strip

__all__ = [
    "append_segment",
    "drop_unread_inputs",
    "guide_rows",
    "owned_rows",
    "rows_of",
    "target_rows",
    "variation_rows",
]


def append_segment(
    graph: GraphBuilder, encoder: Encoder, segment: Segment, strip: Strip, width: int
) -> tuple[str, dict[str, str]]:
    """Append the layers of a strip.

    Parameters
    ----------
    graph : GraphBuilder
        Gets an input ``input`` of shape (1, C, rows read, width).
    encoder, segment, strip, width
        As for `impasto.export.strip_forward.build_strip_forward`.

    Returns
    -------
    image : str
        The input.
    values : dict of str to str
        Every layer's output, the rows that are computed.

    Raises
    ------
    ValueError
        If a layer's window cannot be run in strips.
    """
    first = segment.index == 0
    before = encoder.layers[encoder.layers.index(segment.layers[0]) - 1]
    channels = 3 if first else before.out_channels
    image = graph.input("input", (1, channels, len(strip.read), width))
    value = append_centred(graph, encoder, image) if first else image
    values = {}
    for item in strip.layers:
        value = append_layer(graph, encoder, item.layer, value, item.padded)
        values[item.layer.name] = value
    for item in strip.layers:
        shape = graph.static_shape(values[item.layer.name]) or ()
        if shape[2:3] != (len(item.rows),):
            raise ValueError(
                f"{item.layer.name} computes {shape[2:3]} rows of a strip where {len(item.rows)} "
                "were planned: its window cannot be run in strips."
            )
    return image, values


def rows_of(graph: GraphBuilder, value: str, rows: Rows, total: int) -> str:
    """Append the given rows of a value of shape (1, C, total, width)."""
    if (rows.start, rows.stop) == (0, total):
        return value
    starts, ends = graph.constant([rows.start], "starts"), graph.constant([rows.stop], "ends")
    return graph.op("Slice", value, starts, ends, graph.constant([2], "row_axis"), name="rows")


def owned_rows(graph: GraphBuilder, strip: Strip, name: str, value: str) -> str:
    """Append the rows a strip owns of the layer `name`, given those it computes."""
    item = strip[name]
    return rows_of(graph, value, item.owned.within(item.rows), len(item.rows))


def target_rows(graph: GraphBuilder, name: str, owned: str) -> str:
    """Declare the input ``content.<name>``: the target's rows in the place of `owned`."""
    return graph.input(f"content.{name}", graph.static_shape(owned) or ())


def guide_rows(graph: GraphBuilder, name: str, owned: str) -> str:
    """Declare the input `name`, a guide's rows in the place of `owned`."""
    return graph.input(name, (1, 1, *(graph.static_shape(owned) or ())[2:]))


def variation_rows(strip: Strip) -> Rows:
    """Return the owned rows of the image and the one below, as numbered within those read.

    The loss is a sum over the interior of what it is given: all rows but the last.
    """
    below = min(strip.owned.stop + 1, strip.read.stop)
    return Rows(strip.owned.start, below).within(strip.read)


def drop_unread_inputs(graph: GraphBuilder) -> None:
    """Leave out the inputs that nothing on the way to an output reads."""
    needed: set[str] = set(graph.outputs)
    for node in reversed(graph.nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
    graph.inputs = {name: value for name, value in graph.inputs.items() if name in needed}
