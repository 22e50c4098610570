"""Total variation loss: squared or absolute differences of neighbouring pixels."""

from __future__ import annotations

from collections.abc import Sequence

from impasto.export.graph import GraphBuilder
from impasto.export.losses.form import TvNorm
from impasto.export.torus import append_wrapped

__all__ = ["append_total_variation"]


def append_total_variation(
    graph: GraphBuilder,
    image: str,
    weight: str,
    closed: Sequence[int] = (),
    norm: TvNorm = "squared",
) -> str:
    r"""Append :math:`\frac w2 \sum (x_{i,j}-x_{i,j+1})^2 + (x_{i,j}-x_{i+1,j})^2`.

    Or, with the norm ``l1``, :math:`w \sum |x_{i,j}-x_{i,j+1}| + |x_{i,j}-x_{i+1,j}|`. The
    sum runs over the channels and the interior, :math:`i < H-1` and :math:`j < W-1`.

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
    norm : {"squared", "l1"}
        What is added up.

    Returns
    -------
    str
        The weighted loss, a scalar.

    Notes
    -----
    jcjohnson/neural-style adds the gradient of this sum and leaves its value out of the loss it
    reports, which a line search cannot use. Here value and gradient belong together. The stencil,
    the interior of (H-1)(W-1) pixels and the scale are the reference's.

    The absolute values are those of ProGamerGov/neural-style-pt, whose sum also has the differences
    along the last row and the last column. (Rudin, Osher and Fatemi 1992 have the absolute value of
    the gradient as a vector, which does not prefer the axes.) They pull with the same force at a
    faint difference as at an edge, so they make flat areas and leave edges. Where neighbours are
    equal the derivative is taken to be 0, so that flat areas stay as they are.
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
    differences = [
        graph.op("Sub", here, shifted(*step), name="difference") for step in ((0, 1), (1, 0))
    ]
    if norm == "l1":
        sums = [
            graph.op("ReduceSum", graph.op("Abs", each, name="magnitude"), name="sum", keepdims=0)
            for each in differences
        ]
        return graph.op("Mul", graph.op("Add", *sums, name="total"), weight, name="loss")
    squares = [
        graph.op("ReduceSumSquare", each, name="sum_of_squares", keepdims=0) for each in differences
    ]
    half = graph.op("Mul", weight, graph.constant(0.5, "half"), name="half_weight")
    return graph.op("Mul", graph.op("Add", *squares, name="total"), half, name="loss")
