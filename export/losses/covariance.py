"""Style loss on the channels' means and covariances: a Wasserstein distance."""

from __future__ import annotations

import numpy as np

from impasto.export.graph import GraphBuilder
from impasto.export.losses.matrix_root import LEAST_SHARE, append_trace, append_trace_of_root

__all__ = ["append_covariance_loss"]


def append_covariance_loss(
    graph: GraphBuilder,
    sums: str,
    products: str,
    cells: str,
    *,
    mean: str,
    root: str,
    ridge: str,
    weight: str,
    channels: int,
) -> str:
    r"""Append w / C times the squared 2-Wasserstein distance of two Gaussians.

    .. math:: |\mu - \hat\mu|^2 + \operatorname{tr}\left(\Sigma + \hat\Sigma
       - 2\,(\hat\Sigma^{1/2} \Sigma\, \hat\Sigma^{1/2})^{1/2}\right)

    With :math:`\mu = s/n` and :math:`\Sigma = F F^\top / n - \mu \mu^\top + \varepsilon I`.

    Parameters
    ----------
    graph : GraphBuilder
    sums, products : str
        s = F·1 and F Fᵀ of the image, of shapes (C) and (C, C).
    cells : str
        The scalar n = h w.
    mean, root : str
        The target: the style's μ̂, of shape (C), and the symmetric root of its Σ̂ with the same ε in
        it, of shape (C, C).
    ridge : str
        The scalar ε > 0: both pictures are compared as if noise of that variance were added to
        every channel. Without it the distance has no gradient where a covariance is singular, as
        it always is of fewer cells than channels.
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
    The distance is that of Olkin and Pukelsheim (1982), after Bures; as a style loss it is
    Mroueh's (2019, "Wasserstein style transfer") and crowsonkb/style-transfer-pytorch's, which
    divides by C as well. That adds 1e-4 of its own unit to both covariances and takes roots by
    twelve unscaled steps of Newton and Schulz, after which eigenvalues of less than some
    thousandths of the largest are too small. Here they are right down to the bound that follows,
    and so is the gradient.

    Where the image varies so much more than the style that the least eigenvalue would drown in
    rounding, it is raised to `LEAST_SHARE` of the trace:
    :math:`Q = M + \max(0,\, \eta \operatorname{tr} M - \varepsilon^2)\, I` with
    :math:`M = \hat\Sigma^{1/2} \Sigma\, \hat\Sigma^{1/2}`, whose eigenvalues are ε² or more.
    """
    found_mean = graph.op("Div", sums, cells, name="mean")
    column = graph.op("Reshape", sums, graph.constant([channels, 1], "column"), name="column")
    row = graph.op("Reshape", found_mean, graph.constant([1, channels], "row"), name="row")
    centred = graph.op("Sub", products, graph.op("Mul", column, row), name="centred")
    plain = graph.op("Div", centred, cells, name="plain")
    identity = graph.constant(np.eye(channels, dtype=graph.dtype), "identity")
    noise = graph.op("Mul", identity, ridge, name="noise")
    covariance = graph.op("Add", plain, noise, name="covariance")

    inner = graph.op("MatMul", graph.op("MatMul", root, covariance), root, name="inner")
    missing = graph.op(
        "Sub",
        graph.op("Mul", append_trace(graph, inner, channels), graph.constant(LEAST_SHARE, "eta")),
        graph.op("Mul", ridge, ridge, name="least"),
        name="missing",
    )
    raised = graph.op("Mul", identity, graph.op("Relu", missing), name="raised")
    common = append_trace_of_root(graph, graph.op("Add", inner, raised, name="ridged"), channels)

    both = graph.op(
        "Add",
        append_trace(graph, covariance, channels),
        graph.op("ReduceSumSquare", root, name="trace_of_target", keepdims=0),
        name="both",
    )
    twice = graph.op("Mul", common, graph.constant(2.0, "two"), name="twice")
    spread = graph.op("Sub", both, twice, name="spread")
    difference = graph.op("Sub", found_mean, mean, name="shift")
    shift = graph.op("ReduceSumSquare", difference, name="squared_shift", keepdims=0)
    per_channel = graph.op(
        "Mul", weight, graph.constant(1.0 / channels, "per_channel"), name="weight_per_channel"
    )
    return graph.op(
        "Mul", graph.op("Add", shift, spread, name="distance"), per_channel, name="loss"
    )
