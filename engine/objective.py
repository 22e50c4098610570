"""The objective of a run: image → loss and gradient, through a compiled gradient graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from impasto.engine.backends.base import CompiledGraph, FloatArray
from impasto.engine.network import Network
from impasto.engine.options import Options
from impasto.engine.style_targets import mean_layers, raw_names, style_targets
from impasto.export.guides import layer_of

__all__ = [
    "Blend",
    "Objective",
    "Targets",
    "TermedObjective",
    "blend",
    "blended",
    "contents_of",
    "grams_of",
    "targets_of",
    "weights_for",
]

Blend = Sequence[float] | Mapping[str, Sequence[float]]
"""Weights of the styles; by style term where they differ."""

Targets = Mapping[str, FloatArray]
"""``content.<layer>`` feature maps, ``style.<term>`` Gram matrices (or the targets of another
statistic, in docs/graph-contract.md), and the guides of those losses that have some:
``guide.<term>`` and ``content_guide.<layer>``."""


class TermedObjective(Protocol):
    """An objective that tells its terms: what a run minimises."""

    @property
    def losses(self) -> Mapping[str, float]:
        """Weighted terms of the last call; they add up to its loss."""

    def __call__(self, image: FloatArray, /) -> tuple[float, FloatArray]:
        """Return the loss and its gradient at `image`, of shape (1, 3, H, W).

        Whoever called may write to the gradient array; the next call overwrites it.
        """


class Objective:
    """Weighted sum of content, style and total variation losses, with its gradient.

    Parameters
    ----------
    graph : CompiledGraph
        A gradient graph (`impasto.export.build_gradient_graph`).
    targets : mapping of str to ndarray
        ``content.<layer>``, ``style.<term>``, and the guides if there are any.
    weights : mapping of str to ndarray
        ``content_weight.<layer>``, ``style_weight.<term>`` and ``tv_weight`` scalars.

    Attributes
    ----------
    evaluations : int
        Calls so far.
    losses : dict of str to float
        Weighted terms of the last call, by the graph's output names.
    """

    def __init__(self, graph: CompiledGraph, targets: Targets, weights: Targets) -> None:
        self._graph = graph
        graph.bind({**targets, **weights})
        self.evaluations = 0
        self.losses: dict[str, float] = {}

    def __call__(self, image: FloatArray) -> tuple[float, FloatArray]:
        """Return the loss and its gradient at `image`, of shape (1, 3, H, W).

        The gradient array belongs to the graph: the next call overwrites it.
        """
        outputs = self._graph.run({"image": image})
        self.evaluations += 1
        self.losses = {
            name: float(value)
            for name, value in outputs.items()
            if name not in ("loss", "gradient")
        }
        return float(outputs["loss"]), outputs["gradient"]


def weights_for(
    network: Network,
    options: Options,
    size: tuple[int, int],
    factors: Mapping[str, float] | None = None,
) -> dict[str, FloatArray]:
    """Return the weight inputs of the gradient graph.

    Parameters
    ----------
    network : Network
    options : Options
    size : (height, width)
        Of the image.
    factors : mapping of str to float, optional
        What multiplies the style weight in each style term; by default, what the options say of
        its layer.

    Notes
    -----
    With `Options.normalize_weights`, as in ProGamerGov/neural-style-pt: each is divided by the
    longest side of its target, which is C for a Gram matrix (C, C), and the largest of C, h and w
    for a feature map.
    """
    contents, styles = options.content_layer_weights, options.style_layer_weights
    factors = factors or {term: styles[layer_of(term)] for term in network.style_terms}
    channels, sizes = network.encoder.channels, network.feature_sizes(size)
    if options.normalize_weights:
        contents = {n: share / max(channels(n), *sizes[n]) for n, share in contents.items()}
        factors = {term: share / channels(layer_of(term)) for term, share in factors.items()}

    def scalar(value: float) -> FloatArray:
        return np.array(value, np.float32)

    content = {
        f"content_weight.{n}": scalar(options.content_weight * contents[n])
        for n in network.content_layers
    }
    style = {
        f"style_weight.{term}": scalar(options.style_weight * factors[term])
        for term in network.style_terms
    }
    return {**content, **style, "tv_weight": scalar(options.tv_weight)}


def targets_of(
    features: CompiledGraph,
    network: Network,
    content: FloatArray,
    styles: Sequence[FloatArray],
    blend_weights: Blend,
) -> dict[str, FloatArray]:
    """Compute the targets of a run with a compiled feature graph.

    Parameters
    ----------
    features : CompiledGraph
        A feature graph with ``features.<layer>`` for the content and ``gram.<layer>`` for the
        style layers, and ``mean.<layer>`` for those of `mean_layers`, of symbolic size.
    network : Network
    content : ndarray of shape (1, 3, H, W)
    styles : sequence of ndarray of shape (1, 3, h, w)
        Any sizes.
    blend_weights : sequence of float, or mapping of str to these
        One per style, or the same by style term; their sum need not be 1.

    Returns
    -------
    dict of str to ndarray
        ``content.<layer>``, and what `impasto.engine.style_targets` makes of the styles.
    """
    targets = contents_of(features, network, content)
    grams = [grams_of(features, network, style) for style in styles]
    return {**targets, **blended(network, grams, blend_weights)}


def contents_of(
    features: CompiledGraph, network: Network, content: FloatArray
) -> dict[str, FloatArray]:
    """Return ``content.<layer>`` of a picture, by a graph with ``features.<layer>``."""
    outputs = features.run({"image": content})
    return {
        f"content.{name}": outputs[f"features.{name}"].copy() for name in network.content_layers
    }


def grams_of(
    features: CompiledGraph, network: Network, style: FloatArray, guides: Targets | None = None
) -> dict[str, FloatArray]:
    """Return a picture's `style_targets.raw_shapes`, by a graph with ``gram.`` and ``mean.``.

    `guides` are those of a guided graph: ``guide.<layer>``.
    """
    outputs = features.run({"image": style, **(guides or {})})
    found = {name: outputs[f"gram.{name}"].copy() for name in network.style_layers}
    return found | {f"mean.{n}": outputs[f"mean.{n}"].copy() for n in mean_layers(network)}


def blended(
    network: Network, grams: Sequence[Targets], blend_weights: Blend
) -> dict[str, FloatArray]:
    """Return the style targets of several pictures, of each what `grams_of` returns."""
    found: dict[str, FloatArray] = {}
    for term in network.style_terms:
        weights = blend_weights[term] if isinstance(blend_weights, Mapping) else blend_weights
        layer = layer_of(term)
        pictures = [
            {name.replace(layer, term, 1): picture[name] for name in raw_names(network, layer)}
            for picture in grams
        ]
        shares = blend(weights, len(grams))
        found |= style_targets(network.form.statistic, [term], pictures, shares)
    return found


def blend(weights: Sequence[float], count: int) -> tuple[float, ...]:
    """Return `count` weights that sum to 1, or are all 0; none given means equal ones."""
    given = tuple(weights) or (1.0,) * count
    total = sum(given)
    return tuple(weight / total if total else 0.0 for weight in given)
