"""Style loss: squared distance of Gram matrices."""

from __future__ import annotations

from impasto.export.graph import GraphBuilder
from impasto.export.sizes import element_count

__all__ = ["append_gram", "append_mixture", "append_products", "append_style_loss"]


def append_products(
    graph: GraphBuilder, features: str, channels: int, *, channels_last: bool = False
) -> str:
    r"""Append the products of all pairs of channels, :math:`F F^\top`, of shape (C, C).

    Parameters
    ----------
    graph : GraphBuilder
    features : str
        Feature map of shape (1, C, h, w), read as F of shape (C, h·w).
    channels : int
        C.
    channels_last : bool
        Compute it from the transpose of F, which a runtime that keeps feature maps with their
        channels last has at hand.
    """
    flat = _flat(graph, features, channels, channels_last)
    turned = graph.op("Transpose", flat, perm=[1, 0], name="flat_t")
    factors = (turned, flat) if channels_last else (flat, turned)
    return graph.op("MatMul", *factors, name="product")


def append_mixture(
    graph: GraphBuilder, coefficients: str, features: str, channels: int, *, channels_last: bool
) -> str:
    """Append S F, the channels mixed by a symmetric S of shape (C, C), in the features' shape.

    Parameters
    ----------
    graph : GraphBuilder
    coefficients : str
        S.
    features : str
        Of a known shape (1, C, h, w).
    channels : int
        C.
    channels_last : bool
        See :func:`append_products`.
    """
    flat = _flat(graph, features, channels, channels_last)
    shape = list(graph.static_shape(features) or ())
    if not channels_last:
        product = graph.op("MatMul", coefficients, flat, name="product")
        return graph.op("Reshape", product, graph.constant(shape, "shape"), name="mixture")
    product = graph.op("MatMul", flat, coefficients, name="product")
    batch, _, height, width = shape
    cells = graph.constant([batch, height, width, channels], "shape")
    last = graph.op("Reshape", product, cells, name="channels_last")
    return graph.op("Transpose", last, perm=[0, 3, 1, 2], name="mixture")


def _flat(graph: GraphBuilder, features: str, channels: int, channels_last: bool) -> str:
    """Return F of shape (C, h·w), or its transpose."""
    if not channels_last:
        return graph.op("Reshape", features, graph.constant([channels, -1], "shape"), name="flat")
    last = graph.op("Transpose", features, perm=[0, 2, 3, 1], name="channels_last")
    return graph.op("Reshape", last, graph.constant([-1, channels], "shape"), name="flat")


def append_gram(graph: GraphBuilder, features: str, channels: int) -> str:
    r"""Append the Gram matrix :math:`G = F F^\top / (C h w)`.

    Parameters
    ----------
    graph, features, channels
        As in :func:`append_products`.

    Returns
    -------
    str
        G, of shape (C, C).

    Notes
    -----
    Normalised by the number of elements, as jcjohnson/neural-style does; Gatys et al. (2015,
    equation 3) do not normalise G and divide in the loss.
    """
    product = append_products(graph, features, channels)
    return graph.op("Div", product, element_count(graph, features), name="gram")


def append_style_loss(
    graph: GraphBuilder, products: str, elements: str, target: str, weight: str, channels: int
) -> str:
    r"""Append :math:`w \cdot \frac1{C^2} \sum (G - A)^2` with :math:`G = F F^\top / n`.

    Parameters
    ----------
    graph : GraphBuilder
    products : str
        :math:`F F^\top` of the image, of shape (C, C); see :func:`append_products`.
    elements : str
        The scalar n = C h w.
    target : str
        Gram matrix A of the style, or a blend of several styles' matrices.
    weight : str
        The scalar w.
    channels : int
        C.

    Returns
    -------
    str
        The weighted loss, a scalar.

    Notes
    -----
    Computed as :math:`G - A = (F F^\top - n A) / n`: a product that is divided at once becomes, in
    OpenVINO 2026.4, a product with a divided copy of F, which is as large as the feature map.
    """
    scaled_target = graph.op("Mul", target, elements, name="scaled_target")
    scaled_difference = graph.op("Sub", products, scaled_target, name="scaled_difference")
    difference = graph.op("Div", scaled_difference, elements, name="difference")
    total = graph.op("ReduceSumSquare", difference, name="sum_of_squares", keepdims=0)
    mean_weight = graph.op(
        "Mul", weight, graph.constant(1.0 / channels**2, "per_element"), name="weight_per_element"
    )
    return graph.op("Mul", total, mean_weight, name="loss")
