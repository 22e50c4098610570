"""Whose colours a painted picture has: the style's, or the content's in one of four ways.

========================== ======================================================================
``--color``
========================== ======================================================================
``style``                  as the optimisation leaves them: the style's
``content-luma``           light of the result, colours of the content, pixel by pixel, in YUV
``content-luma-lab``       the same in CIELAB, whose lightness is closer to what eyes see
``content-match``          the result's colours moved to the content's mean and covariance
``style-match``            the style pictures' colours moved there, before anything is painted
========================== ======================================================================

Gatys et al. (2016), arXiv:1606.05897, has ``style-match`` (section 2) and painting in the luminance
alone (section 3). Deviation, as in jcjohnson/neural-style: the two ``luma`` ways paint in colour,
and only the light of the finished picture is used; the paper gives the network grey pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.engine.cielab import lab_of, rgb_of
from impasto.engine.color_transfer import color_statistics, linear_transfer, match_colors
from impasto.engine.depth import Depth, unit_of
from impasto.engine.images import ByteArray, resize
from impasto.engine.srgb import row_strips

__all__ = [
    "RGB_TO_YUV",
    "YUV_TO_RGB",
    "content_chroma_lab",
    "content_chroma_yuv",
    "matched_styles",
    "with_colors",
]

Floats = npt.NDArray[Any]
"""float32 or float64."""

RGB_TO_YUV = np.array(
    [[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]], np.float32
)
"""Y, U and V in rows: ITU-R BT.601 luma and analogue YUV, to the digits of torch/image's
``rgb2yuv``, which jcjohnson/neural-style uses."""

YUV_TO_RGB = np.array([[1, 0, 1.13983], [1, -0.39465, -0.58060], [1, 2.03211, 0]], np.float32)
"""R, G and B in rows, to the digits of torch/image's ``yuv2rgb``: the inverse to 5 digits."""


def with_colors(painted: npt.NDArray[Depth], content: ByteArray, color: str) -> npt.NDArray[Depth]:
    """Return the picture to show of a painted one.

    Parameters
    ----------
    painted : ndarray of shape (H, W, 3)
        RGB, uint8 or uint16; left alone.
    content : ndarray of shape (h, w, 3)
        uint8 RGB, of any size.
    color : str
        The option `color`.

    Returns
    -------
    ndarray of shape (H, W, 3)
        RGB with as many bits; `painted` itself if its colours stay.
    """
    if color == "content-match":
        return match_colors(painted, content)
    if color == "content-luma":
        return content_chroma_yuv(painted, content)
    return content_chroma_lab(painted, content) if color == "content-luma-lab" else painted


def matched_styles(
    styles: tuple[ByteArray, ...], content: ByteArray, color: str
) -> tuple[ByteArray, ...]:
    """Return the style pictures to paint with: of ``style-match`` each with the content's colours.

    Parameters
    ----------
    styles : tuple of ndarray of shape (h, w, 3)
        uint8 RGB; left alone.
    content : ndarray of shape (H, W, 3)
        uint8 RGB.
    color : str
        The option `color`.
    """
    if color != "style-match":
        return styles
    wanted = color_statistics(content)
    return tuple(linear_transfer(color_statistics(style), wanted)(style) for style in styles)


def content_chroma_yuv(painted: npt.NDArray[Depth], content: ByteArray) -> npt.NDArray[Depth]:
    """Return the luma (Y) of `painted` with the chroma (U, V) of `content`.

    Parameters
    ----------
    painted : ndarray of shape (H, W, 3)
        RGB, uint8 or uint16; left alone.
    content : ndarray of shape (h, w, 3)
        uint8 RGB; resized to H x W if it has another size.

    Returns
    -------
    ndarray of shape (H, W, 3)
        RGB with as many bits, rounded and clipped: light that cannot have that colour loses some
        of it.

    Notes
    -----
    As ``-original_colors`` of jcjohnson/neural-style, computed in float32. Unlike there, `painted`
    is clipped to 0-255 before the conversion, not only after it.
    """
    return _in_strips(_yuv_strip, painted, content)


def content_chroma_lab(painted: npt.NDArray[Depth], content: ByteArray) -> npt.NDArray[Depth]:
    """Return the lightness (L*) of `painted` with a* and b* of `content`.

    The parameters and the result are those of :func:`content_chroma_yuv`. YUV's luma is of
    gamma-encoded values, so that strong colours change their lightness with it; L* keeps it.
    """
    return _in_strips(_lab_strip, painted, content)


def _in_strips(
    mix: Callable[[npt.NDArray[Depth], ByteArray], Floats],
    painted: npt.NDArray[Depth],
    content: ByteArray,
) -> npt.NDArray[Depth]:
    """Apply `mix` to strips of both pictures, so that no float copy of a whole one is made."""
    height, width, _ = painted.shape
    content = resize(content, width, height)
    pixels, unit = np.empty_like(painted), unit_of(painted)
    for rows in row_strips(height, width):
        levels = mix(painted[rows], content[rows])
        np.clip(levels, 0, 255, out=levels)
        levels *= unit
        pixels[rows] = np.rint(levels, out=levels)
    return pixels


def _yuv_strip(painted: npt.NDArray[Depth], content: ByteArray) -> Floats:
    luma = (painted.astype(np.float32) / unit_of(painted)) @ RGB_TO_YUV[0]
    chroma = content.astype(np.float32) @ RGB_TO_YUV[1:].T
    rgb: Floats = chroma @ YUV_TO_RGB[:, 1:].T
    rgb += luma[..., np.newaxis]
    return rgb


def _lab_strip(painted: npt.NDArray[Depth], content: ByteArray) -> Floats:
    lab = lab_of(content)
    lab[..., 0] = lab_of(painted)[..., 0]
    return rgb_of(lab)
