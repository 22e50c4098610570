"""PNG files of 16 bits a colour, which Pillow reads but does not write.

After the PNG specification, third edition (W3C, 2025): signature, then IHDR, iCCP, iTXt, IDAT and
IEND. Every row has the filter Sub: half of each value is a low byte, which is as good as noise, so
that no filter gains much (on a painting of examples/, Sub 3.0 % and Paeth 3.4 % of the file).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import numpy as np

from impasto.engine.depth import DeepArray
from impasto.engine.srgb import ByteArray, row_strips, srgb_profile

__all__ = ["write_deep_png"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TRUECOLOR, WITH_ALPHA = 2, 6
SUB = 1


def write_deep_png(
    image: DeepArray,
    file: BinaryIO,
    *,
    alpha: ByteArray | None = None,
    text: Mapping[str, str],
) -> None:
    """Write a picture as PNG of 16 bits a colour, with an sRGB profile.

    It is done in strips: beside the picture there is no array of its size.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3)
        uint16 sRGB.
    file : file
        Open for writing.
    alpha : ndarray of shape (H, W), optional
        uint8; colours are not multiplied by it.
    text : mapping of str to str
        One iTXt chunk each. Keys are 1 to 79 characters of Latin-1.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    height, width, _ = image.shape
    kind = TRUECOLOR if alpha is None else WITH_ALPHA
    file.write(SIGNATURE)
    _write(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    _write(file, b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile()))
    for key, value in text.items():
        # A key, no compression, no language, and no translation of the key.
        _write(file, b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + value.encode())
    packer = zlib.compressobj()
    for rows in _filtered(image, alpha):
        packed = packer.compress(rows)
        if packed:
            _write(file, b"IDAT", packed)
    _write(file, b"IDAT", packer.flush())
    _write(file, b"IEND", b"")


def _write(file: BinaryIO, name: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + name + data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(name))))


def _filtered(image: DeepArray, alpha: ByteArray | None) -> Iterator[bytes]:
    """Yield strips of rows, each with its filter's number before it."""
    height, width, _ = image.shape
    for rows in row_strips(height, width):
        values = image[rows]
        if alpha is not None:
            values = np.dstack((values, alpha[rows].astype(np.uint16) * 257))
        samples = np.ascontiguousarray(values, ">u2").view(np.uint8)
        samples = samples.reshape(len(values), -1)
        pixel = 2 * values.shape[2]
        filtered = np.empty((len(values), 1 + samples.shape[1]), np.uint8)
        filtered[:, 0] = SUB
        filtered[:, 1 : 1 + pixel] = samples[:, :pixel]
        filtered[:, 1 + pixel :] = samples[:, pixel:] - samples[:, :-pixel]
        yield filtered.tobytes()
