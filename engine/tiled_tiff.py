"""TIFF files of any size: tiled BigTIFF, written by tifffile, which is optional.

``pip install 'impasto[large]'`` brings it. Classic TIFF counts bytes with 32 bits and ends at 4 GB;
BigTIFF counts with 64. Tiles let a viewer show a part of a picture without reading the rest.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from impasto.engine.depth import DeepArray
from impasto.engine.srgb import ByteArray, srgb_profile

__all__ = ["has_tifffile", "write_tiled_tiff"]

TILE = 512
"""Side of a tile, in pixels; TIFF 6.0 wants a multiple of 16."""

BUFFER_BYTES = 2**24
"""Pixels compressed at a time, in bytes; tifffile's own 512 MiB would be a copy of most."""


def has_tifffile() -> bool:
    """Say whether tifffile is installed, without importing it."""
    return importlib.util.find_spec("tifffile") is not None


def write_tiled_tiff(
    image: ByteArray | DeepArray,
    file: BinaryIO,
    *,
    alpha: ByteArray | None = None,
    description: str = "",
    software: str = "",
) -> None:
    """Write a picture as BigTIFF in tiles, compressed with deflate, with an sRGB profile.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3)
        uint8 or uint16 sRGB. No copy of it is made: tiles are compressed from where they lie.
    file : file
        Open for writing and seeking.
    alpha : ndarray of shape (H, W), optional
        uint8; colours are not multiplied by it ("unassociated").
    description, software : str
        Tags ImageDescription and Software, in ASCII; left out if empty.

    Raises
    ------
    OSError
        If the file cannot be written.

    Notes
    -----
    The resolution tags say 1:1 without a unit: square pixels of no particular physical size.
    """
    import tifffile

    with tifffile.TiffWriter(file, bigtiff=True, byteorder="<") as writer:
        writer.write(
            _tiles(image, alpha),
            shape=(*image.shape[:2], 3 if alpha is None else 4),
            dtype=image.dtype,
            photometric="rgb",
            planarconfig="contig",
            extrasamples=() if alpha is None else ("unassalpha",),
            tile=(TILE, TILE),
            compression="adobe_deflate",
            predictor="horizontal",
            iccprofile=srgb_profile(),
            description=description or None,
            software=software or False,
            metadata=None,
            buffersize=BUFFER_BYTES,
        )


def _tiles(
    image: ByteArray | DeepArray, alpha: ByteArray | None
) -> Iterator[ByteArray | DeepArray]:
    """Yield the tiles row by row; tifffile fills up those that the picture ends in."""
    height, width, _ = image.shape
    unit = image.dtype.type(1 if image.dtype == np.uint8 else 257)
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            place = slice(top, top + TILE), slice(left, left + TILE)
            if alpha is None:
                yield image[place]
            else:
                yield np.dstack((image[place], alpha[place] * unit))
