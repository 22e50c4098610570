"""Pictures that are transparent in parts: what the network sees of them, and what is given back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from impasto.engine.output_formats import Metadata, holds_alpha
from impasto.engine.outputs import save_image
from impasto.engine.srgb import ByteArray, Cutout, row_strips

__all__ = ["blended_into", "on_its_mean", "save_cutout"]


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


def blended_into(painted: ByteArray, cutout: Cutout) -> ByteArray:
    """Return `painted` where the picture is opaque, and the picture's own colours elsewhere.

    In between, alpha says how much is of which.
    """
    return painted if cutout.alpha is None else _blended(painted, cutout.pixels, cutout.alpha)


def save_cutout(cutout: Cutout, path: Path, metadata: Metadata | None = None) -> None:
    """Write a picture with its alpha; laid on white where the format has none."""
    if cutout.alpha is not None and not holds_alpha(path.suffix.lower()):
        save_image(cutout.on_white(), path, metadata=metadata)
    else:
        save_image(cutout.pixels, path, alpha=cutout.alpha, metadata=metadata)


def _blended(over: ByteArray, under: ByteArray, alpha: ByteArray) -> ByteArray:
    result = np.empty_like(over)
    for rows in row_strips(*alpha.shape):
        share = alpha[rows, :, np.newaxis].astype(np.float32) / 255
        mixed = share * over[rows] + (1 - share) * under[rows]
        result[rows] = np.rint(mixed, out=mixed)
    return result
