"""Kinds of picture files that Pillow opens and would show wrongly, or in part without a word.

Read from headers, before anything is decoded. TIFF 6.0 numbers the tags.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFile, TiffImagePlugin

from impasto.errors import ImageFileError

__all__ = ["Tones", "check_animation", "check_kind", "tones_of"]

BITS, PHOTOMETRIC, PLANES, SAMPLE_FORMAT = 258, 262, 284, 339
WHITE_IS_ZERO, SEPARATE, SIGNED = 0, 2, 2

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tones:
    """What the numbers of a grey picture of more than 8 bits mean.

    Parameters
    ----------
    most : float
        The largest, which is white, or black if `inverted`; 0 is the other.
    inverted : bool
    """

    most: float
    inverted: bool = False


def check_animation(image: ImageFile.ImageFile, path: Path) -> None:
    """Refuse a picture that moves: which of its frames is meant cannot be known.

    Several pictures in one file that do not move are another matter: of a TIFF file's pages the
    first is taken, with a warning in the log, and of a camera's MPO file too.

    Raises
    ------
    ImageFileError
    """
    if not getattr(image, "is_animated", False) or image.format == "MPO":
        return
    if image.format == "TIFF":
        log.warning("%s has several pages; the first is taken", path)
        return
    raise ImageFileError(
        f"{path} is an animation, and one picture was expected. Save the frame that is meant as a "
        "picture; `impasto video` paints all frames."
    )


def check_kind(image: ImageFile.ImageFile, path: Path) -> None:
    """Refuse kinds of pixels that would be decoded wrongly.

    Raises
    ------
    ImageFileError
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tiff(image, path)
    elif image.format == "PNG" and image.mode == "RGB" and _has_deep_key(image):
        log.warning("%s: one colour of 16 bits is transparent, which is ignored", path)
        del image.info["transparency"]


def tones_of(image: Image.Image) -> Tones | None:
    """Return what the numbers of an image mean; None in modes of 8 bits, where they are known."""
    if image.mode == "F":
        return Tones(1.0)
    if not image.mode.startswith("I"):
        return None
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return Tones(65535.0)
    bits = _numbers(image, BITS)
    inverted = image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO
    return Tones(4095.0 if bits == (12,) else 65535.0, inverted)


def _check_tiff(image: TiffImagePlugin.TiffImageFile, path: Path) -> None:
    deep = max(_numbers(image, BITS), default=1) > 8
    if deep and SIGNED in _numbers(image, SAMPLE_FORMAT):
        raise ImageFileError(
            f"{path} holds signed numbers, and nothing says which of them is white. Save it with "
            "8 or 16 bits without a sign."
        )
    if deep and len(_numbers(image, BITS)) > 1 and image.tag_v2.get(PLANES) == SEPARATE:
        raise ImageFileError(
            f"{path} holds more than 8 bits in one plane for each colour, which is not read. Save "
            "it with the colours of a pixel side by side (interleaved), or with 8 bits."
        )


def _numbers(image: TiffImagePlugin.TiffImageFile, tag: int) -> tuple[int, ...]:
    """Return the numbers of a tag, which may be absent or something else altogether."""
    value = image.tag_v2.get(tag, ())
    values = value if isinstance(value, tuple) else (value,)
    return tuple(number for number in values if isinstance(number, int))


def _has_deep_key(image: ImageFile.ImageFile) -> bool:
    """Say whether a picture has a transparent colour, and 16 bits of which Pillow keeps 8."""
    deep = any("16" in str(tile.args) for tile in image.tile)
    return deep and "transparency" in image.info
