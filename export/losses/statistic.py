"""The style loss of one layer in any of its forms: its targets, its sums, its loss."""

from __future__ import annotations

from collections.abc import Mapping

from impasto.export.graph import GraphBuilder
from impasto.export.losses.covariance import append_covariance_loss
from impasto.export.losses.form import MOMENTS, Statistic
from impasto.export.losses.mean_variance import append_mean_variance_loss
from impasto.export.losses.moments import append_moments
from impasto.export.losses.style import append_style_loss
from impasto.export.sizes import cell_count, element_count

__all__ = ["append_style_term", "style_inputs"]


def style_inputs(
    graph: GraphBuilder, statistic: Statistic, term: str, channels: int
) -> dict[str, str]:
    """Declare the inputs for a style term's targets, named as in docs/graph-contract.md.

    Returns
    -------
    dict of str to str
        The inputs, by the names under which `append_style_term` knows them.
    """
    if statistic == "gram":
        return {"gram": graph.input(f"style.{term}", (channels, channels))}
    mean = graph.input(f"style_mean.{term}", (channels,))
    ridge = graph.input(f"style_ridge.{term}", ())
    if statistic == "mean-variance":
        other = {"deviation": graph.input(f"style_deviation.{term}", (channels,))}
    else:
        other = {"root": graph.input(f"style_root.{term}", (channels, channels))}
    strength = graph.input(f"style_strength.{term}", ())
    return {"mean": mean, "ridge": ridge, "strength": strength, **other}


def append_style_term(
    graph: GraphBuilder,
    statistic: Statistic,
    features: str,
    guide: str | None,
    targets: Mapping[str, str],
    weight: str,
    channels: int,
    *,
    channels_last: bool,
) -> str:
    """Append the style loss of a feature map.

    Parameters
    ----------
    graph : GraphBuilder
    statistic : {"gram", "mean-variance", "covariance"}
    features : str
        Feature map of shape (1, C, h, w).
    guide : str, optional
        Of shape (1, 1, h, w); see `impasto.export.losses.moments.append_moments`.
    targets : mapping of str to str
        See :func:`style_inputs`.
    weight : str
        The scalar w.
    channels : int
        C.
    channels_last : bool
        See `impasto.export.losses.style.append_products`.

    Returns
    -------
    str
        The weighted loss, a scalar.
    """
    elements = element_count(graph, features)
    found = append_moments(
        graph, MOMENTS[statistic], features, guide, channels, channels_last=channels_last
    )
    if statistic == "gram":
        return append_style_loss(
            graph, found["products"], elements, targets["gram"], weight, channels
        )
    targets = dict(targets)
    weight = graph.op("Mul", weight, targets.pop("strength"), name="weight")
    cells = cell_count(graph, features, channels)
    if statistic == "mean-variance":
        return append_mean_variance_loss(
            graph,
            found["sums"],
            found["squares"],
            cells,
            **targets,
            weight=weight,
            channels=channels,
        )
    return append_covariance_loss(
        graph, found["sums"], found["products"], cells, **targets, weight=weight, channels=channels
    )
