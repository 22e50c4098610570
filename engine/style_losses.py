"""Style losses of a whole picture from sums over it, with what its strips need to go back.

The numbers of the losses in `impasto.export.losses`, in float64, where the picture is computed in
strips. A loss L of P = F Fᵀ, the channels' sums s and their sums of squares q has the cotangent

    F̄ = (P̄ + P̄ᵀ) F + 2 q̄ ∘ F + s̄ 1ᵀ

so that a strip needs a matrix, a factor and a summand for each channel, and no more of the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.export.losses.form import Statistic
from impasto.export.losses.matrix_root import LEAST_SHARE

__all__ = ["PictureSums", "StyleTerm", "style_term"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PictureSums:
    """Sums over the cells of a feature map F of shape (C, n); None where a loss reads none.

    Parameters
    ----------
    cells : float
        n.
    products : ndarray of shape (C, C), optional
        F Fᵀ.
    sums, squares : ndarray of shape (C), optional
        Of each channel, and of its squares.
    """

    cells: float
    products: Floats | None = None
    sums: Floats | None = None
    squares: Floats | None = None


@dataclass(frozen=True)
class StyleTerm:
    """A loss and what its cotangent is made of.

    Parameters
    ----------
    loss : float
    coefficients : mapping of str to ndarray
        ``style_coefficient``, P̄ + P̄ᵀ of shape (C, C); ``style_scale``, 2 q̄, and ``style_shift``,
        s̄, of shape (C): those of the moments that the loss reads.
    """

    loss: float
    coefficients: Mapping[str, Floats]


def style_term(
    statistic: Statistic, found: PictureSums, target: Mapping[str, npt.NDArray[Any]], weight: float
) -> StyleTerm:
    """Return the style loss of one layer.

    Parameters
    ----------
    statistic : {"gram", "mean-variance", "covariance"}
    found : PictureSums
        Of the image.
    target : mapping of str to ndarray
        By the names of `impasto.export.losses.statistic.style_inputs`.
    weight : float
    """
    strength = 1.0 if statistic == "gram" else float(target["strength"])
    return _TERMS[statistic](found, target, weight * strength)


def _gram(found: PictureSums, target: Mapping[str, npt.NDArray[Any]], weight: float) -> StyleTerm:
    products = _given(found.products)
    elements = found.cells * len(products)
    difference = products / elements - target["gram"]
    per_element = weight / difference.size
    matrix = 4 * per_element / elements * difference
    loss = per_element * float(np.sum(difference**2))
    return StyleTerm(loss, {"style_coefficient": matrix})


def _mean_variance(
    found: PictureSums, target: Mapping[str, npt.NDArray[Any]], weight: float
) -> StyleTerm:
    n, sums, squares = found.cells, _given(found.sums), _given(found.squares)
    per_channel = weight / len(sums)
    mean = sums / n
    plain = squares / n - mean**2
    deviation = np.sqrt(np.maximum(plain, 0) + float(target["ridge"]))
    shift, spread = mean - target["mean"], deviation - target["deviation"]
    loss = per_channel * float(np.sum(shift**2) + np.sum(spread**2))
    of_variance = np.where(plain > 0, per_channel * spread / deviation, 0.0)
    of_mean = 2 * per_channel * shift - 2 * of_variance * mean
    return StyleTerm(loss, {"style_scale": 2 * of_variance / n, "style_shift": of_mean / n})


def _covariance(
    found: PictureSums, target: Mapping[str, npt.NDArray[Any]], weight: float
) -> StyleTerm:
    n, sums, products = found.cells, _given(found.sums), _given(found.products)
    per_channel = weight / len(sums)
    mean, ridge = sums / n, float(target["ridge"])
    root = np.asarray(target["root"], np.float64)
    covariance = products / n - np.outer(mean, mean) + ridge * np.eye(len(sums))
    inner = root @ covariance @ root
    missing = LEAST_SHARE * float(np.trace(inner)) - ridge**2
    values, vectors = np.linalg.eigh((inner + inner.T) / 2 + max(missing, 0) * np.eye(len(sums)))
    roots = np.sqrt(np.maximum(values, np.finfo(np.float64).tiny))
    spread = float(np.trace(covariance) + np.sum(root**2) - 2 * np.sum(roots))
    shift = mean - target["mean"]
    loss = per_channel * (float(np.sum(shift**2)) + spread)
    # d tr Q^½ = ½ ⟨Q^{-½}, dQ⟩
    of_inner = (vectors / roots) @ vectors.T
    if missing > 0:
        of_inner = of_inner + LEAST_SHARE * np.trace(of_inner) * np.eye(len(sums))
    of_covariance = per_channel * (np.eye(len(sums)) - root @ of_inner @ root)
    of_mean = 2 * per_channel * shift - 2 * of_covariance @ mean
    return StyleTerm(loss, {"style_coefficient": 2 * of_covariance / n, "style_shift": of_mean / n})


_TERMS = {"gram": _gram, "mean-variance": _mean_variance, "covariance": _covariance}


def _given(value: Floats | None) -> Floats:
    assert value is not None, "the sums a statistic reads are those of LossForm.moments"
    return value
