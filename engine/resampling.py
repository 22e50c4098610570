"""Other sizes: of pictures, and of the float images that an optimisation works on."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from impasto.engine.result import FloatArray
from impasto.engine.srgb import ByteArray, Cutout, pixels_of
from impasto.errors import OptionError

LOBES = 3
"""Of LANCZOS: how far it reaches, in pixels of the coarser of the two grids."""

__all__ = ["fit", "fit_cutout", "fitted_size", "resize", "resize_cutout", "resize_image"]


def fitted_size(height: int, width: int, longest_side: int) -> tuple[int, int]:
    """Return the height and width :func:`fit` gives a picture of `height` x `width` pixels.

    Raises
    ------
    OptionError
        If `longest_side` is not positive.
    """
    if longest_side < 1:
        raise OptionError(f"A size of {longest_side} pixels was asked; it takes 1 or more.")
    longest = max(height, width)
    height, width = (
        max(1, (2 * side * longest_side + longest) // (2 * longest)) for side in (height, width)
    )
    return height, width


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
    height, width, _ = image.shape
    height, width = fitted_size(height, width, longest_side)
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
    return pixels_of(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def fit_cutout(cutout: Cutout, longest_side: int) -> Cutout:
    """Resize a picture with alpha so that its longest side is `longest_side`; see :func:`fit`."""
    height, width, _ = cutout.pixels.shape
    height, width = fitted_size(height, width, longest_side)
    return resize_cutout(cutout, width, height)


def resize_cutout(cutout: Cutout, width: int, height: int) -> Cutout:
    """Resize a picture with alpha; `cutout` itself if it has that size already.

    Notes
    -----
    The filter is that of :func:`resize`, on colours multiplied by alpha, which are divided by the
    resized alpha afterwards: otherwise the colours of transparent pixels, which mean nothing,
    would show as a rim. Where the result is transparent, it is black.
    """
    if cutout.alpha is None:
        return Cutout(resize(cutout.pixels, width, height))
    if cutout.alpha.shape == (height, width):
        return cutout
    weights = cutout.alpha.astype(np.float32)
    resized = _resized_plane(weights, width, height).copy()
    alpha = np.rint(np.clip(resized, 0, 255)).astype(np.uint8)
    pixels = np.zeros((height, width, 3), np.uint8)
    # Not Pillow's own way: in 8 bits it clips alpha at edges before it divides by it.
    resized[alpha == 0] = np.inf
    for channel in range(3):
        colours = _resized_plane(cutout.pixels[..., channel] * weights, width, height) / resized
        pixels[..., channel] = np.rint(np.clip(colours, 0, 255, out=colours), out=colours)
    return Cutout(pixels, alpha)


def resize_image(image: FloatArray, height: int, width: int, *, wraps: bool = False) -> FloatArray:
    """Resize an image as the network takes it, one channel after the other.

    Parameters
    ----------
    image : ndarray of shape (1, C, H, W)
        float32; left alone.
    height, width : int
        At least 1.
    wraps : bool
        Whether the image is a torus: the filter then reads on at the opposite border.

    Returns
    -------
    ndarray of shape (1, C, height, width)
        float32, contiguous; `image` itself if it has that size already.

    Notes
    -----
    The filter is that of :func:`resize`, so that a picture and the image made of it stay in step
    from scale to scale; but nothing is rounded or clipped. An optimisation goes on from values
    beyond 0-255 where it had them, and overshoot at edges is at most about a tenth of the step
    there. What must not be negative, such as Adam's second moments, is the caller's to clip.
    """
    _, channels, *size = image.shape
    if size == [height, width]:
        return image
    resized = np.empty((1, channels, height, width), np.float32)
    for old, new in zip(image[0], resized[0], strict=True):
        plane = _resized_torus if wraps else _resized_plane
        new[...] = plane(old, width, height)
    return resized


def _resized_plane(plane: FloatArray, width: int, height: int) -> FloatArray:
    """Resize float32 values of shape (H, W), without rounding or clipping."""
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def _resized_torus(plane: FloatArray, width: int, height: int) -> FloatArray:
    """Do the same with values whose last row and column have the first as neighbours."""
    rows, columns = plane.shape
    above, beside = _reach(rows, height), _reach(columns, width)
    around = np.pad(plane, ((above, above), (beside, beside)), mode="wrap")
    box = (beside, above, beside + columns, above + rows)
    image = Image.fromarray(np.ascontiguousarray(around, np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, box))


def _reach(old: int, new: int) -> int:
    """Return how many pixels beyond the border the filter reads along a side."""
    return math.ceil(LOBES * max(1.0, old / new)) + 1
