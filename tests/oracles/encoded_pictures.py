"""A picture's pixels, and files of it, where Pillow cannot write them by the specifications."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image

from impasto.engine.images import ByteArray


def picture(height: int = 24, width: int = 32) -> ByteArray:
    """Return smooth, colourful and in no way symmetric pixels."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = 255 * x / width, 255 * y / height, 128 + 100 * np.sin(x / 5 + y / 9)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def encoded(format: str, image: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (image or Image.fromarray(picture())).save(file, format, **options)
    return file.getvalue()


def png(width: int, height: int, depth: int, colour_type: int, rows: bytes) -> bytes:
    """Write a PNG by the specification, for the kinds that Pillow cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(rows)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff_rgb16(pixels: npt.NDArray[np.uint16], planar_entries: int = 1) -> bytes:
    """Write an uncompressed 16-bit RGB TIFF by the specification, which has one planar entry."""
    height, width, _ = pixels.shape
    data = pixels.astype("<u2").tobytes()
    bits_at = 8 + len(data)
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, bits_at),  # bits per sample, three of them, elsewhere
        (259, 3, 1, 1),  # no compression
        (262, 3, 1, 2),  # RGB
        (273, 4, 1, 8),  # the strip begins at byte 8
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 1, len(data)),
        (284, 3, planar_entries, 1),
    ]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    header = struct.pack("<2sHI", b"II", 42, bits_at + 6)
    return header + data + struct.pack("<HHH", 16, 16, 16) + directory
