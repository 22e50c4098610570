"""The forward pass of one strip: its output, and its share of what the losses add up."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import onnx

from impasto.export.encoder import Encoder
from impasto.export.graph import GraphBuilder
from impasto.export.guides import append_guided, layer_of
from impasto.export.losses.form import Moment, TvNorm
from impasto.export.losses.moments import append_moments
from impasto.export.losses.total_variation import append_total_variation
from impasto.export.lowerings import lowering
from impasto.export.strip_graphs import (
    append_segment,
    guide_rows,
    owned_rows,
    rows_of,
    target_rows,
    variation_rows,
)
from impasto.export.strips import Segment, Strip
from impasto.export.torus import COLUMNS, wrap_convolutions

__all__ = ["build_strip_forward"]


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
    tv_norm: TvNorm = "squared",
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
    tv_norm : {"squared", "l1"}
        Or Σ |dx| + |dy|, with ``l1``.
    lowered_for : str
        Name of the lowering.
    dtype : numpy dtype
        float32, or float64 to test against.
    wraps : bool
        Whether the first column follows the last. (Rows are the strip's affair.)
    """
    chosen = lowering(lowered_for)
    graph = GraphBuilder(dtype=dtype)
    image, values = append_segment(graph, encoder, segment, strip, width)
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
            owned = owned_rows(graph, strip, name, values[name])
            guide = guide_rows(graph, f"guide.{term}", owned) if term in guided else None
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
        owned = owned_rows(graph, strip, name, values[name])
        with graph.scope(f"content/{name}"):
            difference = graph.op("Sub", owned, target_rows(graph, name, owned), name="difference")
            if content_guided:
                guide = guide_rows(graph, f"content_guide.{name}", owned)
                difference = append_guided(graph, difference, guide)
            total = graph.op("ReduceSumSquare", difference, name="total", keepdims=0)
        graph.output(total, f"content_loss.{name}", ())
    for name in signs:
        with graph.scope(f"signs/{name}"):
            mask = _routing(graph, strip, segment, name, values)
        _output_owned(graph, strip, name, mask, f"signs.{name}")
    if total_variation:
        rows = variation_rows(strip)
        with graph.scope("tv"):
            part = rows_of(graph, image, rows, len(strip.read))
            closed = (COLUMNS,) if wraps else ()
            value = append_total_variation(graph, part, graph.constant(1.0, "one"), closed, tv_norm)
        graph.output(value, "tv_loss", ())
    if output:
        name = segment.output.name
        _output_owned(graph, strip, name, values[name], "output")
    if wraps:
        wrap_convolutions(graph, (COLUMNS,))
    return graph.build(f"impasto_strip_forward_{segment.index}", {"impasto.kind": "strip forward"})


def _output_owned(graph: GraphBuilder, strip: Strip, name: str, value: str, output: str) -> None:
    owned = owned_rows(graph, strip, name, value)
    graph.output(owned, output, graph.static_shape(owned) or ())


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
