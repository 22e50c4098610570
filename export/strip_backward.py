"""The backward pass of one strip: the cotangents of what it owns, carried back to what it read."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import onnx

from impasto.export.backward import append_vjp
from impasto.export.encoder import Encoder
from impasto.export.graph import GraphBuilder
from impasto.export.guides import layer_of
from impasto.export.losses.form import GRAM, Moment, TvNorm
from impasto.export.losses.total_variation import append_total_variation
from impasto.export.lowerings import lowering
from impasto.export.strip_cotangents import append_loss_cotangents
from impasto.export.strip_graphs import (
    append_segment,
    drop_unread_inputs,
    rows_of,
    variation_rows,
)
from impasto.export.strips import Segment, Strip
from impasto.export.torus import COLUMNS, wrap_convolutions

__all__ = ["build_strip_backward"]


def build_strip_backward(
    encoder: Encoder,
    segment: Segment,
    strip: Strip,
    width: int,
    *,
    styles: Collection[str] = (),
    moments: Collection[Moment] = GRAM.moments,
    contents: Collection[str] = (),
    kept: Collection[str] = (),
    signs: Collection[str] = (),
    guided: Collection[str] = (),
    content_guided: bool = False,
    cotangent: bool = True,
    total_variation: bool = False,
    tv_norm: TvNorm = "squared",
    lowered_for: str = "portable",
    dtype: npt.DTypeLike = np.float32,
    wraps: bool = False,
) -> onnx.ModelProto:
    """Return the graph that carries a strip's cotangents back to the rows it has read.

    Output ``gradient`` of shape (1, C, rows read, width), to be added up over the strips. Inputs:

    ==============================  ============================================================
    ``input``                       the rows read; absent if every activation needed is kept
    ``cotangent``                   of the segment's output, owned rows; if `cotangent`
    ``style_coefficient.<term>``    S, (C, C), for each of `styles`, if `moments` has products
    ``style_scale.<term>``          a factor of each channel, (C), if it has squares
    ``style_shift.<term>``          a summand of each channel, (C), if it has sums
    ``guide.<term>``                owned rows of a guide, for each of `guided`
    ``content.<layer>``             P, owned rows, for each of `contents`
    ``content_coefficient.<layer>``  c, a scalar, for each of `contents`
    ``content_guide.<layer>``       owned rows of a guide, for each of `contents`, if guided
    ``kept.<layer>``                computed rows, for each of `kept` and `signs`
    ``tv_weight``                   a scalar, if `total_variation`
    ==============================  ============================================================

    Parameters
    ----------
    encoder, segment, strip, width
        As for `impasto.export.strip_forward.build_strip_forward`.
    styles, contents : collection of str
        Terms of the style losses and layers of the content losses in this segment.
    moments : collection of {"products", "sums", "squares"}
        What the style losses read of a layer.
    kept : collection of str
        ReLUs whose output was stored: it is read, and what led to it is not computed again.
    signs : collection of str
        ReLUs of which the 0s and 1s of the forward graph's ``signs.<layer>`` were stored. They
        serve its mask and the pooling's, which ask no more than which entries are positive and
        maximal. A loss or a convolution that needs the values still has them computed; a loss that
        reads the pooling makes them useless.
    guided : collection of str
        Those of `styles` that have a guide.
    content_guided : bool
        Whether the content losses have guides.
    cotangent : bool
        Whether something follows the segment.
    total_variation : bool
        Whether the total variation loss of the owned rows of the input takes part.
    tv_norm : {"squared", "l1"}
    lowered_for : str
        Name of the lowering.
    dtype : numpy dtype
    wraps : bool
        As for `impasto.export.strip_forward.build_strip_forward`.
    """
    chosen = lowering(lowered_for)
    graph = GraphBuilder(dtype=dtype)
    image, values = append_segment(graph, encoder, segment, strip, width)
    # A pooling of 0s and 1s has the maxima in the same places, but not the values a loss reads.
    of_losses = {*map(layer_of, styles), *contents}
    pooled = {
        relu.name
        for relu, pool in pairwise(segment.layers)
        if pool.kind == "max_pool" and pool.name in of_losses
    }
    signs = [name for name in signs if name not in pooled]
    read = {layer.name: values[layer.name] for layer in segment.layers if layer.name in of_losses}
    for name in (*kept, *signs):
        stored = graph.input(f"kept.{name}", graph.static_shape(values[name]) or ())
        if name in kept:
            read[name] = stored
    seeds: dict[str, list[str]] = {}
    if cotangent:
        last = values[segment.output.name]
        seeds[last] = [graph.input("cotangent", graph.static_shape(last) or ())]
    for name, seed in append_loss_cotangents(
        graph,
        encoder,
        strip,
        read,
        styles=styles,
        moments=moments,
        contents=contents,
        guided=guided,
        content_guided=content_guided,
        channels_last=chosen.channels_last,
    ):
        layer = layer_of(name.partition(".")[2])
        seeds.setdefault(values[layer], []).append(_with_halo(graph, strip, layer, seed))
    if total_variation:
        rows = variation_rows(strip)
        with graph.scope("tv"):
            part = rows_of(graph, image, rows, len(strip.read))
            closed = (COLUMNS,) if wraps else ()
            weight = graph.input("tv_weight", ())
            value = append_total_variation(graph, part, weight, closed, tv_norm)
        seeds[value] = [graph.constant(np.ones((), graph.dtype), "seed_cotangent")]
    summed = {
        value: parts[0] if len(parts) == 1 else graph.op("Sum", *parts, name=f"{value}__seed")
        for value, parts in seeds.items()
    }
    forward = list(graph.nodes)
    gradient = append_vjp(graph, summed, [image], chosen.rules)[image]
    # The products are differentiated as they were computed, and only then do the stored features
    # take the place of the computed ones; what nobody reads any more is left out of the model.
    masks = [*graph.nodes[len(forward) :], *(n for n in forward if n.op_type == "MaxPool")]
    _read_instead(masks, {values[name]: f"kept.{name}" for name in signs})
    _read_instead(graph.nodes, {values[name]: f"kept.{name}" for name in kept})
    if wraps:
        wrap_convolutions(graph, (COLUMNS,))
    chosen.finish(graph)
    graph.output(gradient, "gradient", graph.static_shape(image) or ())
    drop_unread_inputs(graph)
    metadata = {"impasto.kind": "strip backward", "impasto.lowering": lowered_for}
    return graph.build(f"impasto_strip_backward_{segment.index}", metadata)


def _with_halo(graph: GraphBuilder, strip: Strip, name: str, owned: str) -> str:
    """Append the rows of the layer `name` that are computed: `owned`, and 0 on the halo."""
    item = strip[name]
    inside = item.owned.within(item.rows)
    pads = [0, 0, inside.start, 0, 0, 0, len(item.rows) - inside.stop, 0]
    if not any(pads):
        return owned
    return graph.op("Pad", owned, graph.constant(pads, "halo"), name="with_halo")


def _read_instead(nodes: Iterable[onnx.NodeProto], names: dict[str, str]) -> None:
    for node in nodes:
        for index, value in enumerate(node.input):
            node.input[index] = names.get(value, value)
