"""The pictures of a run: loaded once at the largest size needed, handed out at every scale's."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from impasto.engine.canvas import Canvas
from impasto.engine.color import matched_styles
from impasto.engine.cutouts import on_its_mean
from impasto.engine.images import (
    Cutout,
    fit,
    fit_cutout,
    load_cutout,
    load_image,
    picture_has_alpha,
    picture_size,
    resize,
)
from impasto.engine.masks import Masks, load_masks
from impasto.engine.mixture import ONE_EACH, check_style_layers
from impasto.engine.network import Network
from impasto.engine.options import INITS, Options, flags
from impasto.engine.resampling import fitted_size
from impasto.errors import OptionError

__all__ = [
    "Image",
    "Inputs",
    "Picture",
    "Subject",
    "check_inputs",
    "check_sizes",
    "load_inputs",
    "may_be_transparent",
    "picture_sizes",
    "scaled_sizes",
    "style_longest_sides",
]

Image = npt.NDArray[np.uint8]
Picture = Image | str | os.PathLike[str]
"""A picture as an array of shape (H, W, 3), uint8 RGB, or the path of its file."""

Subject = Picture | Canvas
"""What is painted: the content picture; or, for a texture, no more than a size."""

Size = tuple[int, int]

HUGE = 1 << 24
"""Pixels from which a JPEG is decoded at a fraction of its size, if that will do. The result then
differs by a level or two from that of the whole file; below, files and arrays give the same."""


@dataclass(frozen=True)
class Inputs:
    """The pictures of a run, uint8 RGB.

    Parameters
    ----------
    photo : ndarray of shape (H, W, 3), or None
        The content at the size of the last scale; None for a texture.
    styles : tuple of ndarray
        At that scale's style size, with the colours they are to be painted in.
    initial : ndarray, optional
        The picture to begin from, at the size of the last scale.
    masks : Masks
    cutout : Cutout, optional
        The content with its alpha, if any of it is transparent; `photo` is it on one colour then.
    """

    photo: Image | None
    styles: tuple[Image, ...]
    initial: Image | None
    masks: Masks = field(default_factory=Masks)
    cutout: Cutout | None = None

    @property
    def content(self) -> Image:
        """The content at the size of the last scale.

        Raises
        ------
        ValueError
            If this is a texture, which has none.
        """
        if self.photo is None:
            raise ValueError("A texture has no content picture.")
        return self.photo

    def content_at(self, size: Size) -> Image:
        """Return the content at (height, width)."""
        return _at(self.content, size)

    def styles_at(self, sizes: Sequence[Size]) -> list[Image]:
        """Return the styles at their (height, width)."""
        return [_at(style, size) for style, size in zip(self.styles, sizes, strict=True)]


def _at(picture: Image, size: Size) -> Image:
    height, width = size
    return picture if picture.shape[:2] == size else resize(picture, width, height)


def check_inputs(styles: Sequence[Picture], options: Options) -> None:
    """Refuse a wrong number of pictures before one is opened.

    Raises
    ------
    OptionError
        If there are none, or not as many as options that are given one each; or if a style layer
        is one of no style.
    """
    if isinstance(styles, str | os.PathLike):
        raise OptionError("styles is a single path; give a sequence: stylize(content, [style]).")
    if not styles:
        raise OptionError("No style picture is given; at least one is needed.")
    count = len(styles)
    for name in ONE_EACH:
        values = getattr(options, name)
        if isinstance(values, tuple) and values and len(values) != count:
            raise OptionError(
                f"{flags(name)[0]} has {len(values)} entries for {count} style "
                f"picture{'s' * (count != 1)}; give one each."
            )
    for number in options.layers_by_style:
        if number > count:
            raise OptionError(
                f"--layers-of is given for style picture {number}; there "
                f"{'is' if count == 1 else 'are'} {count}. The first is number 1."
            )
    check_style_layers(options, count)


def picture_sizes(
    content: Subject, styles: Sequence[Picture], options: Options
) -> tuple[Size, tuple[Size, ...]]:
    """Return (height, width) of the content and of each style; of files, only the head is read."""

    def size_of(picture: Subject) -> Size:
        if isinstance(picture, Canvas):
            return picture.size
        if isinstance(picture, np.ndarray):
            height, width, _ = _checked(picture).shape
            return height, width
        return picture_size(Path(picture), options.max_pixels)

    return size_of(content), tuple(map(size_of, styles))


def load_inputs(content: Subject, styles: Sequence[Picture], options: Options) -> Inputs:
    """Load the pictures of a run.

    Raises
    ------
    OptionError
        If an array is not a picture.
    ImageFileError
        If a file is not.
    """
    cutout: Cutout | None = None
    photo: Image | None = None
    if isinstance(content, Canvas):
        height, width = content.size
    else:
        loaded = _fitted_cutout(content, options.size, options.max_pixels)
        height, width, _ = loaded.pixels.shape
        cutout = None if loaded.alpha is None else loaded
        photo = on_its_mean(loaded)
    initial = None
    if options.init not in INITS:
        initial = resize(load_image(Path(options.init), options.max_pixels), width, height)
    sides = style_longest_sides(options, options.size, len(styles))
    paintings = tuple(
        _fitted(style, side, options.max_pixels) for style, side in zip(styles, sides, strict=True)
    )
    if photo is not None:
        paintings = matched_styles(paintings, photo, options.color)
    masks = load_masks(
        options,
        (height, width),
        [(style.shape[0], style.shape[1]) for style in paintings],
        None if cutout is None else cutout.alpha,
    )
    return Inputs(photo, paintings, initial, masks, cutout)


def style_longest_sides(options: Options, longest_side: int, count: int) -> tuple[int, ...]:
    """Return the longest sides of `count` styles where the content's is `longest_side`."""
    scale = options.style_scale
    scales = scale if isinstance(scale, tuple) else (scale,) * count
    return tuple(max(1, math.ceil(longest_side * each)) for each in scales)


def check_sizes(network: Network, content: Size, styles: Sequence[Size]) -> None:
    """Refuse pictures too small for the network's deepest layer.

    Raises
    ------
    OptionError
        If a feature map would be empty.
    """
    network.check_size(*content, "The content picture")
    for number, style in enumerate(styles, 1):
        network.check_size(*style, f"Style picture {number}")


def scaled_sizes(
    content: Size, styles: Sequence[Size], options: Options, longest_side: int, grid: int = 1
) -> tuple[Size, tuple[Size, ...]]:
    """Return the sizes of the image and the styles at one scale.

    Parameters
    ----------
    content, styles : (height, width)
        Of the pictures at any size.
    options : Options
    longest_side : int
        Of the image at this scale.
    grid : int
        The image's sides are rounded to multiples of it, once at least.
    """
    sides = style_longest_sides(options, longest_side, len(styles))
    height, width = (
        max(grid, round(side / grid) * grid) for side in fitted_size(*content, longest_side)
    )
    return (
        (height, width),
        tuple(fitted_size(*style, side) for style, side in zip(styles, sides, strict=True)),
    )


def _fitted(picture: Picture, longest_side: int, max_pixels: int) -> Image:
    if isinstance(picture, np.ndarray):
        return fit(_checked(picture), longest_side)
    height, width = picture_size(Path(picture), max_pixels)
    if height * width < HUGE:
        return fit(load_image(Path(picture), max_pixels), longest_side)
    return load_image(Path(picture), max_pixels, longest_side)


def _fitted_cutout(picture: Picture, longest_side: int, max_pixels: int) -> Cutout:
    """Return a picture with what alpha it has."""
    if isinstance(picture, np.ndarray) or not picture_has_alpha(Path(picture), max_pixels):
        return Cutout(_fitted(picture, longest_side, max_pixels))
    return fit_cutout(load_cutout(Path(picture), max_pixels), longest_side)


def may_be_transparent(subject: Subject, options: Options) -> bool:
    """Return whether a picture can have transparent parts; of a file, only the head is read."""
    if isinstance(subject, Canvas | np.ndarray):
        return False
    return picture_has_alpha(Path(subject), options.max_pixels)


def _checked(picture: Image) -> Image:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise OptionError(
            f"A picture given as an array is {picture.dtype} of shape {picture.shape}; it must be "
            "uint8 RGB of shape (height, width, 3)."
        )
    return picture
