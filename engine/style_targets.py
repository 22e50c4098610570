"""Targets of the style losses, from what the feature graph tells of the style pictures.

Of every style picture its Gram matrices are kept and, for the statistics that need them, its
channels' means. Both are means over cells, so that their weighted means are those of a picture made
of all the styles' cells: several styles blend into one target whatever the statistic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from impasto.engine.backends.base import FloatArray
from impasto.engine.network import Network
from impasto.export.losses.form import Statistic

__all__ = [
    "STRENGTHS",
    "mean_layers",
    "raw_names",
    "raw_shapes",
    "style_targets",
    "targets_of_term",
]

Floats = npt.NDArray[np.float64]
Arrays = Mapping[str, FloatArray]

COVARIANCE_RIDGE = 5e-3
"""Variance that is added to every channel, as a share of the style's largest eigenvalue: what
float32 can take roots of (the least eigenvalue is then 25 times the bound that
`impasto.export.losses.matrix_root` sets)."""

VARIANCE_RIDGE = 1e-3
"""The same for variances alone, as a share of their mean."""

ROUNDING = 1e-5
"""The least of either, as a share of the largest or mean square: a variance is a difference of
means of squares, which float32 rounds."""

SMALLEST = 1e-6
"""The least of all, for black pictures."""

STRENGTHS: Mapping[Statistic, float] = {"gram": 1.0, "mean-variance": 1.0, "covariance": 0.25}
"""Factors by the look of pictures: the distance of covariances counts small eigenvalues, which a
Gram matrix hardly shows, by their roots, and a photo lost its shapes by them."""


def mean_layers(network: Network) -> tuple[str, ...]:
    """Return the style layers whose means are needed beside the Gram matrices."""
    return network.style_layers if "sums" in network.form.moments else ()


def raw_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Return what is computed of a style picture: Gram matrices by layer, ``mean.<layer>``."""
    channels = network.encoder.channels
    shapes: dict[str, tuple[int, ...]] = {
        name: (channels(name),) * 2 for name in network.style_layers
    }
    return shapes | {f"mean.{name}": (channels(name),) for name in mean_layers(network)}


def raw_names(network: Network, layer: str) -> tuple[str, ...]:
    """Return the names of a layer's `raw_shapes`."""
    return (layer, f"mean.{layer}") if layer in mean_layers(network) else (layer,)


def style_targets(
    statistic: Statistic, terms: Iterable[str], pictures: Sequence[Arrays], shares: Sequence[float]
) -> dict[str, FloatArray]:
    """Return the target inputs of the style losses.

    Parameters
    ----------
    statistic : {"gram", "mean-variance", "covariance"}
    terms : iterable of str
        Names of the losses: layers, or layers and regions.
    pictures : sequence of mapping of str to ndarray
        Of every style picture the Gram matrices by term and, except for Gram matrices,
        ``mean.<term>``; see `raw_shapes`.
    shares : sequence of float
        What each counts; their sum is 1.

    Notes
    -----
    As in jcjohnson/neural-style, several styles make one target a layer: the weighted mean of
    their Gram matrices, each normalised by its own picture's size. For the other statistics
    crowsonkb/style-transfer-pytorch does the same with means and second moments.
    """
    found: dict[str, FloatArray] = {}
    for term in terms:
        gram = _mean_of([picture[term] for picture in pictures], shares)
        if statistic == "gram":
            found[f"style.{term}"] = np.asarray(gram, np.float32)
            continue
        mean = _mean_of([picture[f"mean.{term}"] for picture in pictures], shares)
        moments = len(gram) * gram
        if statistic == "mean-variance":
            made = _of_variances(mean, np.diagonal(moments))
        else:
            made = _of_covariance(mean, moments)
        made["strength"] = STRENGTHS[statistic] * _strength(gram)
        found |= {f"style_{n}.{term}": np.asarray(v, np.float32) for n, v in made.items()}
    return found


def targets_of_term(statistic: Statistic, targets: Arrays, term: str) -> dict[str, FloatArray]:
    """Return a term's style targets by the names of `impasto.export.losses.statistic`."""
    if statistic == "gram":
        return {"gram": targets[f"style.{term}"]}
    names = {"mean-variance": "deviation", "covariance": "root"}
    kinds = ("mean", "ridge", "strength", names[statistic])
    return {kind: targets[f"style_{kind}.{term}"] for kind in kinds}


def _strength(gram: Floats) -> Floats:
    r"""Return what makes a distance count as much as the difference of Gram matrices would.

    A Gram matrix is a square of features, and its loss a fourth power; the distances are squares.
    With the factor :math:`4 |A|^2 / (C^2 \operatorname{tr} A)`, A being the style's Gram matrix, an
    image whose moments are (1 + t) times the style's has the same loss with every statistic, to
    second order in t.
    """
    total = max(float(np.trace(gram)), SMALLEST)
    return np.array(4 * np.sum(gram**2) / (gram.size * total))


def _mean_of(arrays: Sequence[FloatArray], shares: Sequence[float]) -> Floats:
    pairs = zip(shares, arrays, strict=True)
    return np.asarray(sum(share * array.astype(np.float64) for share, array in pairs))


def _of_variances(mean: Floats, squares: Floats) -> dict[str, Floats]:
    variance = np.maximum(squares - mean**2, 0)
    ridge = max(VARIANCE_RIDGE * variance.mean(), ROUNDING * squares.mean(), SMALLEST)
    deviation = np.sqrt(variance + np.float64(np.float32(ridge)))
    return {"mean": mean, "deviation": deviation, "ridge": np.array(ridge)}


def _of_covariance(mean: Floats, moments: Floats) -> dict[str, Floats]:
    values, vectors = np.linalg.eigh(moments - np.outer(mean, mean))
    largest_square = float(np.linalg.eigvalsh(moments)[-1])
    ridge = max(COVARIANCE_RIDGE * float(values[-1]), ROUNDING * largest_square, SMALLEST)
    roots = np.sqrt(np.maximum(values, 0) + np.float64(np.float32(ridge)))
    root = (vectors * roots) @ vectors.T
    return {"mean": mean, "root": (root + root.T) / 2, "ridge": np.array(ridge)}
