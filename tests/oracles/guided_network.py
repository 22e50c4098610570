"""Guided losses in NumPy float64, from the formulas of docs/graph-contract.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy_network import NumpyNetwork, gram, objective
from pictures import photo
from streamed_networks import network_of
from style_cases import oracle_of

from impasto.engine.network import Network
from impasto.export.guides import Guides

F64 = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]

REGIONS = ("sky", "tower", "all")


def guided_objective(
    oracle: NumpyNetwork,
    network: Network,
    image: npt.NDArray[Any],
    targets: Arrays,
    weights: Mapping[str, float],
) -> tuple[dict[str, float], F64]:
    """Return the weighted terms, and the gradient of an image of shape (3, H, W)."""
    # What has no guide, by the oracle of everything else.
    losses, gradient = objective(oracle, image, {}, {}, weights["tv_weight"])
    values = oracle.values
    cotangents: dict[str, F64] = {}

    def add(layer: str, cotangent: F64) -> None:
        cotangents[layer] = cotangents.get(layer, 0) + cotangent

    for layer in network.content_layers:
        weight = weights[f"content_weight.{layer}"]
        difference = values[layer] - targets[f"content.{layer}"][0]
        square = targets[f"content_guide.{layer}"][0].astype(np.float64) ** 2
        losses[f"content_loss.{layer}"] = weight * float(np.mean(square * difference**2))
        add(layer, weight * 2 * square * difference / difference.size)
    for layer in network.style_layers:
        for region in network.guides.regions[layer]:
            term = f"{layer}.{region}"
            weight, guide = weights[f"style_weight.{term}"], targets[f"guide.{term}"][0]
            seen = guide.astype(np.float64) * values[layer]
            difference = gram(seen) - targets[f"style.{term}"]
            losses[f"style_loss.{term}"] = weight * float(np.mean(difference**2))
            flat = seen.reshape(len(seen), -1)
            factor = weight * 4 / (difference.size * seen.size)
            add(layer, guide * (factor * difference @ flat).reshape(seen.shape))
    return losses, gradient + oracle.backward(cotangents)


@dataclass(frozen=True)
class GuidedTask:
    """A network with regions, a picture, targets it does not meet, and the oracle's answer."""

    network: Network
    image: npt.NDArray[np.float32]
    targets: Mapping[str, npt.NDArray[np.float32]]
    weights: Mapping[str, float]
    losses: Mapping[str, float]
    gradient: F64


@cache
def guided_task(name: str, size: tuple[int, int]) -> GuidedTask:
    """Two or three regions a layer that overlap, with guides of any soft values."""
    plain = network_of(name)
    regions = {layer: REGIONS[: 2 + at % 2] for at, layer in enumerate(plain.style_layers)}
    network = Network(
        plain.encoder,
        plain.content_layers,
        plain.style_layers,
        Guides(regions, content=True),
    )
    image = photo(*size)
    oracle = oracle_of(network.encoder)
    features = oracle.forward(image[0, :, ::-1, ::-1] * 0.7)
    random = np.random.default_rng(11)
    targets: dict[str, npt.NDArray[Any]] = {}
    for layer in network.content_layers:
        targets[f"content.{layer}"] = features[layer][None]
        targets[f"content_guide.{layer}"] = random.random((1, 1, *features[layer].shape[1:]))
    for term in network.style_terms:
        layer = term.partition(".")[0]
        targets[f"style.{term}"] = gram(features[layer]) * (1 + random.random())
        cut = random.random((1, 1, *features[layer].shape[1:])) - 0.3
        targets[f"guide.{term}"] = 1.5 * np.maximum(0, cut)
    targets = {n: np.ascontiguousarray(v, np.float32) for n, v in targets.items()}
    weights = {f"content_weight.{n}": 1.0 for n in network.content_layers}
    weights |= {f"style_weight.{n}": 1.0 for n in network.style_terms} | {"tv_weight": 1.0}
    losses, _ = guided_objective(oracle, network, image[0], targets, weights)
    weights = {name: 1 / losses[name.replace("_weight", "_loss")] for name in weights}
    answer = guided_objective(oracle, network, image[0], targets, weights)
    return GuidedTask(network, image, targets, weights, *answer)
