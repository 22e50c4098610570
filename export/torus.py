"""Networks on a torus: over a picture whose right side meets its left, and its bottom its top.

A convolution with a stride of 1 and (k - 1)/2 cells of padding on each side keeps the size of what
it reads. On a torus those cells are no zeros but the ones of the opposite border. Its
vector-Jacobian product is the convolution by the flipped and transposed weight, *on the torus as
well*, just as it is one with zeros where there were zeros. So a graph is made, and differentiated,
as if it were flat, and then :func:`wrap_convolutions` replaces the padding of every convolution
there is, forward and backward.

Poolings without overlap know no borders where they divide the sides; so the sides have to be
multiples of the network's total stride (:func:`total_stride`).
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

from impasto.export.encoder import LayerLike
from impasto.export.graph import GraphBuilder

__all__ = [
    "COLUMNS",
    "ROWS",
    "append_wrapped",
    "first_unwrappable",
    "total_stride",
    "wrap_convolutions",
]

ROWS, COLUMNS = 2, 3
"""Axes of a feature map of shape (1, C, h, w)."""

TO_THE_END = 2**62


def first_unwrappable(layers: Sequence[LayerLike]) -> LayerLike | None:
    """Return the first layer that a torus cannot have, or None.

    Those are convolutions that do not keep the size, and poolings that overlap or are padded.
    """
    for layer in layers:
        keeps_size = layer.stride == 1 and 2 * layer.padding == layer.kernel - 1
        divides = layer.stride == layer.kernel and layer.padding == 0
        fits = {"relu": True, "convolution": keeps_size}.get(layer.kind, divides)
        if not fits:
            return layer
    return None


def total_stride(layers: Sequence[LayerLike]) -> int:
    """Return the pixels of the picture per cell of the last feature map, along a side."""
    stride = 1
    for layer in layers:
        stride *= layer.stride
    return stride


def append_wrapped(graph: GraphBuilder, value: str, axis: int, before: int, after: int) -> str:
    """Append the last `before` cells in front of the first, and the first `after` behind the last.

    Parameters
    ----------
    graph : GraphBuilder
    value : str
        Of shape (1, C, h, w), of any size: the ends are counted from the border.
    axis : int
        2 for rows, 3 for columns.
    before, after : int
        At most the cells there are.
    """
    axes = graph.constant([axis], "axis")
    parts = [value]
    if before:
        starts, ends = graph.constant([-before], "starts"), graph.constant([TO_THE_END], "ends")
        parts.insert(0, graph.op("Slice", value, starts, ends, axes, name="from_the_end"))
    if after:
        starts, ends = graph.constant([0], "starts"), graph.constant([after], "ends")
        parts.append(graph.op("Slice", value, starts, ends, axes, name="from_the_start"))
    if len(parts) == 1:
        return value
    return graph.op("Concat", *parts, axis=axis, name="wrapped")


def wrap_convolutions(graph: GraphBuilder, axes: Sequence[int] = (ROWS, COLUMNS)) -> None:
    """Replace the padding of all convolutions by cells from the opposite border, in place.

    Parameters
    ----------
    graph : GraphBuilder
        Of convolutions that keep the size along `axes`, and their VJPs.
    axes : sequence of int
        Along which the picture is closed; the padding along the other stays zero.

    Raises
    ------
    ValueError
        If a padded convolution does not keep the size along an axis.
    """
    old, graph.nodes = graph.nodes, []
    for node in old:
        if node.op_type == "Conv":
            with graph.scope(node.name):
                _wrap(graph, node, axes)
        graph.nodes.append(node)


def _wrap(graph: GraphBuilder, node: onnx.NodeProto, axes: Sequence[int]) -> None:
    attributes = {each.name: each for each in node.attribute}
    if "pads" not in attributes:
        return
    pads = list(attributes["pads"].ints)
    kernel = list(attributes["kernel_shape"].ints)
    steps = [n for name in ("strides", "dilations") if name in attributes
             for n in attributes[name].ints]  # fmt: skip
    for axis in axes:
        side = axis - ROWS
        before, after = pads[side], pads[side + 2]
        if not before and not after:
            continue
        if set(steps) - {1} or before != after or before + after != kernel[side] - 1:
            raise ValueError(
                f"{node.name} has a kernel of {kernel} with padding {pads} and steps {steps}: it "
                "does not keep the size of what it reads, and so is none on a torus."
            )
        node.input[0] = append_wrapped(graph, node.input[0], axis, before, after)
        pads[side] = pads[side + 2] = 0
    node.attribute.remove(attributes["pads"])
    node.attribute.append(helper.make_attribute("pads", pads))
