"""Flicker: how much frames change that should not."""

from __future__ import annotations

import math

import numpy as np

from impasto.engine.srgb import ByteArray
from impasto.engine.video.motion import Motion
from impasto.engine.video.warping import warp

__all__ = ["flicker_between"]


def flicker_between(before: ByteArray, frame: ByteArray, motion: Motion) -> float:
    r"""Return how much a frame differs from the one before where the scene stayed the same.

    Parameters
    ----------
    before, frame : ndarray of shape (H, W, 3)
        uint8 RGB; the frames as they are seen, painted or not.
    motion : Motion
        Of the *content*: that of painted frames is what is in question.

    Returns
    -------
    float
        Mean of :math:`|x_t - \mathrm{warp}(x_{t-1})|` over the consistent pixels and the three
        channels, in levels of 0-255; not a number if no pixel is consistent.

    Notes
    -----
    Ruder et al. (2016) report the root mean square of the same differences, over known
    flow; a mean is moved less by a few wrong vectors. Interpolation blurs: even of a rigid
    sequence the number is not 0. That of the content's own frames says what can be reached.
    """
    if not motion.consistent.any():
        return math.nan
    difference = np.abs(warp(before, motion.backward) - frame)
    return float(difference[motion.consistent].mean(dtype=np.float64))
