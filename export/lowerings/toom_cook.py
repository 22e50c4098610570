"""The three matrices of a one-dimensional Toom-Cook (Winograd) correlation, exactly.

Nothing here knows of graphs or layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np
import numpy.typing as npt

__all__ = ["Transforms", "toom_cook"]

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Transforms:
    """Matrices with y = output · ((filter · g) ⊙ (input · d)) for y_i = Σ_j g_j d_{i+j}.

    With m outputs, r taps and n = m + r − 1:

    Parameters
    ----------
    output : ndarray of shape (m, n)
        Aᵀ of Lavin and Gray (2016).
    filter : ndarray of shape (n, r)
        G.
    input : ndarray of shape (n, n)
        Bᵀ.
    """

    output: Matrix
    filter: Matrix
    input: Matrix

    def squared(self) -> Transforms:
        """Return those of the correlation in two dimensions, tiles and kernels read row by row.

        M d Mᵀ of a matrix d is (M ⊗ M) of its rows one after the other.
        """
        return Transforms(
            *(np.asarray(np.kron(m, m), np.float64) for m in (self.output, self.filter, self.input))
        )


def toom_cook(points: Sequence[Fraction], taps: int = 3) -> Transforms:
    r"""Return the transforms that evaluate at `points` and at infinity.

    The product of polynomials p and q of degrees m − 1 and r − 1 is interpolated from its values
    at n − 1 points and its leading coefficient; the correlation is the transpose of that linear
    map in p. So, with :math:`N_i = \prod_{k \ne i} (a_i - a_k)`,

    ======  =====================================================================================
    output  the powers :math:`a_i^j`; in the last column the leading coefficient
    filter  the powers :math:`a_i^j / N_i`; in the last row the leading coefficient
    input   the coefficients of :math:`\prod_{k \ne i} (x - a_k)`, and of :math:`\prod_k (x - a_k)`
    ======  =====================================================================================

    Parameters
    ----------
    points : sequence of Fraction
        The n − 1 finite points, all different. Points and their signs decide the rounding errors.
    taps : int
        r.

    Notes
    -----
    Computed in fractions and rounded to float64 once. Lavin and Gray (arXiv:1509.09308) take the
    points 0, ±1, ±2 for m = 4; signs and scales of rows may differ from theirs.
    """
    outputs = len(points) + 2 - taps
    norms = [prod((a - b for b in points if b != a), start=Fraction(1)) for a in points]
    powers = [[a**j for a in points] + [Fraction(j == outputs - 1)] for j in range(outputs)]
    scaled = [[a**j / norm for j in range(taps)] for a, norm in zip(points, norms, strict=True)]
    leading = [Fraction(j == taps - 1) for j in range(taps)]
    partial = [[*_from_roots([b for b in points if b != a]), Fraction(0)] for a in points]
    return Transforms(
        np.array(powers, np.float64),
        np.array([*scaled, leading], np.float64),
        np.array([*partial, _from_roots(points)], np.float64),
    )


def _from_roots(roots: Sequence[Fraction]) -> list[Fraction]:
    """Return the coefficients of Π (x − root), the constant one first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        scaled = [root * c for c in coefficients] + [Fraction(0)]
        coefficients = [a - b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients
