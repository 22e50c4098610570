"""The terms of style transfer on small pictures, by the NumPy oracle."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy_network import NumpyNetwork, objective
from style_statistics import loss_of, target_of

from impasto.export.encoder import Encoder

CONTENT = ("relu4_2",)
STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
NIN = ("relu0", "relu3", "relu7", "relu12")

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
Layers = Collection[str]


def oracle_of(encoder: Encoder, wraps: bool = False) -> NumpyNetwork:
    layers: Any = encoder.layers  # the tables' own layers, seen through export's protocol
    preprocessing: Any = encoder.preprocessing
    return NumpyNetwork(layers, encoder.arrays, preprocessing, wraps=wraps)


def targets_for(
    encoder: Encoder, content: Layers, style: Layers, image: Array, statistic: str = "gram"
) -> Arrays:
    """Targets from the mirrored, darkened image: real features, none of them met."""
    values = oracle_of(encoder).forward(image[0, :, ::-1, ::-1] * 0.7)
    found: Arrays = {f"content.{name}": values[name][None] for name in content}
    for name in style:
        for kind, value in target_of(statistic, values[name]).items():
            found[_input(kind, name)] = value
    return {name: np.array(value, np.float32, order="C") for name, value in found.items()}


def _input(kind: str, layer: str) -> str:
    return f"style.{layer}" if kind == "gram" else f"style_{kind}.{layer}"


def evaluate_oracle(
    encoder: Encoder,
    content: Layers,
    style: Layers,
    image: Array,
    targets: Mapping[str, Array],
    weights: Mapping[str, float],
    statistic: str = "gram",
    wraps: bool = False,
    tv_norm: str = "squared",
    normalized: bool = False,
) -> tuple[dict[str, float], npt.NDArray[np.float64]]:
    """Return the weighted terms and the gradient, (3, H, W)."""

    def target(layer: str) -> Arrays:
        kinds = ("gram", "mean", "ridge", "strength", "deviation", "root")
        return {k: targets[_input(k, layer)] for k in kinds if _input(k, layer) in targets}

    return objective(
        oracle_of(encoder, wraps),
        image[0],
        {n: (weights[f"content_weight.{n}"], targets[f"content.{n}"][0]) for n in content},
        {n: (weights[f"style_weight.{n}"], target(n)) for n in style},
        weights["tv_weight"],
        partial(loss_of, statistic),
        tv_norm,
        normalized,
    )


def balanced_weights(
    encoder: Encoder,
    content: Layers,
    style: Layers,
    image: Array,
    targets: Mapping[str, Array],
    statistic: str = "gram",
    wraps: bool = False,
    tv_norm: str = "squared",
) -> dict[str, float]:
    """Return weights that make every term 1, so that none drowns the others."""
    ones = {f"content_weight.{n}": 1.0 for n in content}
    ones |= {f"style_weight.{n}": 1.0 for n in style} | {"tv_weight": 1.0}
    kind = statistic, wraps, tv_norm
    losses, _ = evaluate_oracle(encoder, content, style, image, targets, ones, *kind)
    return {weight: 1 / losses[weight.replace("_weight", "_loss")] for weight in ones}
