"""Pictures: files to uint8 RGB arrays, arrays to the network's input and back, and sizes.

Every picture inside Impasto is an sRGB uint8 array of shape (H, W, 3). A picture file is untrusted:
Pillow decodes formats of a closed list only (none of them runs a program, as EPS does), its size is
checked before a pixel is decoded, and whatever it raises becomes an `ImageFileError`. How files are
written is in `impasto.engine.outputs`; callers find both here.
"""

from __future__ import annotations

import io
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from impasto.engine.outputs import OUTPUT_SUFFIXES, ByteArray, check_output_path, save_image
from impasto.engine.result import FloatArray
from impasto.errors import ImageFileError, OptionError

__all__ = [
    "MAX_PIXELS",
    "OUTPUT_SUFFIXES",
    "PICTURE_SUFFIXES",
    "ByteArray",
    "check_output_path",
    "fit",
    "from_network",
    "list_pictures",
    "load_image",
    "resize",
    "save_image",
    "to_network",
]

MAX_PIXELS = 89_478_485
"""Most pixels of a picture file, by default: Pillow's own number, a quarter of a GiB at 3 bytes."""

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
PICTURE_SUFFIXES = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"),
        *(".gif", ".ppm", ".pgm", ".jp2", ".avif"),
    }
)
"""Suffixes of the files a directory of pictures is searched for, in lower case."""

log = logging.getLogger(__name__)
_pillow = threading.RLock()


def load_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> ByteArray:
    """Read a picture file as it is meant to look on an sRGB screen.

    The first frame is turned as its EXIF orientation says, converted from its ICC profile to sRGB
    (relative colorimetric, with black point compensation), reduced to 8 bits, and laid on white
    where it is transparent. A profile that is damaged, or of another colour space than the
    picture, is ignored with a warning in the log.

    Parameters
    ----------
    path : str or Path
        A PNG, JPEG, WebP, TIFF, BMP, GIF, PPM, JPEG 2000 or AVIF file, told by its content.
    max_pixels : int
        Most pixels accepted.

    Returns
    -------
    ndarray of shape (H, W, 3)
        uint8 RGB; the caller's own.

    Raises
    ------
    ImageFileError
        If the file is missing, no regular file, unreadable, empty, cut short, damaged, not a
        picture, of a kind whose values have no agreed range, or larger than `max_pixels`.
    """
    path = Path(path)
    _check_file(path)
    try:
        with _pillow_without_limit(), Image.open(path, formats=_formats()) as image:
            _check_size(path, image.size, max_pixels)
            image.load()
            _turn_upright(image, path)
            return np.array(_to_srgb(image, path))
    except ImageFileError:
        raise
    except MemoryError:
        raise ImageFileError(
            f"{path}: not enough memory to decode it. Give a smaller one."
        ) from None
    except PermissionError:
        raise ImageFileError(f"{path}: no permission to read it.") from None
    except UnidentifiedImageError:
        raise ImageFileError(
            f"{path} is not a picture this program can read. It reads {', '.join(FORMATS)}."
        ) from None
    # Pillow's decoders raise nearly every exception there is on a hostile or damaged file.
    except Exception as error:
        raise ImageFileError(
            f"{path} cannot be decoded: it is cut short or damaged ({_in_a_line(error)}). "
            "Give an intact copy."
        ) from error


def list_pictures(directory: str | Path) -> list[Path]:
    """Return the picture files of a directory by suffix, sorted by name; hidden ones are left out.

    Raises
    ------
    ImageFileError
        If it is no directory, cannot be read, or holds no picture.
    """
    directory = Path(directory)
    try:
        entries = sorted(directory.iterdir())
    except OSError as error:
        raise ImageFileError(f"{directory}: cannot be listed ({error.strerror}).") from None
    pictures = [
        entry
        for entry in entries
        if entry.suffix.lower() in PICTURE_SUFFIXES
        and not entry.name.startswith(".")
        and entry.is_file()
    ]
    if not pictures:
        raise ImageFileError(
            f"{directory}: no picture in this directory. Files are taken by suffix: "
            f"{' '.join(sorted(PICTURE_SUFFIXES))}."
        )
    return pictures


def fit(image: ByteArray, longest_side: int) -> ByteArray:
    """Resize so that the longest side is exactly `longest_side` pixels, up or down.

    The other side keeps the proportions, rounded to the nearest pixel (halves up), at least 1.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3)
    longest_side : int

    Returns
    -------
    ndarray
        `image` itself if it has that size already.

    Raises
    ------
    OptionError
        If `longest_side` is not positive.

    Notes
    -----
    See :func:`resize` for the filter.
    """
    if longest_side < 1:
        raise OptionError(f"A size of {longest_side} pixels was asked; it takes 1 or more.")
    height, width, _ = image.shape
    longest = max(height, width)
    height, width = (
        max(1, (2 * side * longest_side + longest) // (2 * longest)) for side in (height, width)
    )
    return resize(image, width, height)


def resize(image: ByteArray, width: int, height: int) -> ByteArray:
    """Resize to `width` x `height` pixels; `image` itself if it has that size already.

    Notes
    -----
    The filter is Pillow's LANCZOS (a = 3, widened when shrinking, so that nothing aliases), on the
    gamma-encoded values: the network was trained on pictures resized that way. Unlike
    jcjohnson/neural-style, whose ``image.scale`` averages the covered pixels when it shrinks and
    interpolates linearly when it enlarges: both blur the strokes and grain that a style is made
    of. Overshoot at edges is clipped to 0-255.
    """
    if image.shape[:2] == (height, width):
        return image
    small = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    return np.array(small)


def to_network(image: ByteArray) -> FloatArray:
    """Return a picture as the network takes it: float32 RGB 0-255, contiguous, (1, 3, H, W)."""
    return image.transpose(2, 0, 1).astype(np.float32, order="C")[np.newaxis]


def from_network(image: FloatArray) -> ByteArray:
    """Return an image of shape (1, 3, H, W) as a picture: rounded (halves to even) and clipped."""
    values = np.clip(image[0], 0, 255)
    pixels: ByteArray = np.rint(values, out=values).transpose(1, 2, 0).astype(np.uint8, order="C")
    return pixels


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise ImageFileError(f"{path} is a directory; a picture file was expected.")
        if not path.exists():
            raise ImageFileError(f"{path}: there is no such file.")
        if not path.is_file():
            raise ImageFileError(f"{path} is no regular file; a picture file was expected.")
        if path.stat().st_size == 0:
            raise ImageFileError(f"{path} is empty; a picture file was expected.")
    except (OSError, ValueError) as error:
        raise ImageFileError(f"{path}: cannot be read ({_in_a_line(error)}).") from None


def _check_size(path: Path, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageFileError(f"{path} is {width}x{height} pixels: there is nothing to see.")
    if width * height > max_pixels:
        raise ImageFileError(
            f"{path} is {width}x{height}, {width * height:,} pixels; at most {max_pixels:,} are "
            "accepted. Give a smaller picture."
        )


@contextmanager
def _pillow_without_limit() -> Iterator[None]:
    """Let this module check sizes: Pillow's own limit is global, warns, and names no file.

    Pillow's warnings about odd metadata and the like are not for the person who gave the file.
    """
    with _pillow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _formats() -> tuple[str, ...]:
    # Pillow fails with a KeyError on names it was built without.
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _in_a_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _turn_upright(image: Image.Image, path: Path) -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception as error:  # EXIF is a file format of its own, and as often damaged
        log.warning("%s: EXIF orientation ignored: %s", path, _in_a_line(error))


def _to_srgb(image: Image.Image, path: Path) -> Image.Image:
    """Convert any mode to opaque sRGB."""
    profile = image.info.get("icc_profile")
    image = _to_8_bits(image, path)
    alpha = None
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA") if image.mode != "LA" else image
        alpha = with_alpha.getchannel("A")
        image = with_alpha.convert(with_alpha.mode.removesuffix("A"))
    elif image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    image = _from_profile(image, profile, path) if profile else image.convert("RGB")
    if alpha is not None:
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=alpha)
        return white
    return image


def _to_8_bits(image: Image.Image, path: Path) -> Image.Image:
    """Convert single-channel modes of more than 8 bits, which Pillow's own conversion clips."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        unit = 1.0 if image.mode == "F" else 65535.0
        if not (values.min() >= 0 and values.max() <= unit):
            raise ImageFileError(
                f"{path} holds values from {values.min():g} to {values.max():g}, and nothing says "
                f"which of them is white; 0 to {unit:g} was expected. Save it with 8 or 16 bits."
            )
        return Image.fromarray(np.rint(values * (255 / unit)).astype(np.uint8))
    return image


def _from_profile(image: Image.Image, data: bytes, path: Path) -> Image.Image:
    """Convert from an ICC profile to sRGB, or as if there were none if it is of no use."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        if image.mode == "L" and profile.profile.xcolor_space.strip() == "RGB":
            image = image.convert("RGB")
        # A profile of another colour space than the picture's is refused by LittleCMS.
        transform = ImageCms.buildTransform(
            profile,
            ImageCms.createProfile("sRGB"),
            image.mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        converted = ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        log.warning("%s: ICC profile ignored: %s", path, _in_a_line(error))
        converted = None
    return image.convert("RGB") if converted is None else converted
