"""Linear colour transfer: the colours of one picture moved to the mean and covariance of another.

Gatys et al. (2016), "Preserving Color in Neural Artistic Style Transfer", arXiv:1606.05897,
section 2: every colour x becomes A x + b, with A and b such that the mean and the covariance over
all pixels are those of the other picture: A Σ Aᵀ = Σ' and b = μ' − A μ. That leaves A open up to a
rotation. The paper has two choices, and this is the one it takes from Image Analogies (Hertzmann et
al. 2001, appendix B): A = Σ'^½ Σ^−½ with symmetric square roots. The other, with Cholesky factors,
treats red, green and blue each in its own way: with the channels in another order it would give
another picture.

Colours are taken as they are stored, gamma-encoded sRGB from 0 to 255, as the paper's authors do
and as the network sees them; in linear light a few highlights would decide the covariance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from impasto.engine.depth import Depth, levels_in, unit_of
from impasto.engine.srgb import ByteArray, row_strips

__all__ = [
    "ColorMap",
    "ColorStatistics",
    "color_statistics",
    "linear_transfer",
    "match_colors",
    "mixed_statistics",
]

Doubles = npt.NDArray[np.float64]

LEAST_VARIANCE = 9.0
"""Of a direction in colour space that may be stretched freely, in squared levels of 0-255.

Paintings and photos have 15 to 300 in their weakest direction. A sepia JPEG has 1 and 6 in its two
weakest, which are the noise of its compression: stretched to the variance of a colourful picture,
that would become coloured blocks.
"""


@dataclass(frozen=True)
class ColorStatistics:
    """Mean and covariance of a picture's colours.

    Parameters
    ----------
    mean : ndarray of shape (3,)
        float64, in levels of 0-255, red first.
    covariance : ndarray of shape (3, 3)
        float64, over all pixels (divided by their number, not one less).
    """

    mean: Doubles
    covariance: Doubles


@dataclass(frozen=True)
class ColorMap:
    """The map of colours x to A x + b.

    Parameters
    ----------
    matrix : ndarray of shape (3, 3)
        A, float64.
    offset : ndarray of shape (3,)
        b, float64.
    """

    matrix: Doubles
    offset: Doubles

    def __call__(self, picture: npt.NDArray[Depth]) -> npt.NDArray[Depth]:
        """Return a picture with mapped colours, rounded and clipped to what is black and white.

        Done in strips: beside the two pictures there is no array of their size.

        Parameters
        ----------
        picture : ndarray of shape (H, W, 3)
            RGB, uint8 or uint16; left alone.
        """
        height, width, _ = picture.shape
        mapped = np.empty_like(picture)
        for rows in row_strips(height, width):
            colors = levels_in(picture[rows]) @ self.matrix.T
            colors += self.offset
            np.clip(colors, 0, 255, out=colors)
            colors *= unit_of(picture)
            mapped[rows] = np.rint(colors, out=colors)
        return mapped


def color_statistics(picture: npt.NDArray[Depth], mask: ByteArray | None = None) -> ColorStatistics:
    """Return the mean and covariance of the colours of a picture.

    Parameters
    ----------
    picture : ndarray of shape (H, W, 3)
        RGB, uint8 or uint16, not empty.
    mask : ndarray of shape (H, W), optional
        uint8: how much each pixel counts, not 0 everywhere; by default, all the same.

    Notes
    -----
    With 8 bits the sums are of whole numbers, and exact up to 10¹¹ pixels (with a mask, up to
    5 · 10⁸), in whatever order they are added.
    """
    height, width, _ = picture.shape
    total, products, count = np.zeros(3), np.zeros((3, 3)), 0.0
    for rows in row_strips(height, width):
        colors = levels_in(picture[rows].reshape(-1, 3))
        weighted = colors
        if mask is None:
            count += len(colors)
        else:
            weights = mask[rows].reshape(-1, 1).astype(np.float64)
            count += float(weights.sum())
            weighted = weights * colors
        total += weighted.sum(axis=0)
        products += weighted.T @ colors
    mean = total / count
    return ColorStatistics(mean, products / count - np.outer(mean, mean))


def mixed_statistics(
    pictures: Sequence[ColorStatistics], shares: Sequence[float]
) -> ColorStatistics:
    """Return the statistics of the colours of several pictures thrown together.

    Parameters
    ----------
    pictures : sequence of ColorStatistics
        At least one.
    shares : sequence of float
        How much of each; they sum to 1.

    Notes
    -----
    Σ s μ, and Σ s (Σ + μ μᵀ) less the outer product of that mean: as blended Gram matrices are the
    means of those of their styles, so are the second moments of colours.
    """
    mean = np.zeros(3)
    moments = np.zeros((3, 3))
    for share, each in zip(shares, pictures, strict=True):
        mean += share * each.mean
        moments += share * (each.covariance + np.outer(each.mean, each.mean))
    return ColorStatistics(mean, moments - np.outer(mean, mean))


def linear_transfer(source: ColorStatistics, target: ColorStatistics) -> ColorMap:
    """Return the map that gives colours of statistics `source` those of `target`.

    Before rounding and clipping, mean and covariance are then the target's, and the map is the
    identity where they agree already.

    Parameters
    ----------
    source, target : ColorStatistics

    Notes
    -----
    Deviation from the paper, which divides by the source's standard deviation in every direction
    and fails on grey pictures: here no direction counts for less than :data:`LEAST_VARIANCE`,
    unless it has even less in the target. So a grey picture stays a scale of one colour, a picture
    of one colour becomes the mean colour, and nothing is infinite.
    """
    variances, directions = np.linalg.eigh(source.covariance)
    wanted = np.einsum("ji,jk,ki->i", directions, target.covariance, directions)
    divisors = np.sqrt(np.maximum(variances, np.minimum(wanted, LEAST_VARIANCE)).clip(min=0))
    # Without variance here and there, the direction has nothing that could be stretched.
    empty = divisors < 1e-4
    gains = np.where(empty, 0, 1 / np.where(empty, 1, divisors))
    matrix = _square_root(target.covariance) @ (directions * gains) @ directions.T
    return ColorMap(matrix, target.mean - matrix @ source.mean)


def match_colors(picture: npt.NDArray[Depth], target: ByteArray) -> npt.NDArray[Depth]:
    """Return `picture` with the mean and covariance of the colours of `target`.

    Parameters
    ----------
    picture : ndarray of shape (H, W, 3)
        RGB, uint8 or uint16; left alone.
    target : ndarray of shape (h, w, 3)
        uint8 RGB, of any size.

    Returns
    -------
    ndarray of shape (H, W, 3)
        As `picture`. Clipping to 0-255 takes from the contrast of colours that would lie outside.
    """
    return linear_transfer(color_statistics(picture), color_statistics(target))(picture)


def _square_root(covariance: Doubles) -> Doubles:
    """Return the symmetric square root of a symmetric matrix without negative eigenvalues."""
    variances, directions = np.linalg.eigh(covariance)
    root: Doubles = (directions * np.sqrt(variances.clip(min=0))) @ directions.T
    return root
