"""Pictures to the network's input and back; and the one place to import everything of pictures.

Every picture inside Impasto is an sRGB uint8 array of shape (H, W, 3). Files are read in
`impasto.engine.picture_files` and written in `impasto.engine.outputs`; pixels of all kinds become
sRGB in `impasto.engine.srgb`; sizes change in `impasto.engine.resampling`.
"""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from impasto.engine.depth import DeepArray
from impasto.engine.outputs import (
    OUTPUT_SUFFIXES,
    check_output_alpha,
    check_output_depth,
    check_output_path,
    check_output_size,
    save_image,
)
from impasto.engine.picture_files import (
    MAX_PIXELS,
    PICTURE_SUFFIXES,
    list_pictures,
    load_cutout,
    load_image,
    picture_has_alpha,
    picture_size,
)
from impasto.engine.resampling import (
    fit,
    fit_cutout,
    fitted_size,
    resize,
    resize_cutout,
    resize_image,
)
from impasto.engine.result import FloatArray
from impasto.engine.srgb import ByteArray, Cutout, row_strips

__all__ = [
    "MAX_PIXELS",
    "OUTPUT_SUFFIXES",
    "PICTURE_SUFFIXES",
    "ByteArray",
    "Cutout",
    "check_output_alpha",
    "check_output_depth",
    "check_output_path",
    "check_output_size",
    "fit",
    "fit_cutout",
    "fitted_size",
    "from_network",
    "list_pictures",
    "load_cutout",
    "load_image",
    "picture_has_alpha",
    "picture_size",
    "resize",
    "resize_cutout",
    "resize_image",
    "save_image",
    "to_network",
]


def to_network(image: ByteArray) -> FloatArray:
    """Return a picture as the network takes it: float32 RGB 0-255, contiguous, (1, 3, H, W).

    That array is all the memory it takes.
    """
    return image.transpose(2, 0, 1).astype(np.float32, order="C")[np.newaxis]


@overload
def from_network(image: FloatArray, bits: Literal[8] = 8) -> ByteArray: ...
@overload
def from_network(image: FloatArray, bits: Literal[16]) -> DeepArray: ...
def from_network(image: FloatArray, bits: Literal[8, 16] = 8) -> ByteArray | DeepArray:
    """Return an image of shape (1, 3, H, W) as a picture: rounded (halves to even) and clipped.

    With 16 bits, 255 becomes 65535. Done in strips, so that no float copy of the whole is made.
    """
    _, _, height, width = image.shape
    pixels: npt.NDArray[Any] = np.empty((height, width, 3), np.uint8 if bits == 8 else np.uint16)
    for rows in row_strips(height, width):
        values = np.clip(image[0, :, rows], 0, 255)
        if bits == 16:
            values *= 257
        pixels[rows] = np.rint(values, out=values).transpose(1, 2, 0)
    return pixels
