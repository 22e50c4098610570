"""The two-loop recursion of L-BFGS on dot products instead of vectors."""

from __future__ import annotations

import numpy as np

from impasto.engine.optimizers.vectors import Products

__all__ = ["two_loops"]


def two_loops(
    step_change: Products,
    change_change: Products,
    step_gradient: Products,
    change_gradient: Products,
    scale: float,
) -> tuple[Products, Products]:
    """Return a and b with H g = scale · g + Σ aᵢ sᵢ + Σ bᵢ yᵢ, of m pairs s, y from H₀ = scale · I.

    Parameters
    ----------
    step_change : ndarray of shape (m, m)
        sᵢ·yⱼ for i ≤ j, the oldest pair first; what is below the diagonal is not read.
    change_change : ndarray of shape (m, m)
        yᵢ·yⱼ.
    step_gradient, change_gradient : ndarray of shape (m,)
        sᵢ·g and yᵢ·g.
    scale : float

    Notes
    -----
    Nocedal and Wright (2006), algorithm 7.4; that dot products are all it needs is from Chen, Wang
    and Zhou (2014), "Large-scale L-BFGS using MapReduce".
    """
    count = len(step_gradient)
    curvatures = np.diagonal(step_change)
    alphas, factors = np.zeros((2, count))
    # q = g − Y alphas, from the newest pair to the oldest.
    for i in reversed(range(count)):
        rest = step_gradient[i] - step_change[i, i + 1 :] @ alphas[i + 1 :]
        alphas[i] = rest / curvatures[i]
    # r = scale · q + S factors, from the oldest pair to the newest.
    scaled = scale * (change_gradient - change_change @ alphas)
    for i in range(count):
        beta = (scaled[i] + step_change[:i, i] @ factors[:i]) / curvatures[i]
        factors[i] = alphas[i] - beta
    return factors, -scale * alphas
