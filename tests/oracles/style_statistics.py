"""Style statistics in NumPy float64, from their formulas and by eigenvalues: the losses' oracle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy_network import F64, gram, gram_loss

Target = Mapping[str, F64]


def function_of(matrix: F64, function: Any) -> F64:
    values, vectors = np.linalg.eigh(matrix)
    result: F64 = (vectors * function(values)) @ vectors.T
    return result


def target_of(statistic: str, features: npt.NDArray[Any], ridge: float = 0) -> dict[str, F64]:
    """A layer's target inputs by their short names; `features` of shape (C, h, w).

    The ridge is by default a share of the variance, as in a run.
    """
    flat = np.asarray(features, np.float64).reshape(len(features), -1)
    if statistic == "gram":
        return {"gram": gram(flat)}
    ridge = ridge or 0.01 * float(flat.var(1).sum())
    shared = {"mean": flat.mean(1), "ridge": np.array(ridge), "strength": np.array(1.25)}
    if statistic == "mean-variance":
        return {**shared, "deviation": np.sqrt(flat.var(1) + ridge)}
    covariance = np.cov(flat, bias=True) + ridge * np.eye(len(flat))
    return {**shared, "root": function_of(covariance, np.sqrt)}


def loss_of(statistic: str, features: F64, target: Target) -> tuple[float, F64]:
    """The loss of weight 1, and its derivative with respect to the features."""
    if statistic == "gram":
        return gram_loss(features, target["gram"])
    target = {name: np.asarray(value, np.float64) for name, value in target.items()}
    flat = features.reshape(len(features), -1)
    channels, cells = flat.shape
    centred = flat - flat.mean(1, keepdims=True)
    shift = flat.mean(1) - target["mean"]
    ridge = float(target["ridge"])
    if statistic == "mean-variance":
        deviation = np.sqrt(flat.var(1) + ridge)
        spread = deviation - target["deviation"]
        distance = shift @ shift + spread @ spread
        of_spread = 2 * (spread / deviation)[:, None] * centred
    else:
        covariance = centred @ centred.T / cells + ridge * np.eye(channels)
        root = target["root"]
        inner = root @ covariance @ root
        common = function_of(inner, np.sqrt)
        distance = shift @ shift + np.trace(covariance + root @ root - 2 * common)
        # The optimal map from one Gaussian to the other (Olkin and Pukelsheim 1982).
        transport = root @ function_of(inner, lambda values: values**-0.5) @ root
        of_spread = 2 * (np.eye(channels) - transport) @ centred
    unit = float(target["strength"]) / channels
    cotangent = unit / cells * (2 * shift[:, None] + of_spread)
    return unit * float(distance), cotangent.reshape(features.shape)
