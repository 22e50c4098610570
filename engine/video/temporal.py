"""The temporal loss: a frame is held to the one before, as the motion moved it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from impasto.engine.objective import TermedObjective
from impasto.engine.result import FloatArray

__all__ = ["TEMPORAL_LOSS", "TemporalObjective"]

TEMPORAL_LOSS = "temporal_loss"

BLOCK_ROWS = 64


class TemporalObjective:
    r"""An objective plus the temporal loss.

    .. math:: L(x) = w \cdot \frac{1}{D} \sum_i c_i (x_i - \omega_i)^2, \quad
              \frac{\partial L}{\partial x_i} = \frac{2 w}{D} c_i (x_i - \omega_i)

    with :math:`\omega` the frame before, warped, and D = 3 H W.

    Parameters
    ----------
    objective : callable
        Image of shape (1, 3, H, W) → loss and gradient.
    warped : ndarray of shape (1, 3, H, W)
        ω, RGB in 0-255.
    consistent : ndarray of shape (H, W)
        c, boolean or in 0-1: what the frame before has to say there.
    weight : float
        w.

    Attributes
    ----------
    losses : dict of str to float
        The objective's weighted terms of the last call, and ``temporal_loss``.

    Notes
    -----
    Ruder et al. (2016), section 4.2. D counts all pixels, trusted or not, as there and in
    manuelruder/artistic-videos, so that weights carry over; see docs/video.md. The sum is formed
    in float64, block by block: two blocks of rows are all the memory this takes.
    """

    def __init__(
        self,
        objective: TermedObjective,
        warped: FloatArray,
        consistent: npt.NDArray[np.bool_] | npt.NDArray[np.floating],
        weight: float,
    ) -> None:
        self._objective = objective
        self._warped = warped
        self._consistent = consistent
        self._weight = weight
        self.losses: Mapping[str, float] = {}

    def __call__(self, image: FloatArray, /) -> tuple[float, FloatArray]:
        """Return the loss and its gradient at `image`, of shape (1, 3, H, W).

        The gradient array is the objective's own: the next call overwrites it.
        """
        loss, gradient = self._objective(image)
        total = 0.0
        for start in range(0, image.shape[2], BLOCK_ROWS):
            rows = (..., slice(start, start + BLOCK_ROWS), slice(None))
            difference = image[rows] - self._warped[rows]
            pull = difference * self._consistent[rows]
            total += float(np.vdot(pull.astype(np.float64), difference))
            pull *= 2 * self._weight / image.size
            gradient[rows] += pull
        temporal = self._weight / image.size * total
        self.losses = {**self._objective.losses, TEMPORAL_LOSS: temporal}
        return loss + temporal, gradient
