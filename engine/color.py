"""Colour preservation: the painted picture's light with the content image's colours."""

from __future__ import annotations

import numpy as np

from impasto.engine.images import ByteArray, resize

__all__ = ["RGB_TO_YUV", "YUV_TO_RGB", "original_colors"]

RGB_TO_YUV = np.array(
    [[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]], np.float32
)
"""Y, U and V in rows: ITU-R BT.601 luma and analogue YUV, to the digits of torch/image's
``rgb2yuv``, which jcjohnson/neural-style uses."""

YUV_TO_RGB = np.array([[1, 0, 1.13983], [1, -0.39465, -0.58060], [1, 2.03211, 0]], np.float32)
"""R, G and B in rows, to the digits of torch/image's ``yuv2rgb``: the inverse to 5 digits."""


def original_colors(painted: ByteArray, content: ByteArray) -> ByteArray:
    """Return the luma (Y) of `painted` with the chroma (U, V) of `content`.

    Parameters
    ----------
    painted : ndarray of shape (H, W, 3)
        uint8 RGB.
    content : ndarray of shape (h, w, 3)
        uint8 RGB; resized to H x W if it has another size.

    Returns
    -------
    ndarray of shape (H, W, 3)
        uint8 RGB, rounded and clipped: light that cannot have that colour loses some of it.

    Notes
    -----
    As ``-original_colors`` of jcjohnson/neural-style (after Gatys et al. 2016, arXiv:1606.05897,
    section 3), computed in float32. Unlike there, `painted` is clipped to 0-255 before the
    conversion, not only after it.
    """
    height, width, _ = painted.shape
    content = resize(content, width, height)
    luma = painted.astype(np.float32) @ RGB_TO_YUV[0]
    chroma = content.astype(np.float32) @ RGB_TO_YUV[1:].T
    rgb = chroma @ YUV_TO_RGB[:, 1:].T
    rgb += luma[..., np.newaxis]
    np.clip(rgb, 0, 255, out=rgb)
    pixels: ByteArray = np.rint(rgb, out=rgb).astype(np.uint8)
    return pixels
