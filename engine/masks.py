"""Masks: grey pictures of where something counts, read as any picture file is, untrusted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from impasto.engine.images import ByteArray, load_cutout
from impasto.engine.mixture import regions_of
from impasto.engine.option_files import EVERYWHERE
from impasto.engine.options import Options

__all__ = ["Masks", "load_mask", "load_masks", "multiplied", "resize_mask"]

Size = tuple[int, int]

PROPORTIONS = 1.03
"""Ratio of a mask's proportions to its picture's above which it is said that they differ."""


@dataclass(frozen=True)
class Masks:
    """The masks of a run, uint8 of shape (H, W) at the size of what they lie over.

    Parameters
    ----------
    regions : mapping of str to ndarray
        By the region's name.
    content : ndarray, optional
    styles : tuple of (ndarray or None)
        Of each style picture; empty where there are none.
    """

    regions: Mapping[str, ByteArray] = field(default_factory=lambda: MappingProxyType({}))
    content: ByteArray | None = None
    styles: tuple[ByteArray | None, ...] = ()


logger = logging.getLogger(__name__)


def load_mask(path: str, size: Size, max_pixels: int, flag: str) -> ByteArray:
    """Read a mask and give it the size of what it lies over.

    Parameters
    ----------
    path : str
        A picture file of any size and kind. Its brightness counts (luma of ITU-R BT.601, as it is
        stored, so that a grey of 128 is a half); what is transparent is black.
    size : (height, width)
    max_pixels : int
        Most pixels accepted.
    flag : str
        The option it was given for, for messages.

    Returns
    -------
    ndarray of shape (height, width)
        uint8, from 0 (black) to 255 (white).

    Raises
    ------
    ImageFileError
        If it cannot be read.
    """
    cutout = load_cutout(Path(path), max_pixels)
    grey = np.asarray(Image.fromarray(cutout.pixels).convert("L"))
    if cutout.alpha is not None:
        grey = multiplied(grey, cutout.alpha)
    (height, width), (rows, columns) = size, grey.shape
    proportions = (columns * height) / (rows * width)
    if not 1 / PROPORTIONS <= proportions <= PROPORTIONS:
        logger.warning(
            "%s %s is %dx%d and lies over a picture of %dx%d: it is stretched to fit.",
            *(flag, path, columns, rows, width, height),
        )
    mask = resize_mask(grey, size)
    if not mask.any():
        logger.warning("%s %s is all black: nothing counts there.", flag, path)
    return mask


def load_masks(
    options: Options, size: Size, style_sizes: Sequence[Size], alpha: ByteArray | None
) -> Masks:
    """Read the masks that options name.

    Parameters
    ----------
    options : Options
    size : (height, width)
        Of the content at the last scale.
    style_sizes : sequence of (height, width)
    alpha : ndarray of shape (height, width), optional
        Of the content: what is transparent counts nowhere.

    Raises
    ------
    ImageFileError
        If a file cannot be read.
    """

    def over_content(path: str, flag: str) -> ByteArray:
        if path in ("", EVERYWHERE):
            return alpha if alpha is not None else np.full(size, 255, np.uint8)
        mask = load_mask(path, size, options.max_pixels, flag)
        return mask if alpha is None else multiplied(mask, alpha)

    regions = regions_of(options, len(style_sizes), transparent=alpha is not None)
    content = bool(options.content_mask) or alpha is not None
    return Masks(
        regions={region.name: over_content(region.mask, "--mask") for region in regions},
        content=over_content(options.content_mask, "--content-mask") if content else None,
        styles=tuple(
            None
            if path == EVERYWHERE
            else load_mask(path, each, options.max_pixels, "--style-mask")
            for path, each in zip(options.style_mask, style_sizes, strict=False)
        ),
    )


def resize_mask(mask: ByteArray, size: Size) -> ByteArray:
    """Return a mask at (height, width); `mask` itself if it has that size already.

    Notes
    -----
    Pillow's BILINEAR, widened when shrinking: unlike LANCZOS, which pictures are resized with, it
    does not overshoot, and so puts no faint halo around an edge.
    """
    height, width = size
    if mask.shape == size:
        return mask
    resized = Image.fromarray(mask).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def multiplied(mask: ByteArray, other: ByteArray) -> ByteArray:
    """Return where both count: the product, white being 1; rounded."""
    product = mask.astype(np.uint16)
    product *= other
    product += 127
    product //= 255
    return product.astype(np.uint8)
