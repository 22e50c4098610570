"""Output files: whether one may be written, and writing it whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from impasto.engine.depth import DeepArray
from impasto.engine.output_formats import (
    OUTPUT_SUFFIXES,
    Metadata,
    encode,
    holds_16_bits,
    holds_alpha,
    too_large,
)
from impasto.engine.srgb import ByteArray
from impasto.engine.whole_files import reason_of, whole_file
from impasto.errors import ImpastoError, OutputPathError

__all__ = [
    "OUTPUT_SUFFIXES",
    "check_output_alpha",
    "check_output_depth",
    "check_output_file",
    "check_output_path",
    "check_output_size",
    "save_image",
]


def check_output_path(
    path: str | Path,
    overwrite: bool,
    inputs: Iterable[str | Path] = (),
    longest_side: int = 0,
) -> None:
    """Refuse an output path that could not, or should not, be written at the end of a run.

    Parameters
    ----------
    path : str or Path
        A path with one of :data:`OUTPUT_SUFFIXES`.
    overwrite : bool
        Whether an existing file may be replaced. An input never is.
    inputs : iterable of str or Path
        Files the run reads.
    longest_side : int
        Longest side of the picture to be, in pixels, where it is known.

    Raises
    ------
    OutputPathError
    """
    check_output_size(path, longest_side, 1)
    check_output_file(path, overwrite, inputs)


def check_output_size(path: str | Path, width: int, height: int) -> None:
    """Refuse an output path whose format does not hold a picture of `width` x `height` pixels.

    JPEG files end at 65500 pixels a side and WebP files at 16383; BMP at 4 GB, as TIFF does unless
    tifffile is installed.

    Raises
    ------
    OutputPathError
        If so, or if the suffix is none of :data:`OUTPUT_SUFFIXES`.
    """
    reason = too_large(_suffix(Path(path)), width, height)
    if reason:
        raise OutputPathError(f"Output {path}: {reason}")


def check_output_alpha(path: str | Path) -> None:
    """Refuse an output path whose format cannot be transparent.

    Raises
    ------
    OutputPathError
        If so, or if the suffix is none of :data:`OUTPUT_SUFFIXES`.
    """
    suffix = _suffix(Path(path))
    if not holds_alpha(suffix):
        able = " ".join(filter(holds_alpha, OUTPUT_SUFFIXES))
        raise OutputPathError(
            f"Output {path}: {suffix} files cannot be transparent. Use one of {able}."
        )


def check_output_depth(path: str | Path) -> None:
    """Refuse an output path whose format cannot be written with 16 bits.

    Raises
    ------
    OutputPathError
        If so, or if the suffix is none of :data:`OUTPUT_SUFFIXES`.
    """
    suffix = _suffix(Path(path))
    if holds_16_bits(suffix):
        return
    if suffix in (".tif", ".tiff"):
        raise OutputPathError(
            f"Output {path}: {suffix} files of 16 bits are written by tifffile, which is not "
            "installed: pip install 'impasto[large]'. Or use .png, or --bit-depth 8."
        )
    raise OutputPathError(
        f"Output {path}: {suffix} files have 8 bits. Use .png or .tif, or --bit-depth 8."
    )


def check_output_file(path: str | Path, overwrite: bool, inputs: Iterable[str | Path] = ()) -> None:
    """Refuse an output path, of a file of any kind, that could not or should not be written.

    The parameters are those of :func:`check_output_path`.

    Raises
    ------
    OutputPathError
    """
    try:
        _check_place(Path(path), overwrite, inputs)
    except (OSError, ValueError) as error:
        raise OutputPathError(f"Output {path} cannot be written: {reason_of(error)}.") from None


def save_image(
    image: ByteArray | DeepArray,
    path: str | Path,
    *,
    alpha: ByteArray | None = None,
    metadata: Metadata | None = None,
    quality: int = 0,
) -> None:
    """Write a picture: the whole file appears at once, or nothing changes on disk.

    An existing file is replaced (:func:`check_output_path` is where that is refused); a symbolic
    link is followed.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3)
        uint8 sRGB; or uint16, with 65535 for white, for a PNG file of 16 bits a colour, or a TIFF
        file if tifffile is installed.
    path : str or Path
        The suffix gives the format: PNG; JPEG with full colour resolution (4:4:4); WebP; AVIF
        (4:4:4), the one format whose alpha is lossy; TIFF with deflate compression, as BigTIFF in
        tiles if tifffile is installed; BMP.
    alpha : ndarray of shape (H, W), optional
        uint8, from 0 (transparent) to 255 (opaque); colours are not multiplied by it.
    metadata : mapping of str to str, optional
        PNG: one text chunk a key. JPEG, WebP, AVIF and TIFF: a JSON object as EXIF image
        description, and ``Software``, if it is one of the keys, as EXIF software too. BMP has no
        place for it.
    quality : int
        Of JPEG, WebP and AVIF, from 1 to 100, each on a scale of its own; 0 is 95 for JPEG,
        lossless for WebP and 90 for AVIF. Lossy WebP halves the resolution of colour.

    Raises
    ------
    OutputPathError
        If the suffix is unknown, or its format cannot be transparent and `alpha` is given, or
        has 8 bits and `image` 16.
    ImpastoError
        If the file cannot be written: disk full, no permission, directory gone, too large for
        the format.

    Notes
    -----
    All formats but BMP embed an sRGB profile. `impasto.engine.whole_files` says what a full disk
    or Ctrl-C leaves. Pillow copies the picture to write it, at 4 bytes a pixel (JPEG: 12);
    tifffile does not.
    """
    path = Path(path)
    suffix = _suffix(path)
    if alpha is not None:
        check_output_alpha(path)
    if image.dtype != np.uint8:
        check_output_depth(path)
    height, width, _ = image.shape
    reason = too_large(suffix, width, height)
    if reason:
        raise ImpastoError(f"{path} could not be written: {reason}")
    with whole_file(path) as file:
        encode(image, suffix, metadata or {}, file, alpha, quality)


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in OUTPUT_SUFFIXES:
        found = f"has the suffix {path.suffix!r}" if path.suffix else "has no suffix"
        raise OutputPathError(f"Output {path} {found}; use one of {' '.join(OUTPUT_SUFFIXES)}.")
    return suffix


def _check_place(path: Path, overwrite: bool, inputs: Iterable[str | Path]) -> None:
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise OutputPathError(f"Output {path} is a directory; a file was expected.")
    if not target.parent.is_dir():
        raise OutputPathError(
            f"Output {path}: there is no directory {target.parent}. Make it first."
        )
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputPathError(f"Output {path}: no permission to write in {target.parent}.")
    if not target.exists():
        return
    if any(Path(other).exists() and target.samefile(other) for other in inputs):
        raise OutputPathError(f"Output {path} is one of the inputs; give another path.")
    if not target.is_file():
        raise OutputPathError(f"Output {path} is no regular file.")
    if not overwrite:
        raise OutputPathError(f"Output {path} exists. Give another path, or --overwrite.")
