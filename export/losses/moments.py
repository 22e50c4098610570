"""Sums over the cells of a feature map, of which every style statistic is a function."""

from __future__ import annotations

from collections.abc import Collection

from impasto.export.graph import GraphBuilder
from impasto.export.guides import append_guided
from impasto.export.losses.form import Moment
from impasto.export.losses.style import append_mixture, append_products

__all__ = ["append_moments", "append_squares", "append_style_cotangents", "append_sums"]


def append_sums(graph: GraphBuilder, features: str, channels: int) -> str:
    r"""Append each channel's sum over the cells, :math:`s = F\,\mathbf 1`, of shape (C).

    Parameters
    ----------
    graph : GraphBuilder
    features : str
        Feature map of shape (1, C, h, w), read as F of shape (C, h·w).
    channels : int
        C.

    Notes
    -----
    Row by row, and then over the rows: a float32 sum of h·w numbers one after the other loses
    digits that the variance, a difference of two such sums, needs.
    """
    rows = graph.op("ReduceSum", features, _axes(graph, 3), name="sums_of_rows", keepdims=0)
    return _over_rows(graph, rows, channels, "sums")


def append_squares(graph: GraphBuilder, features: str, channels: int) -> str:
    r"""Append each channel's sum of squares, the diagonal of :math:`F F^\top`, of shape (C).

    Parameters
    ----------
    graph, features, channels
        As in :func:`append_sums`.
    """
    rows = graph.op(
        "ReduceSumSquare", features, _axes(graph, 3), name="squares_of_rows", keepdims=0
    )
    return _over_rows(graph, rows, channels, "squares")


def append_moments(
    graph: GraphBuilder,
    moments: Collection[Moment],
    features: str,
    guide: str | None,
    channels: int,
    *,
    channels_last: bool,
) -> dict[Moment, str]:
    r"""Append what a style loss reads of a feature map, or of the part of it that a guide tells.

    Parameters
    ----------
    graph : GraphBuilder
    moments : collection of {"products", "sums", "squares"}
    features : str
        Of shape (1, C, h, w).
    guide : str, optional
        T of shape (1, 1, h, w): a cell counts :math:`T^2` times in every moment.
    channels : int
        C.
    channels_last : bool
        See `impasto.export.losses.style.append_products`.
    """
    seen = features if guide is None else append_guided(graph, features, guide)
    found: dict[Moment, str] = {}
    if "products" in moments:
        found["products"] = append_products(graph, seen, channels, channels_last=channels_last)
    if "sums" in moments:
        twice = seen if guide is None else append_guided(graph, seen, guide)
        found["sums"] = append_sums(graph, twice, channels)
    if "squares" in moments:
        found["squares"] = append_squares(graph, seen, channels)
    return found


def append_style_cotangents(
    graph: GraphBuilder,
    moments: Collection[Moment],
    term: str,
    features: str,
    guide: str | None,
    channels: int,
    *,
    channels_last: bool,
) -> str:
    r"""Append a feature map's cotangent, and declare what it is made of.

    With the cotangents of the moments known, that of F is
    :math:`(\bar P + \bar P^\top) F + 2 \bar q \circ F + \bar s\,\mathbf 1^\top`: an input
    ``style_coefficient.<term>`` (C, C) for the first, ``style_scale.<term>`` (C) for the factor
    of the second, ``style_shift.<term>`` (C) for the third. With a guide T, F and 1 are T F and T,
    and the sum is T times that.

    Parameters
    ----------
    graph, moments, features, guide, channels, channels_last
        As in :func:`append_moments`; the features' shape is known.
    term : str
        For the inputs' names.
    """

    def of_channels(name: str) -> str:
        given = graph.input(f"{name}.{term}", (channels,))
        shape = graph.constant([1, channels, 1, 1], "shape")
        return graph.op("Reshape", given, shape, name=name)

    seen = features if guide is None else append_guided(graph, features, guide)
    parts = []
    if "products" in moments:
        coefficient = graph.input(f"style_coefficient.{term}", (channels, channels))
        parts.append(
            append_mixture(graph, coefficient, seen, channels, channels_last=channels_last)
        )
    if "squares" in moments:
        parts.append(graph.op("Mul", seen, of_channels("style_scale"), name="scaled"))
    if "sums" in moments:
        size = graph.constant(list(graph.static_shape(features) or ()), "size")
        shift = graph.op("Expand", of_channels("style_shift"), size, name="shifted")
        parts.append(shift if guide is None else append_guided(graph, shift, guide))
    total = parts[0] if len(parts) == 1 else graph.op("Sum", *parts, name="cotangent")
    return total if guide is None else append_guided(graph, total, guide)


def _over_rows(graph: GraphBuilder, rows: str, channels: int, name: str) -> str:
    total = graph.op("ReduceSum", rows, _axes(graph, 2), name=f"{name}_of_picture", keepdims=0)
    return graph.op("Reshape", total, graph.constant([channels], "shape"), name=name)


def _axes(graph: GraphBuilder, *axes: int) -> str:
    return graph.constant(list(axes), "axes")
