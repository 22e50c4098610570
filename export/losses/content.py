"""Content loss: mean squared distance of feature maps."""

from __future__ import annotations

from impasto.export.graph import GraphBuilder
from impasto.export.guides import append_guided
from impasto.export.sizes import element_count

__all__ = ["append_content_loss"]


def append_content_loss(
    graph: GraphBuilder, features: str, target: str, weight: str, guide: str | None = None
) -> str:
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
    guide : str, optional
        T, of shape (1, 1, h, w): the sum is then of :math:`T^2 \circ (F - P)^2`. It is still
        divided by N, so that what T leaves of a cell does not depend on the others.

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
    if guide is not None:
        difference = append_guided(graph, difference, guide)
    total = graph.op("ReduceSumSquare", difference, name="sum_of_squares", keepdims=0)
    mean_weight = graph.op("Div", weight, element_count(graph, features), name="weight_per_element")
    return graph.op("Mul", total, mean_weight, name="loss")
