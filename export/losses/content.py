"""Content loss: mean squared distance of feature maps."""

from __future__ import annotations

from impasto.export.graph import GraphBuilder
from impasto.export.sizes import element_count

__all__ = ["append_content_loss"]


def append_content_loss(graph: GraphBuilder, features: str, target: str, weight: str) -> str:
    r"""Append :math:`w \cdot \frac1N \sum (F - P)^2`, with :math:`N = C h w`.

    Parameters
    ----------
    graph : GraphBuilder
    features : str
        Feature map F of the image, of shape (1, C, h, w).
    target : str
        Feature map P of the content image, of the same shape.
    weight : str
        The scalar w.

    Returns
    -------
    str
        The weighted loss, a scalar.

    Notes
    -----
    Gatys et al. (2015, equation 1) take half the sum of squares; this is the mean, as
    jcjohnson/neural-style has it, so that the weight does not depend on the picture's size.
    """
    difference = graph.op("Sub", features, target, name="difference")
    total = graph.op("ReduceSumSquare", difference, name="sum_of_squares", keepdims=0)
    mean_weight = graph.op("Div", weight, element_count(graph, features), name="weight_per_element")
    return graph.op("Mul", total, mean_weight, name="loss")
