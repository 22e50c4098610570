"""Total variation loss: squared differences of neighbouring pixels."""

from __future__ import annotations

from collections.abc import Sequence

from impasto.export.graph import GraphBuilder
from impasto.export.torus import append_wrapped

__all__ = ["append_total_variation"]


def append_total_variation(
    graph: GraphBuilder, image: str, weight: str, closed: Sequence[int] = ()
) -> str:
    r"""Append :math:`\frac w2 \sum (x_{i,j}-x_{i,j+1})^2 + (x_{i,j}-x_{i+1,j})^2`.

    The sum runs over the channels and the interior, :math:`i < H-1` and :math:`j < W-1`.

    Parameters
    ----------
    graph : GraphBuilder
    image : str
        Of shape (1, 3, H, W).
    weight : str
        The scalar w.
    closed : sequence of int
        Axes, 2 for rows and 3 for columns, along which the last cell's neighbour is the first one;
        the interior reaches to the border there.

    Returns
    -------
    str
        The weighted loss, a scalar.

    Notes
    -----
    jcjohnson/neural-style adds the gradient of this sum and leaves its value out of the loss it
    reports, which a line search cannot use. Here value and gradient belong together. The stencil,
    the interior of (H-1)(W-1) pixels and the scale are the reference's.
    """
    for axis in closed:
        image = append_wrapped(graph, image, axis, 0, 1)
    axes = graph.constant([2, 3], "spatial_axes")

    def shifted(dy: int, dx: int) -> str:
        # Negative ends count from the far border, whatever the image's size.
        ends = graph.constant([dy - 1 or 2**62, dx - 1 or 2**62], "ends")
        starts = graph.constant([dy, dx], "starts")
        return graph.op("Slice", image, starts, ends, axes, name=f"shifted_{dy}{dx}")

    here = shifted(0, 0)
    squares = [
        graph.op(
            "ReduceSumSquare",
            graph.op("Sub", here, shifted(*step), name="difference"),
            name="sum_of_squares",
            keepdims=0,
        )
        for step in ((0, 1), (1, 0))
    ]
    half = graph.op("Mul", weight, graph.constant(0.5, "half"), name="half_weight")
    return graph.op("Mul", graph.op("Add", *squares, name="total"), half, name="loss")
