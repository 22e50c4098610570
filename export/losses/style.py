"""Style loss: squared distance of Gram matrices."""

from __future__ import annotations

from impasto.export.graph import GraphBuilder
from impasto.export.sizes import element_count

__all__ = ["append_gram", "append_style_loss"]


def append_gram(graph: GraphBuilder, features: str, channels: int) -> str:
    r"""Append the Gram matrix :math:`G = F F^\top / (C h w)`.

    Parameters
    ----------
    graph : GraphBuilder
    features : str
        Feature map of shape (1, C, h, w), read as F of shape (C, h·w).
    channels : int
        C.

    Returns
    -------
    str
        G, of shape (C, C).

    Notes
    -----
    Normalised by the number of elements, as jcjohnson/neural-style does; Gatys et al. (2015,
    equation 3) do not normalise G and divide in the loss.
    """
    shape = graph.constant([channels, -1], "flat_shape")
    flat = graph.op("Reshape", features, shape, name="flat")
    product = graph.op(
        "MatMul", flat, graph.op("Transpose", flat, perm=[1, 0], name="flat_t"), name="product"
    )
    return graph.op("Div", product, element_count(graph, features), name="gram")


def append_style_loss(
    graph: GraphBuilder, gram: str, target: str, weight: str, channels: int
) -> str:
    r"""Append :math:`w \cdot \frac1{C^2} \sum (G - A)^2`.

    Parameters
    ----------
    graph : GraphBuilder
    gram : str
        Gram matrix G of the image, of shape (C, C).
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
    """
    difference = graph.op("Sub", gram, target, name="difference")
    total = graph.op("ReduceSumSquare", difference, name="sum_of_squares", keepdims=0)
    mean_weight = graph.op(
        "Mul", weight, graph.constant(1.0 / channels**2, "per_element"), name="weight_per_element"
    )
    return graph.op("Mul", total, mean_weight, name="loss")
