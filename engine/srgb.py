"""What a picture is inside Impasto, sRGB uint8, and how every kind of decoded pixel becomes that.

A large picture is converted in strips: beside Pillow's decoded image, of 4 bytes a pixel, there is
the one array that is returned, of 3, and nothing else of that size.
"""

from __future__ import annotations

import functools
import io
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms

from impasto.engine.picture_kinds import Tones, tones_of
from impasto.errors import ImageFileError

__all__ = [
    "ByteArray",
    "Cutout",
    "cutout_of",
    "in_a_line",
    "pixels_of",
    "row_strips",
    "srgb_profile",
    "to_srgb",
]

ByteArray = npt.NDArray[np.uint8]
"""A picture: sRGB, of shape (H, W, 3); or a plane of one, of shape (H, W)."""

STRIP_PIXELS = 2**18
"""Pixels converted at a time, unless a single row has more."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cutout:
    """A picture and its alpha.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3)
        uint8 sRGB, not multiplied by alpha. Where alpha is 0 they mean nothing: black, often.
    alpha : ndarray of shape (H, W), optional
        uint8, from 0 (transparent) to 255 (opaque); None if all of it is opaque.
    """

    pixels: ByteArray
    alpha: ByteArray | None = None

    def on_white(self) -> ByteArray:
        """Return the picture laid on white; `pixels` themselves if all of it is opaque."""
        if self.alpha is None:
            return self.pixels
        laid = np.empty_like(self.pixels)
        for rows in row_strips(*self.alpha.shape):
            colours, alpha = (Image.fromarray(each[rows]) for each in (self.pixels, self.alpha))
            laid[rows] = np.asarray(_on_white(colours, alpha))
        return laid


_FORWARD, _BACK = slice(None), slice(None, None, -1)
_TURNS: Mapping[object, tuple[slice, slice, bool]] = {
    # EXIF 2.3, tag 274: for each orientation, the directions of the upright picture's rows and
    # columns in which the stored pixels run, and whether the two are then exchanged.
    2: (_FORWARD, _BACK, False),
    3: (_BACK, _BACK, False),
    4: (_BACK, _FORWARD, False),
    5: (_FORWARD, _FORWARD, True),
    6: (_FORWARD, _BACK, True),
    7: (_BACK, _BACK, True),
    8: (_BACK, _FORWARD, True),
}


def row_strips(height: int, width: int) -> Iterator[slice]:
    """Yield slices that cover `height` rows, of about :data:`STRIP_PIXELS` pixels each."""
    rows = max(1, STRIP_PIXELS // max(1, width))
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def pixels_of(image: Image.Image) -> ByteArray:
    """Copy the colours of an RGB(A) image; NumPy's own way makes three copies of all of them."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for rows, strip in _strips(image):
        pixels[rows] = np.asarray(strip)[..., :3]
    return pixels


def to_srgb(image: Image.Image, path: Path) -> ByteArray:
    """Convert a decoded image of any mode to a picture as it is meant to look.

    Turned as its EXIF orientation says, reduced to 8 bits, converted from its ICC profile to sRGB
    (relative colorimetric, with black point compensation), and laid on white where it is
    transparent. EXIF data or a profile of no use are ignored with a warning in the log.

    Parameters
    ----------
    image : Image
        Decoded.
    path : Path
        The file it is from, for messages.

    Raises
    ------
    ImageFileError
        If its values have no agreed range.
    """
    return _converted(image, path, keep_alpha=False).pixels


def cutout_of(image: Image.Image, path: Path) -> Cutout:
    """Convert a decoded image as :func:`to_srgb` does, but keep its alpha beside the colours."""
    return _converted(image, path, keep_alpha=True)


def in_a_line(error: BaseException) -> str:
    """Return what an error says, for a message of one line."""
    return " ".join(str(error).split()) or type(error).__name__


@functools.cache
def srgb_profile() -> bytes:
    """Return an sRGB ICC profile, the same bytes every time: LittleCMS would put the date in."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    creation_date = slice(24, 36)  # ICC.1:2022, table 17: six big-endian 16-bit numbers
    profile[creation_date] = b"".join(n.to_bytes(2, "big") for n in (2000, 1, 1, 0, 0, 0))
    return bytes(profile)


def _strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    for rows in row_strips(image.height, image.width):
        whole = rows == slice(0, image.height)
        yield rows, image if whole else image.crop((0, rows.start, image.width, rows.stop))


def _converted(image: Image.Image, path: Path, keep_alpha: bool) -> Cutout:
    """Convert a decoded image; laid on white where it is transparent unless alpha is kept."""
    orientation = _orientation(image, path)
    keep_alpha = keep_alpha and image.has_transparency_data
    pixels, stored = _upright(image, orientation, 3)
    alphas, stored_alpha = _upright(image, orientation, 1) if keep_alpha else (None, None)
    tones, key = _checked_tones(image, path), image.info.get("transparency")
    profile: bytes | None = image.info.get("icc_profile")
    conversion: _Conversion | None = None
    for rows, strip in _strips(image):
        colours, alpha = _without_alpha(strip if tones is None else _to_8_bits(strip, tones, key))
        if profile:
            conversion, profile = _conversion(profile, colours.mode, path), None
        rgb = colours.convert("RGB") if conversion is None else conversion(colours)
        if stored_alpha is not None:
            stored_alpha[rows, :, 0] = np.asarray(alpha)
        elif alpha is not None:
            rgb = _on_white(rgb, alpha)
        stored[rows] = np.asarray(rgb)
    if alphas is None or alphas.min() == 255:
        return Cutout(pixels)
    return Cutout(pixels, alphas[..., 0])


def _upright(image: Image.Image, orientation: object, channels: int) -> tuple[ByteArray, ByteArray]:
    """Return an array for the upright picture, and its view in the order of the stored pixels."""
    rows, columns, exchanged = _TURNS.get(orientation, (_FORWARD, _FORWARD, False))
    width, height = reversed(image.size) if exchanged else image.size
    pixels = np.empty((height, width, channels), np.uint8)
    stored = pixels[rows, columns]
    return pixels, stored.transpose(1, 0, 2) if exchanged else stored


def _orientation(image: Image.Image, path: Path) -> Any:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception as error:  # EXIF is a file format of its own, and as often damaged
        log.warning("%s: EXIF orientation ignored: %s", path, in_a_line(error))
        return None


def _checked_tones(image: Image.Image, path: Path) -> Tones | None:
    """Return what the numbers mean, in modes of more than 8 bits; refuse those out of range."""
    tones = tones_of(image)
    if tones is None:
        return None
    low, high = np.inf, -np.inf
    for _, strip in _strips(image):
        values = np.asarray(strip)
        # Unlike Python's min and max, these pass NaN on.
        low, high = np.minimum(low, values.min()), np.maximum(high, values.max())
    if not (low >= 0 and high <= tones.most):
        raise ImageFileError(
            f"{path} holds values from {low:g} to {high:g}, and nothing says "
            f"which of them is white; 0 to {tones.most:g} was expected. Save it with 8 or 16 bits."
        )
    return tones


def _to_8_bits(image: Image.Image, tones: Tones, key: object) -> Image.Image:
    """Divide values of more than 8 bits, which Pillow's own conversion clips.

    Where `key`, the one transparent value, is a number, the result has an alpha channel.
    """
    values = np.asarray(image)
    levels = np.rint(values.astype(np.float64) * (255 / tones.most)).astype(np.uint8)
    grey = Image.fromarray(255 - levels if tones.inverted else levels)
    if not isinstance(key, int):
        return grey
    alpha = Image.fromarray(np.where(values == key, np.uint8(0), np.uint8(255)))
    return Image.merge("LA", (grey, alpha))


def _without_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return an image in mode RGB, L or CMYK, and its alpha channel if it has one."""
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA") if image.mode != "LA" else image
        return with_alpha.convert(with_alpha.mode.removesuffix("A")), with_alpha.getchannel("A")
    if image.mode not in ("RGB", "L", "CMYK"):
        return image.convert("L" if image.mode == "1" else "RGB"), None
    return image, None


def _on_white(image: Image.Image, alpha: Image.Image) -> Image.Image:
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=alpha)
    return white


class _Conversion:
    """The conversion from an ICC profile to sRGB.

    Raises
    ------
    PyCMSError, OSError, ValueError, TypeError
        If the profile is damaged, or of another colour space than `mode`.
    """

    def __init__(self, data: bytes, mode: str) -> None:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        is_rgb = profile.profile.xcolor_space.strip() == "RGB"
        self._mode = "RGB" if mode == "L" and is_rgb else mode
        # A profile of another colour space than the picture's is refused by LittleCMS.
        self._transform = ImageCms.buildTransform(
            profile,
            ImageCms.createProfile("sRGB"),
            self._mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )

    def __call__(self, image: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(image.convert(self._mode), self._transform)
        if converted is None:  # with inPlace only
            raise ImageCms.PyCMSError("no image came back")
        return converted


def _conversion(data: bytes, mode: str, path: Path) -> _Conversion | None:
    try:
        return _Conversion(data, mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        log.warning("%s: ICC profile ignored: %s", path, in_a_line(error))
        return None
