"""The formats pictures are written in: what each can hold, and how it is encoded."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

from impasto.engine.deep_png import write_deep_png
from impasto.engine.depth import DeepArray
from impasto.engine.srgb import ByteArray, srgb_profile
from impasto.engine.tiled_tiff import has_tifffile, write_tiled_tiff

__all__ = [
    "OUTPUT_SUFFIXES",
    "Metadata",
    "encode",
    "holds_16_bits",
    "holds_alpha",
    "is_lossy",
    "too_large",
]

Metadata = Mapping[str, str]

IMAGE_DESCRIPTION = 0x010E
SOFTWARE = 0x0131

FOUR_GIB = 2**32 - 2**24
"""Bytes of pixels that are sure to fit where lengths are counted with 32 bits, with some room for
what is around them and for deflate, which makes noise larger by 0.03 %."""


@dataclass(frozen=True)
class _Format:
    """How Pillow writes a format, and the largest picture it holds."""

    options: Callable[[Metadata, int], dict[str, Any]]
    longest_side: int = 2**31 - 1
    most_bytes: float = float("inf")
    alpha: bool = True
    lossy: bool = False


def too_large(suffix: str, width: int, height: int) -> str | None:
    """Say why a picture does not fit into a format, and what to do; ``None`` if it fits.

    Parameters
    ----------
    suffix : str
        One of :data:`OUTPUT_SUFFIXES`.
    width, height : int
        In pixels.
    """
    form, longest = _FORMATS[suffix], max(width, height)
    if longest > form.longest_side:
        return (
            f"{suffix} files are at most {form.longest_side} pixels long, and {longest} were asked "
            "for. Use .png or .tif."
        )
    if 3 * width * height <= form.most_bytes or (_is_tiff(suffix) and has_tifffile()):
        return None
    remedy = "Use .png or .tif."
    if _is_tiff(suffix):
        remedy = "Use .png, or install tifffile, which has no such limit: "
        remedy += "pip install 'impasto[large]'."
    return f"{suffix} files are at most 4 GB, and {width}x{height} pixels may need more. {remedy}"


def holds_alpha(suffix: str) -> bool:
    """Say whether the format of `suffix` can be transparent."""
    return _FORMATS[suffix].alpha


def holds_16_bits(suffix: str) -> bool:
    """Say whether files of `suffix` can be written with 16 bits a colour."""
    return suffix == ".png" or (_is_tiff(suffix) and has_tifffile())


def is_lossy(suffix: str) -> bool:
    """Say whether the format of `suffix` has a quality."""
    return _FORMATS[suffix].lossy


def encode(
    image: ByteArray | DeepArray,
    suffix: str,
    metadata: Metadata,
    file: BinaryIO,
    alpha: ByteArray | None = None,
    quality: int = 0,
) -> None:
    """Write a picture in the format of `suffix`.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3)
        uint8 sRGB; uint16 only where :func:`holds_16_bits`.
    suffix : str
        One of :data:`OUTPUT_SUFFIXES`.
    metadata : mapping of str to str
        See :func:`impasto.engine.outputs.save_image`.
    file : file
        Open for writing and seeking.
    alpha : ndarray of shape (H, W), optional
        uint8; only where :func:`holds_alpha`.
    quality : int
        1 to 100, or 0 for the format's own; without effect unless :func:`is_lossy`.

    Raises
    ------
    OSError, ValueError
        If the file cannot be written, or the format does not hold the picture.
    """
    if _is_tiff(suffix) and has_tifffile():
        write_tiled_tiff(
            image,
            file,
            alpha=alpha,
            description=_description(metadata),
            software=_software(metadata),
        )
        return
    if image.dtype == np.uint16:
        write_deep_png(image.astype(np.uint16, copy=False), file, alpha=alpha, text=metadata)
        return
    options = _FORMATS[suffix].options(metadata, quality)
    encoded = Image.fromarray(image)
    if alpha is not None:
        encoded.putalpha(Image.fromarray(alpha))
    if options["format"] == "JPEG":
        _save_jpeg(encoded, file, options)
    else:
        encoded.save(file, **options)


def _is_tiff(suffix: str) -> bool:
    return suffix in (".tif", ".tiff")


def _png(metadata: Metadata, _quality: int) -> dict[str, Any]:
    text = PngImagePlugin.PngInfo()
    for key, value in metadata.items():
        text.add_itxt(key, value)
    return {"format": "PNG", "pnginfo": text, "icc_profile": srgb_profile()}


def _jpeg(metadata: Metadata, quality: int) -> dict[str, Any]:
    look = {"quality": quality or 95, "subsampling": "4:4:4"}
    return {"format": "JPEG", **look, "exif": _exif(metadata), "icc_profile": srgb_profile()}


def _save_jpeg(image: Image.Image, file: BinaryIO, options: Mapping[str, Any]) -> None:
    """Save with optimised Huffman tables, a sixth of the file, or without where that fails.

    It fails on noise: Pillow reserves two bytes a pixel for an optimised file, whatever comes.
    """
    try:
        image.save(file, **options, optimize=True)
    except OSError as error:
        if error.errno is not None:  # the system's, about the file
            raise
        file.seek(0)
        file.truncate()
        image.save(file, **options)


def _webp(metadata: Metadata, quality: int) -> dict[str, Any]:
    # Lossy WebP halves the resolution of colour, which strokes of pure colour show.
    look = {"quality": quality} if quality else {"lossless": True}
    return {
        "format": "WEBP",
        **look,
        "exact": True,  # colours below alpha 0 stay as they are
        "exif": _exif(metadata),
        "icc_profile": srgb_profile(),
    }


def _avif(metadata: Metadata, quality: int) -> dict[str, Any]:
    return {
        "format": "AVIF",
        "quality": quality or 90,
        "subsampling": "4:4:4",
        "exif": _exif(metadata).tobytes() if metadata else b"",
        "icc_profile": srgb_profile(),
    }


def _tiff(metadata: Metadata, _quality: int) -> dict[str, Any]:
    return {
        "format": "TIFF",
        "compression": "tiff_adobe_deflate",
        "exif": _exif(metadata),
        "icc_profile": srgb_profile(),
    }


def _bmp(_metadata: Metadata, _quality: int) -> dict[str, Any]:
    return {"format": "BMP"}


_FORMATS: Mapping[str, _Format] = MappingProxyType(
    {
        ".png": _Format(_png),
        ".jpg": _Format(_jpeg, longest_side=65500, alpha=False, lossy=True),  # libjpeg's limit
        ".jpeg": _Format(_jpeg, longest_side=65500, alpha=False, lossy=True),
        ".webp": _Format(_webp, longest_side=16383, lossy=True),
        ".avif": _Format(_avif, longest_side=65536, lossy=True),
        ".tif": _Format(_tiff, most_bytes=FOUR_GIB),
        ".tiff": _Format(_tiff, most_bytes=FOUR_GIB),
        ".bmp": _Format(_bmp, most_bytes=FOUR_GIB, alpha=False),
    }
)
OUTPUT_SUFFIXES = tuple(_FORMATS)
"""Suffixes of output files, in lower case; upper case is accepted."""


def _description(metadata: Metadata) -> str:
    # EXIF and TIFF strings are ASCII: JSON escapes what is not.
    return json.dumps(dict(metadata)) if metadata else ""


def _software(metadata: Metadata) -> str:
    return metadata.get("Software", "").encode("ascii", "replace").decode()


def _exif(metadata: Metadata) -> Image.Exif:
    exif = Image.Exif()
    if metadata:
        exif[IMAGE_DESCRIPTION] = _description(metadata)
    if "Software" in metadata:
        exif[SOFTWARE] = _software(metadata)
    return exif
