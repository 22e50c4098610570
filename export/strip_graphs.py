"""Graphs of one strip of one segment: forward with partial sums of the losses, and backward.

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
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import onnx

from impasto.export.backward import append_vjp
from impasto.export.encoder import Encoder, append_centred, append_layer
from impasto.export.graph import GraphBuilder
from impasto.export.guides import append_guided, layer_of
from impasto.export.losses.form import GRAM, Moment
from impasto.export.losses.moments import append_moments, append_style_cotangents
from impasto.export.losses.total_variation import append_total_variation
from impasto.export.lowerings import lowering
from impasto.export.strips import Rows, Segment, Strip
from impasto.export.torus import COLUMNS, wrap_convolutions

__all__ = ["build_strip_backward", "build_strip_forward"]


def build_strip_forward(
    encoder: Encoder,
    segment: Segment,
    strip: Strip,
    width: int,
    *,
    features: Collection[str] = (),
    grams: Collection[str] = (),
    sums: Collection[str] = (),
    squares: Collection[str] = (),
    contents: Collection[str] = (),
    signs: Collection[str] = (),
    guided: Collection[str] = (),
    content_guided: bool = False,
    output: bool = True,
    total_variation: bool = False,
    lowered_for: str = "portable",
    dtype: npt.DTypeLike = np.float32,
    wraps: bool = False,
) -> onnx.ModelProto:
    """Return the graph of the forward pass of one strip.

    Input ``input`` of shape (1, C, rows read, width): the image, RGB in 0-255, for the first
    segment, and the output of the one before for the others.

    Parameters
    ----------
    encoder : Encoder
    segment : Segment
    strip : Strip
        Of `segment`.
    width : int
        Columns of the segment's input.
    features : collection of str
        Layers of the segment whose owned rows are outputs ``features.<layer>``.
    grams : collection of str
        Terms whose product F Fᵀ over the owned rows, not divided by anything, is an output
        ``gram.<term>`` of shape (C, C).
    sums, squares : collection of str
        Terms whose channels' sums, and those of their squares, over the owned rows are outputs
        ``sum.<term>`` and ``square.<term>`` of shape (C).
    contents : collection of str
        Layers with an input ``content.<layer>``, the owned rows of the target P, and an output
        ``content_loss.<layer>``, Σ (F − P)² over them.
    guided : collection of str
        Those of `grams`, `sums` and `squares` with an input ``guide.<term>``, the owned rows of a
        guide.
    content_guided : bool
        Whether there is an input ``content_guide.<layer>`` for each of `contents`.
    signs : collection of str
        ReLUs with an output ``signs.<layer>``: 1 where the backward pass lets a cotangent through
        the ReLU and the max pooling that may follow, 0 elsewhere; owned rows.
    output : bool
        Whether the segment's output, owned rows, is an output ``output``.
    total_variation : bool
        Whether Σ (dx² + dy²) / 2 over the owned rows of the input is an output ``tv_loss``.
    lowered_for : str
        Name of the lowering.
    dtype : numpy dtype
        float32, or float64 to test against.
    wraps : bool
        Whether the first column follows the last. (Rows are the strip's affair.)
    """
    chosen = lowering(lowered_for)
    graph = GraphBuilder(dtype=dtype)
    image, values = _append_layers(graph, encoder, segment, strip, width)
    for name in features:
        _output_owned(graph, strip, name, values[name], f"features.{name}")
    kinds: dict[Moment, tuple[str, Collection[str]]] = {
        "products": ("gram", grams),
        "sums": ("sum", sums),
        "squares": ("square", squares),
    }
    for term in dict.fromkeys((*grams, *sums, *squares)):
        name = layer_of(term)
        channels = encoder.channels(name)
        with graph.scope(f"gram/{term}"):
            owned = _owned(graph, strip, name, values[name])
            guide = _guide(graph, f"guide.{term}", owned) if term in guided else None
            found = append_moments(
                graph,
                [moment for moment, (_, terms) in kinds.items() if term in terms],
                owned,
                guide,
                channels,
                channels_last=chosen.channels_last,
            )
        for moment, value in found.items():
            shape = (channels, channels) if moment == "products" else (channels,)
            graph.output(value, f"{kinds[moment][0]}.{term}", shape)
    for name in contents:
        owned = _owned(graph, strip, name, values[name])
        with graph.scope(f"content/{name}"):
            difference = graph.op("Sub", owned, _target(graph, name, owned), name="difference")
            if content_guided:
                guide = _guide(graph, f"content_guide.{name}", owned)
                difference = append_guided(graph, difference, guide)
            total = graph.op("ReduceSumSquare", difference, name="total", keepdims=0)
        graph.output(total, f"content_loss.{name}", ())
    for name in signs:
        with graph.scope(f"signs/{name}"):
            mask = _routing(graph, strip, segment, name, values)
        _output_owned(graph, strip, name, mask, f"signs.{name}")
    if total_variation:
        rows = _total_variation_rows(strip)
        with graph.scope("tv"):
            part = _rows(graph, image, rows, len(strip.read))
            closed = (COLUMNS,) if wraps else ()
            value = append_total_variation(graph, part, graph.constant(1.0, "one"), closed)
        graph.output(value, "tv_loss", ())
    if output:
        name = segment.output.name
        _output_owned(graph, strip, name, values[name], "output")
    if wraps:
        wrap_convolutions(graph, (COLUMNS,))
    return graph.build(f"impasto_strip_forward_{segment.index}", {"impasto.kind": "strip forward"})


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
        As for :func:`build_strip_forward`.
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
    lowered_for : str
        Name of the lowering.
    dtype : numpy dtype
    wraps : bool
        As for :func:`build_strip_forward`.
    """
    chosen = lowering(lowered_for)
    graph = GraphBuilder(dtype=dtype)
    image, values = _append_layers(graph, encoder, segment, strip, width)
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
    for term in styles:
        name = layer_of(term)
        with graph.scope(f"style/{term}"):
            owned = _owned(graph, strip, name, read[name])
            guide = _guide(graph, f"guide.{term}", owned) if term in guided else None
            seed = append_style_cotangents(
                graph,
                moments,
                term,
                owned,
                guide,
                encoder.channels(name),
                channels_last=chosen.channels_last,
            )
            seeds.setdefault(values[name], []).append(_with_halo(graph, strip, name, seed))
    for name in contents:
        seed = _content_cotangent(graph, strip, name, read[name], guided=content_guided)
        seeds.setdefault(values[name], []).append(seed)
    if total_variation:
        rows = _total_variation_rows(strip)
        with graph.scope("tv"):
            part = _rows(graph, image, rows, len(strip.read))
            closed = (COLUMNS,) if wraps else ()
            value = append_total_variation(graph, part, graph.input("tv_weight", ()), closed)
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
    _drop_unread_inputs(graph)
    metadata = {"impasto.kind": "strip backward", "impasto.lowering": lowered_for}
    return graph.build(f"impasto_strip_backward_{segment.index}", metadata)


def _append_layers(
    graph: GraphBuilder, encoder: Encoder, segment: Segment, strip: Strip, width: int
) -> tuple[str, dict[str, str]]:
    """Append the segment; return its input and every layer's output."""
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


def _rows(graph: GraphBuilder, value: str, rows: Rows, total: int) -> str:
    """Return the given rows of a value that has `total`."""
    if (rows.start, rows.stop) == (0, total):
        return value
    starts, ends = graph.constant([rows.start], "starts"), graph.constant([rows.stop], "ends")
    return graph.op("Slice", value, starts, ends, graph.constant([2], "row_axis"), name="rows")


def _owned(graph: GraphBuilder, strip: Strip, name: str, value: str) -> str:
    item = strip[name]
    return _rows(graph, value, item.owned.within(item.rows), len(item.rows))


def _output_owned(graph: GraphBuilder, strip: Strip, name: str, value: str, output: str) -> None:
    owned = _owned(graph, strip, name, value)
    graph.output(owned, output, graph.static_shape(owned) or ())


def _target(graph: GraphBuilder, name: str, owned: str) -> str:
    return graph.input(f"content.{name}", graph.static_shape(owned) or ())


def _guide(graph: GraphBuilder, name: str, owned: str) -> str:
    return graph.input(name, (1, 1, *(graph.static_shape(owned) or ())[2:]))


def _routing(
    graph: GraphBuilder, strip: Strip, segment: Segment, name: str, values: dict[str, str]
) -> str:
    """Return 1 where a ReLU's output is positive and, before a max pooling, its window's maximum.

    A max pooling of these 0s and 1s then has the same maxima in the same places, with the same
    ties, wherever a maximum is positive; and where it is not, the ReLU's mask is 0.
    """
    value = values[name]
    positive = graph.op("Greater", value, graph.constant(0.0, "zero"), name="positive")
    layers = segment.layers
    follows = layers[layers.index(strip[name].layer) + 1 :]
    mask = positive
    if follows and follows[0].kind == "max_pool":
        pool = follows[0]
        if (pool.kernel, pool.stride) != (2, 2) or pool.padding or pool.ceil:
            raise ValueError(f"{pool.name} overlaps: the signs of {name} do not tell its maxima.")
        pooled = values[pool.name]
        shape = graph.static_shape(value) or ()
        scales = graph.constant(np.array([1, 1, 2, 2], np.float32), "twice")
        up = graph.op(
            "Resize",
            pooled,
            "",
            scales,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
            name="upsampled",
        )
        height, width = (2 * side for side in (graph.static_shape(pooled) or ())[2:])
        missing = [shape[2] - height, shape[3] - width]
        if any(missing):  # an odd last row or column is in no window, and never a maximum
            pads = graph.constant([0, 0, 0, 0, 0, 0, *missing], "pads")
            up = graph.op("Pad", up, pads, graph.constant(-1.0, "never"), name="uncovered")
        largest = graph.op("Equal", value, up, name="largest")
        mask = graph.op("And", positive, largest, name="routed")
    return graph.op(
        "Where", mask, graph.constant(1.0, "one"), graph.constant(0.0, "zero"), name="flag"
    )


def _content_cotangent(
    graph: GraphBuilder, strip: Strip, name: str, value: str, *, guided: bool
) -> str:
    """Return c (F − P), or T² c (F − P), on the owned rows and 0 on the halo."""
    with graph.scope(f"content/{name}"):
        owned = _owned(graph, strip, name, value)
        difference = graph.op("Sub", owned, _target(graph, name, owned), name="difference")
        coefficient = graph.input(f"content_coefficient.{name}", ())
        if guided:
            guide = _guide(graph, f"content_guide.{name}", owned)
            difference = append_guided(graph, append_guided(graph, difference, guide), guide)
        seed = graph.op("Mul", difference, coefficient, name="seed")
        return _with_halo(graph, strip, name, seed)


def _with_halo(graph: GraphBuilder, strip: Strip, name: str, owned: str) -> str:
    item = strip[name]
    inside = item.owned.within(item.rows)
    pads = [0, 0, inside.start, 0, 0, 0, len(item.rows) - inside.stop, 0]
    if not any(pads):
        return owned
    return graph.op("Pad", owned, graph.constant(pads, "halo"), name="with_halo")


def _total_variation_rows(strip: Strip) -> Rows:
    """Return the owned rows of the image and the one below, as numbered within those read.

    The loss is a sum over the interior of what it is given: all rows but the last.
    """
    below = min(strip.owned.stop + 1, strip.read.stop)
    return Rows(strip.owned.start, below).within(strip.read)


def _read_instead(nodes: Iterable[onnx.NodeProto], names: dict[str, str]) -> None:
    for node in nodes:
        for index, value in enumerate(node.input):
            node.input[index] = names.get(value, value)


def _drop_unread_inputs(graph: GraphBuilder) -> None:
    """Leave out the inputs that nothing on the way to an output reads."""
    needed: set[str] = set(graph.outputs)
    for node in reversed(graph.nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
    graph.inputs = {name: value for name, value in graph.inputs.items() if name in needed}
