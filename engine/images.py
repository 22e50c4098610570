"""Pictures to the network's input and back; and the one place to import everything of pictures.

Every picture inside Impasto is an sRGB uint8 array of shape (H, W, 3). Files are read in
`impasto.engine.picture_files` and written in `impasto.engine.outputs`; pixels of all kinds become
sRGB in `impasto.engine.srgb`; sizes change in `impasto.engine.resampling`.
"""

from __future__ import annotations

import numpy as np

from impasto.engine.outputs import (
    OUTPUT_SUFFIXES,
    check_output_alpha,
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


def from_network(image: FloatArray) -> ByteArray:
    """Return an image of shape (1, 3, H, W) as a picture: rounded (halves to even) and clipped.

    Done in strips, so that no float copy of the whole is made.
    """
    _, _, height, width = image.shape
    pixels = np.empty((height, width, 3), np.uint8)
    for rows in row_strips(height, width):
        values = np.clip(image[0, :, rows], 0, 255)
        pixels[rows] = np.rint(values, out=values).transpose(1, 2, 0)
    return pixels
