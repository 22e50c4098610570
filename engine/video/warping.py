"""Pictures moved by a flow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["inside", "warp"]


def warp(picture: npt.NDArray[Any], flow: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return `picture` as seen through a flow: at (x, y), what it shows at (x, y) + flow.

    Parameters
    ----------
    picture : ndarray of shape (H, W, C)
        Any real type.
    flow : ndarray of shape (H, W, 2)
        x and y in pixels; see :data:`~impasto.engine.video.flow.Flow`. Must be finite.

    Returns
    -------
    ndarray of shape (H, W, C)
        float32, interpolated linearly in x and y between the centres of the four nearest pixels;
        beyond the border, the nearest pixel of it (see :func:`inside`).

    Notes
    -----
    Computed in float64 by SciPy. OpenCV's ``remap`` rounds positions to a 32nd of a pixel.
    """
    from scipy.ndimage import map_coordinates  # takes a tenth of a second to import

    height, width, channels = picture.shape
    rows, columns = np.indices((height, width), dtype=np.float32)
    positions = np.stack([rows + flow[..., 1], columns + flow[..., 0]])
    warped = np.empty((height, width, channels), np.float32)
    for channel in range(channels):
        source = np.ascontiguousarray(picture[..., channel], np.float32)
        map_coordinates(source, positions, warped[..., channel], order=1, mode="nearest")
    return warped


def inside(flow: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Return of which pixels (x, y) + flow lies within the frame; shape (H, W)."""
    height, width, _ = flow.shape
    rows, columns = np.indices((height, width), dtype=np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    found: npt.NDArray[np.bool_] = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return found
