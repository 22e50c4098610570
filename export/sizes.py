"""Sizes of values as graph values: constants where the size is known, nodes where it is not."""

from __future__ import annotations

import math

from impasto.export.graph import GraphBuilder

__all__ = ["cell_count", "element_count"]


def element_count(graph: GraphBuilder, value: str) -> str:
    """Return the number of elements of `value` as a real scalar."""
    dims = graph.static_shape(value)
    if dims is not None:
        return graph.constant(float(math.prod(dims)), "element_count")
    size = graph.op("Size", value, name="size")
    return graph.op("CastLike", size, graph.constant(1.0, "one"), name="element_count")


def cell_count(graph: GraphBuilder, features: str, channels: int) -> str:
    """Return the number of cells h w of a feature map (1, C, h, w) as a real scalar."""
    dims = graph.static_shape(features)
    if dims is not None:
        return graph.constant(float(math.prod(dims[2:])), "cell_count")
    elements = element_count(graph, features)
    return graph.op("Div", elements, graph.constant(float(channels), "channels"), name="cell_count")
