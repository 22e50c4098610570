"""Files that are no pictures, or no good ones: makers by name, each given the path to write.

The names of files end as pictures' do, so that only what is in them can give them away.
"""

from __future__ import annotations

import gzip
import io
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from encoded_pictures import encoded, png
from PIL import Image

__all__ = ["BAD_PICTURES", "MAKERS_OF_ODD_ONES", "Maker", "with_chunk"]

Maker = Callable[[Path], None]

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")


def with_chunk(data: bytes, name: bytes, body: bytes) -> bytes:
    """Return a PNG file with one more chunk before its pixels."""
    place = data.index(b"IDAT") - 4
    check = zlib.crc32(name + body)
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", check)
    return data[:place] + chunk + data[place:]


def written(data: bytes) -> Maker:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(5).integers(0, 256, (40, 50, 3), dtype=np.uint8))


def cut(format: str, share: float) -> Maker:
    data = encoded(format, noise())
    return written(data[: int(len(data) * share)])


def animated(format: str, **options: object) -> Maker:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    file = io.BytesIO()
    frames[0].save(file, format, save_all=True, append_images=frames[1:], **options)
    return written(file.getvalue())


def broken_checksum() -> bytes:
    data = bytearray(encoded("PNG", noise()))
    data[data.index(b"IDAT") + 300] ^= 0xFF
    return bytes(data)


def huge_webp() -> bytes:
    """WebP of 16383x16383 pixels by its VP8X header (RFC 9649, section 2.7), and no more."""
    side = struct.pack("<I", 16383 - 1)[:3]
    body = b"WEBP" + b"VP8X" + struct.pack("<IBBBB", 10, 0, 0, 0, 0) + side + side
    return b"RIFF" + struct.pack("<I", len(body)) + body


def huge_bmp() -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header + bytes(100)


def signed_tiff() -> bytes:
    data = bytearray(encoded("TIFF", Image.fromarray(np.zeros((9, 8), np.uint16))))
    count = struct.unpack_from("<H", data, struct.unpack_from("<I", data, 4)[0])[0]
    place = struct.unpack_from("<I", data, 4)[0]
    entries = [bytes(data[place + 2 + 12 * n : place + 14 + 12 * n]) for n in range(count)]
    entries += [struct.pack("<HHIHH", 339, 3, 1, 2, 0)]  # SampleFormat: signed
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry)[0])
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    struct.pack_into("<I", data, 4, len(data))
    return bytes(data) + directory


def loop(path: Path) -> None:
    path.symlink_to(path.name)


BAD_PICTURES: Mapping[str, Maker] = {
    "missing": lambda path: None,
    "directory": Path.mkdir,
    "empty": written(b""),
    "one byte": written(b"\x89"),
    "pipe": os.mkfifo,
    "link to itself": loop,
    "link to nothing": lambda path: path.symlink_to("nowhere.png"),
    # Other kinds of files
    "words": written(b"no picture at all"),
    "zeros": written(bytes(5000)),
    "web page": written(b"<!DOCTYPE html><title>404</title>Not found"),
    "SVG": written(b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'),
    "PDF": written(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n%%EOF"),
    "PostScript": written(encoded("EPS")),
    "icon": written(encoded("ICO", noise())),
    "PSD": written(b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(40)),
    "HEIC": written(struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(80)),
    "archive": written(gzip.compress(encoded("PNG"), mtime=0)),
    "program": written(b"\x7fELF\2\1\1" + bytes(200)),
    # Pictures that are cut short or damaged
    **{f"{form} cut at {at}": cut(form, at) for form in FORMATS for at in (0.03, 0.4, 0.9)},
    "PNG with a wrong checksum": written(broken_checksum()),
    "PNG without pixels": written(png(20, 20, 8, 2, b"")),
    "JPEG that ends after its mark": written(b"\xff\xd8\xff\xe0"),
    # Of no size, or of too large a one
    "0x5": written(png(0, 5, 8, 2, b"")),
    "5x0": written(png(5, 0, 8, 2, b"")),
    "PNG of 60000x60000": written(png(60000, 60000, 8, 2, bytes(1000))),
    "PNG of 2^31-1": written(png(2**31 - 1, 2**31 - 1, 8, 2, bytes(1000))),
    "BMP of 60000x60000": written(huge_bmp()),
    "WebP of 16383x16383": written(huge_webp()),
    "PPM of 99999x99999": written(b"P6 99999 99999 255\n" + bytes(300)),
    "PNG that unpacks to 400 MB": written(png(20000, 6700, 8, 2, bytes(4 * 10**8))),
    "PNG with a text that unpacks to 100 MB": written(
        with_chunk(encoded("PNG"), b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))
    ),
    # More than one picture, or numbers that mean nothing
    "animated GIF": animated("GIF"),
    "animated WebP": animated("WEBP"),
    "animated PNG": animated("PNG"),
    "animated AVIF": animated("AVIF"),
    "TIFF of signed numbers": written(signed_tiff()),
    "TIFF of floats beyond 1": written(
        encoded("TIFF", Image.fromarray(np.full((9, 8), 300, np.float32)))
    ),
}
"""Each has to be refused in a line that names it."""


def photo_of_a_phone(path: Path) -> None:
    """MPO: the photo, and a second one that is cut off."""
    file = io.BytesIO()
    noise().save(file, "MPO", save_all=True, append_images=[noise()])
    path.write_bytes(file.getvalue()[:-500])


MAKERS_OF_ODD_ONES: Mapping[str, Maker] = {
    "MPO with a broken second picture": photo_of_a_phone,
    "TIFF of two pages": animated("TIFF"),
    "useless profile": written(encoded("PNG", icc_profile=b"no profile")),
    "useless EXIF": written(encoded("PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")),
    "GIF of one frame": written(encoded("GIF")),
    "bytes behind the end": written(encoded("JPEG") + b"<?php ?>" * 50),
}
"""Each has something wrong that does not matter: it has to be read."""
