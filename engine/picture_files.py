"""Picture files, read as untrusted: closed list of formats, sizes checked before decoding.

Pillow decodes formats of the list only (none of them runs a program, as EPS does), and whatever it
raises becomes an `ImageFileError`.

Pillow's own protection against decompression bombs is one number for the whole process,
`PIL.Image.MAX_IMAGE_PIXELS`: ``Image.open`` warns of larger pictures and refuses those of more
than twice as many pixels, without saying how large they are; some of its decoders look at it too.
It is never switched off here. Files are opened as ``Image.open`` does, but checked against the
caller's own limit; and only if that limit is the higher one is Pillow's number raised to it, for as
long as the file is decoded. Loads exclude each other meanwhile; another thread that uses Pillow
itself finds the higher number.
"""

from __future__ import annotations

import struct
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from impasto.engine.options import MAX_PIXELS
from impasto.engine.picture_kinds import check_animation, check_kind
from impasto.engine.resampling import fit, fit_cutout, fitted_size
from impasto.engine.srgb import ByteArray, Cutout, cutout_of, in_a_line, to_srgb
from impasto.errors import ImageFileError, UsageError

__all__ = [
    "MAX_PIXELS",
    "PICTURE_SUFFIXES",
    "PictureTexts",
    "list_pictures",
    "load_cutout",
    "load_image",
    "picture_has_alpha",
    "picture_size",
    "picture_texts",
]

Decoded = TypeVar("Decoded")

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
PICTURE_SUFFIXES = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"),
        *(".gif", ".ppm", ".pgm", ".jp2", ".avif"),
    }
)
"""Suffixes of the files a directory of pictures is searched for, in lower case."""

DRAFT_SCALES = (8, 4, 2)
"""What libjpeg can divide a picture's size by while decoding, by leaving out high frequencies."""

DRAFT_MARGIN = 2
"""How many times the wanted size is decoded at least, before Lanczos does the rest.

On the pictures in examples/, a file decoded in full and one decoded so differ by 43 dB PSNR or
better; with a margin of 1, by 30 dB, and visibly softer.
"""

TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_pillow = threading.RLock()


def load_image(
    path: str | Path, max_pixels: int = MAX_PIXELS, longest_side: int | None = None
) -> ByteArray:
    """Read a picture file as it is meant to look on an sRGB screen.

    It is turned as its EXIF orientation says, converted from its ICC profile to sRGB
    (relative colorimetric, with black point compensation), reduced to 8 bits, and laid on white
    where it is transparent. A profile that is damaged, or of another colour space than the
    picture, is ignored with a warning in the log.

    Parameters
    ----------
    path : str or Path
        A PNG, JPEG, WebP, TIFF, BMP, GIF, PPM, JPEG 2000 or AVIF file, told by its content.
    max_pixels : int
        Most pixels accepted.
    longest_side : int, optional
        Give the picture this longest side, as :func:`~impasto.engine.resampling.fit` would. A
        JPEG file of at least four times that size is not decoded in full for it, but at a half, a
        quarter or an eighth of its size, and never at less than twice the wanted one: the
        difference cannot be seen.

    Returns
    -------
    ndarray of shape (H, W, 3)
        uint8 RGB; the caller's own.

    Raises
    ------
    ImageFileError
        If the file is missing, no regular file, unreadable, empty, cut short, damaged, not a
        picture, an animation, of a kind whose values have no agreed range, or larger than
        `max_pixels`.
    OptionError
        If `longest_side` is not positive.

    Notes
    -----
    Decoding takes 7 bytes a pixel at most, of the file or of the draft; a progressive JPEG file
    about as much again, since all of it arrives before the first pixel can be known.
    """
    pixels = _decoded(Path(path), max_pixels, longest_side, to_srgb)
    return pixels if longest_side is None else fit(pixels, longest_side)


def load_cutout(
    path: str | Path, max_pixels: int = MAX_PIXELS, longest_side: int | None = None
) -> Cutout:
    """Read a picture file as :func:`load_image` does, but with its alpha instead of on white.

    Parameters and errors are those of :func:`load_image`.

    Returns
    -------
    Cutout
        Its ``on_white()`` is what :func:`load_image` gives without `longest_side`. With it,
        colours are weighted by alpha, so that what is transparent does not show at the edges.
    """
    cutout = _decoded(Path(path), max_pixels, longest_side, cutout_of)
    return cutout if longest_side is None else fit_cutout(cutout, longest_side)


def picture_has_alpha(path: str | Path, max_pixels: int = MAX_PIXELS) -> bool:
    """Return whether a picture file may be transparent in parts, from its header.

    Raises
    ------
    ImageFileError
        As :func:`load_image`, as far as the header tells.
    """
    with _opened(Path(path), max_pixels) as image:
        return bool(image.has_transparency_data)


def picture_size(
    path: str | Path, max_pixels: int = MAX_PIXELS, *, animated: bool = False
) -> tuple[int, int]:
    """Return the height and width :func:`load_image` would give, from the file's header.

    With `animated`, also of an animation, which :func:`load_image` refuses.

    Raises
    ------
    ImageFileError
        As :func:`load_image`, as far as the header tells.
    """
    path = Path(path)
    with _opened(path, max_pixels) as image:
        if not animated:
            check_animation(image, path)
        width, height = image.size
        try:
            # Not the method of PNG files, which decodes the picture to find EXIF data behind it.
            orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
        except Exception:  # EXIF is a file format of its own, and as often damaged
            orientation = None
    # Of TIFF files, Pillow turns the size by itself, and before the pixels.
    turned = orientation in (5, 6, 7, 8) and image.format != "TIFF"
    return (width, height) if turned else (height, width)


@dataclass(frozen=True)
class PictureTexts:
    """What a picture file's header tells.

    Parameters
    ----------
    format : str
        Pillow's name of it, such as ``PNG``.
    size : tuple of int
        (height, width) in pixels, as stored.
    texts : mapping of str to str
        PNG's texts by their keys; of other formats, EXIF's image description as ``description``
        and its software as ``Software``.
    """

    format: str
    size: tuple[int, int]
    texts: Mapping[str, str]


def picture_texts(path: str | Path, max_pixels: int = MAX_PIXELS) -> PictureTexts:
    """Return format, size and texts from a file's header; damaged texts are left out.

    Raises
    ------
    ImageFileError
        As :func:`load_image`, as far as the header tells.
    """
    with _opened(Path(path), max_pixels) as image:
        texts = {str(key): text for key, text in image.info.items() if isinstance(text, str)}
        if image.format != "PNG":
            texts |= _exif_texts(image)
        width, height = image.size
        return PictureTexts(image.format or "", (height, width), texts)


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


def _decoded(
    path: Path,
    max_pixels: int,
    longest_side: int | None,
    convert: Callable[[Image.Image, Path], Decoded],
) -> Decoded:
    """Decode a file, a JPEG file to no more than it takes; Pillow's image is gone on return."""
    with _opened(path, max_pixels) as image:
        check_animation(image, path)
        wanted = image if longest_side is None else _draft(image, longest_side)
        wanted.load()
        return convert(wanted, path)


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """Open a picture file of at most `max_pixels`; what decoding it raises is turned to errors."""
    _check_file(path)
    try:
        with path.open("rb") as file, _pillow_limit(max_pixels), _identified(file, path) as image:
            _check_size(path, image.size, max_pixels)
            check_kind(image, path)
            yield image
    except UsageError:
        raise
    except MemoryError:
        raise ImageFileError(
            f"{path}: not enough memory to decode it. Give a smaller one."
        ) from None
    except PermissionError:
        raise ImageFileError(f"{path}: no permission to read it.") from None
    except UnidentifiedImageError:
        raise ImageFileError(_unidentified(path)) from None
    except Image.DecompressionBombError as error:
        # From a decoder, of something inside the file that is larger than its header says.
        raise ImageFileError(
            f"{path} is larger than the {max_pixels:,} pixels that are accepted: "
            f"{in_a_line(error)} Give a smaller picture, or a higher --max-pixels."
        ) from None
    # Pillow's decoders raise nearly every exception there is on a hostile or damaged file.
    except Exception as error:
        raise ImageFileError(
            f"{path} cannot be decoded: it is cut short or damaged ({in_a_line(error)}). "
            "Give an intact copy."
        ) from error


def _exif_texts(image: Image.Image) -> dict[str, str]:
    tags = {"description": ExifTags.Base.ImageDescription, "Software": ExifTags.Base.Software}
    try:
        exif = image.getexif()
        found = {name: exif.get(tag) for name, tag in tags.items()}
    except Exception:  # EXIF is a file format of its own, and as often damaged
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _unidentified(path: Path) -> str:
    """Say of a file in none of the formats, or that no reader takes, what is wrong."""
    with path.open("rb") as file:
        head = file.read(16)
    if head[:4] in TIFF_HEADS:
        return (
            f"{path} is a TIFF file that is damaged, or of a kind that is not read. Save it as "
            "grey, RGB or CMYK with 8 or 16 bits."
        )
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return f"{path} is a HEIC picture, which is not read. Save it as JPEG, PNG or AVIF."
    return f"{path} is not a picture this program can read. It reads {', '.join(FORMATS)}."


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
        raise ImageFileError(f"{path}: cannot be read ({in_a_line(error)}).") from None


def _check_size(path: Path, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageFileError(f"{path} is {width}x{height} pixels: there is nothing to see.")
    if width * height > max_pixels:
        raise ImageFileError(
            f"{path} is {width}x{height}, {width * height:,} pixels; at most {max_pixels:,} are "
            "accepted. Give a smaller picture, or a higher --max-pixels if you trust the file."
        )


@contextmanager
def _pillow_limit(max_pixels: int) -> Iterator[None]:
    """Raise Pillow's limit to `max_pixels` if it is lower, and keep Pillow's warnings quiet.

    They are about odd metadata and the like, and not for the person who gave the file.
    """
    with _pillow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and limit < max_pixels:
            Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _identified(file: BinaryIO, path: Path) -> ImageFile.ImageFile:
    """Find the format of a file and read its header, as ``Image.open`` does but for its limit."""
    Image.init()
    head = file.read(16)
    # Pillow may have been built without some of them.
    for factory, accept in (Image.OPEN[name] for name in FORMATS if name in Image.OPEN):
        accepted = accept is None or accept(head)
        if not accepted or isinstance(accepted, str):  # the text says why not
            continue
        file.seek(0)
        try:
            return factory(file, str(path))
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue  # how Pillow's readers say that the file is not for them
    raise UnidentifiedImageError


def _draft(image: ImageFile.ImageFile, longest_side: int) -> Image.Image:
    """Decode a JPEG file that is much too large at a fraction of its size, and fit that."""
    width, height = image.size
    fitted_height, fitted_width = fitted_size(height, width, longest_side)
    scales = [s for s in DRAFT_SCALES if max(width, height) >= s * DRAFT_MARGIN * longest_side]
    if not scales or image.format not in ("JPEG", "MPO"):
        return image
    drafted = image.draft(None, (max(1, width // scales[0]), max(1, height // scales[0])))
    if drafted is None:
        return image
    # Rows and columns are rounded up: the last ones may lie beyond the picture in part.
    _, inside = drafted
    return image.resize((fitted_width, fitted_height), Image.Resampling.LANCZOS, box=inside)
