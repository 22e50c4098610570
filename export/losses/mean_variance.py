"""Style loss on each channel's mean and standard deviation."""

from __future__ import annotations

from impasto.export.graph import GraphBuilder

__all__ = ["append_mean_variance_loss"]


def append_mean_variance_loss(
    graph: GraphBuilder,
    sums: str,
    squares: str,
    cells: str,
    *,
    mean: str,
    deviation: str,
    ridge: str,
    weight: str,
    channels: int,
) -> str:
    r"""Append :math:`w \cdot \frac1C \sum (\mu - \hat\mu)^2 + (\sigma - \hat\sigma)^2`.

    With :math:`\mu = s / n` and :math:`\sigma^2 = q / n - \mu^2 + \varepsilon`.

    Parameters
    ----------
    graph : GraphBuilder
    sums, squares : str
        s and q of the image, of shape (C); see `impasto.export.losses.moments`.
    cells : str
        The scalar n = h w.
    mean, deviation : str
        The target: the style's μ̂, and its σ̂ with the same ε in it, of shape (C).
    ridge : str
        The scalar ε > 0, below which variances do not count: the derivative of a square root has
        no bound at 0, where the channels of a flat picture are.
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
    The statistics of batch normalisation, with the distance of Li et al. (2017, "Demystifying
    neural style transfer", equation 12), who divide by C as well and have no ε. It is the squared
    2-Wasserstein distance of Gaussians whose channels do not depend on each other;
    `impasto.export.losses.covariance` is the same of those whose channels do.
    """
    found_mean = graph.op("Div", sums, cells, name="mean")
    raw = graph.op("Div", squares, cells, name="mean_square")
    squared = graph.op("Mul", found_mean, found_mean, name="squared_mean")
    # What rounding may leave below 0 is 0.
    variance = graph.op("Relu", graph.op("Sub", raw, squared, name="difference"), name="variance")
    found_deviation = graph.op(
        "Sqrt", graph.op("Add", variance, ridge, name="ridged"), name="deviation"
    )
    shift = graph.op("Sub", found_mean, mean, name="shift")
    spread = graph.op("Sub", found_deviation, deviation, name="spread")
    parts = [
        graph.op("ReduceSumSquare", part, name="sum_of_squares", keepdims=0)
        for part in (shift, spread)
    ]
    per_channel = graph.op(
        "Mul", weight, graph.constant(1.0 / channels, "per_channel"), name="weight_per_channel"
    )
    return graph.op("Mul", graph.op("Add", *parts, name="distance"), per_channel, name="loss")
