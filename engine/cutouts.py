"""Pictures that are transparent in parts: what the network sees of them, and what is given back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from impasto.engine.depth import Depth, unit_of
from impasto.engine.srgb import ByteArray, Cutout, row_strips

__all__ = ["blended_into", "on_its_mean"]


def on_its_mean(cutout: Cutout) -> ByteArray:
    """Return a picture laid on the mean colour of what can be seen of it.

    That is the colour with the least contrast to it, so that the network sees as little of an edge
    as can be where none was painted.
    """
    if cutout.alpha is None:
        return cutout.pixels
    total, weight = np.zeros(3), 0.0
    for rows in row_strips(*cutout.alpha.shape):
        alpha = cutout.alpha[rows].astype(np.float64)
        total += np.tensordot(alpha, cutout.pixels[rows].astype(np.float64), 2)
        weight += float(alpha.sum())
    mean = total / weight if weight else np.full(3, 128.0)
    ground = np.broadcast_to(np.rint(mean).astype(np.uint8), cutout.pixels.shape)
    return _blended(cutout.pixels, ground, cutout.alpha)


def blended_into(painted: npt.NDArray[Depth], cutout: Cutout) -> npt.NDArray[Depth]:
    """Return `painted` where the picture is opaque, and the picture's own colours elsewhere.

    In between, alpha says how much is of which.
    """
    return painted if cutout.alpha is None else _blended(painted, cutout.pixels, cutout.alpha)


def _blended(over: npt.NDArray[Depth], under: ByteArray, alpha: ByteArray) -> npt.NDArray[Depth]:
    result, unit = np.empty_like(over), np.float32(unit_of(over))
    for rows in row_strips(*alpha.shape):
        share = alpha[rows, :, np.newaxis].astype(np.float32) / 255
        mixed = share * over[rows] + (1 - share) * unit * under[rows]
        result[rows] = np.rint(mixed, out=mixed)
    return result
