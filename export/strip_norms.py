"""The pass between forward and backward: the norms of the losses' cotangents in one strip."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import onnx

from impasto.export.encoder import Encoder
from impasto.export.graph import GraphBuilder
from impasto.export.losses.form import Moment
from impasto.export.lowerings import lowering
from impasto.export.normalized import append_norm
from impasto.export.strip_cotangents import append_loss_cotangents
from impasto.export.strip_graphs import append_segment, drop_unread_inputs
from impasto.export.strips import Segment, Strip
from impasto.export.torus import COLUMNS, wrap_convolutions

__all__ = ["build_strip_norms"]


def build_strip_norms(
    encoder: Encoder,
    segment: Segment,
    strip: Strip,
    width: int,
    *,
    styles: Collection[str],
    moments: Collection[Moment],
    contents: Collection[str] = (),
    kept: Collection[str] = (),
    guided: Collection[str] = (),
    content_guided: bool = False,
    lowered_for: str = "portable",
    dtype: npt.DTypeLike = np.float32,
    wraps: bool = False,
) -> onnx.ModelProto:
    """Return the graph that adds up the absolute values of the losses' cotangents.

    Outputs ``norm.style.<term>`` and ``norm.content.<layer>``, scalars: sums over the rows of the
    loss's layer that the strip owns. Inputs are those of
    `impasto.export.strip_backward.build_strip_backward`, as far as they are needed.

    Parameters
    ----------
    encoder, segment, strip, width, lowered_for, dtype, wraps
        As for `impasto.export.strip_forward.build_strip_forward`.
    styles, moments, contents, guided, content_guided
        As for `impasto.export.strip_backward.build_strip_backward`.
    kept : collection of str
        ReLUs whose output was stored: it is read, and what led to it is not computed again.
    """
    chosen = lowering(lowered_for)
    graph = GraphBuilder(dtype=dtype)
    _, values = append_segment(graph, encoder, segment, strip, width)
    # Kept ones are read where something is computed from them, too.
    stored = {
        name: graph.input(f"kept.{name}", graph.static_shape(values[name]) or ()) for name in kept
    }
    replaced = {values[name]: value for name, value in stored.items()}
    for node in graph.nodes:
        node.input[:] = [replaced.get(value, value) for value in node.input]
    for name, cotangent in append_loss_cotangents(
        graph,
        encoder,
        strip,
        {**values, **stored},
        styles=styles,
        moments=moments,
        contents=contents,
        guided=guided,
        content_guided=content_guided,
        channels_last=chosen.channels_last,
    ):
        with graph.scope(name):
            norm = append_norm(graph, cotangent)
        graph.output(norm, f"norm.{name}", ())
    if wraps:
        wrap_convolutions(graph, (COLUMNS,))
    drop_unread_inputs(graph)
    metadata = {"impasto.kind": "strip norms", "impasto.lowering": lowered_for}
    return graph.build(f"impasto_strip_norms_{segment.index}", metadata)
