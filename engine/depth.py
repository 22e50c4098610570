"""How many bits a colour has: 8 everywhere inside Impasto, 16 where a file is to have them."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from impasto.engine.srgb import ByteArray, row_strips

__all__ = ["DeepArray", "Depth", "eight_bits", "levels_in", "unit_of"]

DeepArray = npt.NDArray[np.uint16]
"""A picture of 16 bits: sRGB, of shape (H, W, 3); 65535 is white."""

Depth = TypeVar("Depth", np.uint8, np.uint16)
"""Of a picture that may have either."""


def unit_of(pixels: npt.NDArray[Depth]) -> int:
    """Return what one of the 255 levels is in an array: 1 with 8 bits, 257 with 16."""
    return int(np.iinfo(pixels.dtype).max) // 255


def levels_in(pixels: npt.NDArray[Depth]) -> npt.NDArray[np.float64]:
    """Return values as float64 levels from 0 to 255, of the shape they have."""
    levels = pixels.astype(np.float64)
    if unit_of(pixels) != 1:
        levels /= unit_of(pixels)
    return levels


def eight_bits(pixels: npt.NDArray[Depth]) -> ByteArray:
    """Return a picture rounded to 8 bits; itself if it has no more."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    rounded = np.empty(pixels.shape, np.uint8)
    for rows in row_strips(pixels.shape[0], pixels.shape[1]):
        rounded[rows] = np.rint(levels_in(pixels[rows]))
    return rounded
