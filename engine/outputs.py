"""Output files: whether one may be written, and writing it whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, PngImagePlugin

from impasto.errors import ImpastoError, OutputPathError

__all__ = [
    "OUTPUT_SUFFIXES",
    "ByteArray",
    "check_output_file",
    "check_output_path",
    "save_image",
]

ByteArray = npt.NDArray[np.uint8]
Metadata = Mapping[str, str]

IMAGE_DESCRIPTION = 0x010E
SOFTWARE = 0x0131


def _png(metadata: Metadata) -> dict[str, Any]:
    text = PngImagePlugin.PngInfo()
    for key, value in metadata.items():
        text.add_itxt(key, value)
    return {"format": "PNG", "pnginfo": text, "icc_profile": srgb_profile()}


def _jpeg(metadata: Metadata) -> dict[str, Any]:
    look = {"quality": 95, "subsampling": "4:4:4", "optimize": True}
    return {"format": "JPEG", **look, "exif": _exif(metadata), "icc_profile": srgb_profile()}


def _webp(metadata: Metadata) -> dict[str, Any]:
    # Lossy WebP halves the resolution of colour, which strokes of pure colour show.
    return {
        "format": "WEBP",
        "lossless": True,
        "exif": _exif(metadata),
        "icc_profile": srgb_profile(),
    }


def _tiff(metadata: Metadata) -> dict[str, Any]:
    return {
        "format": "TIFF",
        "compression": "tiff_adobe_deflate",
        "exif": _exif(metadata),
        "icc_profile": srgb_profile(),
    }


def _bmp(_metadata: Metadata) -> dict[str, Any]:
    return {"format": "BMP"}


_WRITERS: Mapping[str, Callable[[Metadata], dict[str, Any]]] = MappingProxyType(
    {
        ".png": _png,
        ".jpg": _jpeg,
        ".jpeg": _jpeg,
        ".webp": _webp,
        ".tif": _tiff,
        ".tiff": _tiff,
        ".bmp": _bmp,
    }
)
OUTPUT_SUFFIXES = tuple(_WRITERS)
"""Suffixes of output files, in lower case; upper case is accepted."""

_LONGEST_SIDE = {".webp": 16383, ".jpg": 65500, ".jpeg": 65500}
"""What the formats hold (libwebp, libjpeg), in pixels."""


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
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        found = f"has the suffix {path.suffix!r}" if path.suffix else "has no suffix"
        raise OutputPathError(f"Output {path} {found}; use one of {' '.join(OUTPUT_SUFFIXES)}.")
    if longest_side > _LONGEST_SIDE.get(suffix, longest_side):
        raise OutputPathError(
            f"Output {path}: {suffix} files are at most {_LONGEST_SIDE[suffix]} pixels long, and "
            f"{longest_side} were asked for. Use .png or .tif."
        )
    check_output_file(path, overwrite, inputs)


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
        raise OutputPathError(f"Output {path} cannot be written: {_why(error)}.") from None


def save_image(image: ByteArray, path: str | Path, *, metadata: Metadata | None = None) -> None:
    """Write a picture: the whole file appears at once, or nothing changes on disk.

    An existing file is replaced (:func:`check_output_path` is where that is refused); a symbolic
    link is followed.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3)
        uint8 sRGB.
    path : str or Path
        The suffix gives the format: PNG; JPEG with quality 95 and full colour resolution (4:4:4);
        lossless WebP; TIFF with deflate compression; BMP.
    metadata : mapping of str to str, optional
        PNG: one text chunk a key. JPEG, WebP and TIFF: a JSON object as EXIF image description,
        and ``Software``, if it is one of the keys, as EXIF software too. BMP has no place for it.

    Raises
    ------
    OutputPathError
        If the suffix is unknown.
    ImpastoError
        If the file cannot be written: disk full, no permission, directory gone, too large for
        the format.

    Notes
    -----
    All formats but BMP embed an sRGB profile. The file is written beside its final place and then
    renamed, without fsync: a power cut may cost it, but no full disk or Ctrl-C leaves half of it.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        check_output_path(path, overwrite=True)
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".impasto-{secrets.token_hex(8)}{suffix}")
    try:
        # Into memory first: given a real file, Pillow's JPEG and BMP writers hand it to the system
        # without looking whether all of it was written, and a full disk goes unnoticed.
        encoded = io.BytesIO()
        Image.fromarray(image).save(encoded, **_WRITERS[suffix](metadata or {}))
        # "x", and not tempfile: the file gets the permissions any new file of the user's gets.
        with draft.open("xb") as file:
            file.write(encoded.getbuffer())
        draft.replace(target)
    except (OSError, ValueError) as error:
        raise ImpastoError(
            f"{path} could not be written: {_why(error)}. Make room, or give another output path."
        ) from error
    finally:
        # After the rename there is no draft: this cleans up after errors and Ctrl-C only.
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


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


def _why(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(reason.split()) or type(error).__name__


def _exif(metadata: Metadata) -> Image.Exif:
    exif = Image.Exif()
    if metadata:
        # EXIF strings are ASCII: JSON escapes what is not.
        exif[IMAGE_DESCRIPTION] = json.dumps(dict(metadata))
    if "Software" in metadata:
        exif[SOFTWARE] = metadata["Software"].encode("ascii", "replace").decode()
    return exif


@functools.cache
def srgb_profile() -> bytes:
    """Return an sRGB ICC profile, the same bytes every time: LittleCMS would put the date in."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    creation_date = slice(24, 36)  # ICC.1:2022, table 17: six big-endian 16-bit numbers
    profile[creation_date] = b"".join(n.to_bytes(2, "big") for n in (2000, 1, 1, 0, 0, 0))
    return bytes(profile)
