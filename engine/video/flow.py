"""Optical flow: where every pixel of a frame is in another one. The only module with OpenCV."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.engine.srgb import ByteArray
from impasto.errors import MissingExtraError

__all__ = ["Flow", "check_flow", "optical_flow"]

Flow = npt.NDArray[np.float32]
"""Flow of shape (H, W, 2): what to add to a pixel's x and y to find it in the other frame."""

LEAST_SIDE = 16
"""Sides below which OpenCV's coarsest level would be smaller than its patches of 8 pixels."""

_one_thread = threading.Lock()


def check_flow() -> None:
    """Refuse to begin without OpenCV.

    Raises
    ------
    MissingExtraError
        With the command that installs it.
    """
    _opencv()


def optical_flow(frame: ByteArray, other: ByteArray) -> Flow:
    """Return for every pixel of `frame` where it is in `other`.

    Parameters
    ----------
    frame, other : ndarray of shape (H, W, 3)
        uint8 RGB.

    Returns
    -------
    ndarray of shape (H, W, 2)
        float32, x and y in pixels: what `frame` shows at (x, y), `other` shows at (x, y) + flow.
        Frames of less than 16 pixels a side have none (all zeros).

    Raises
    ------
    MissingExtraError

    Notes
    -----
    Dense inverse search (Kroeger et al. 2016, arXiv:1603.03590) with variational refinement, as
    OpenCV has it, at its preset "medium", on luma. Ruder et al. used DeepFlow, which is more
    accurate on large motion, minutes slower, and not packaged anywhere. OpenCV cuts the frame into
    as many stripes as it has threads and computes another flow for each number; so it is given one
    thread here, and the flow of two frames is the same on every machine.
    """
    if frame.shape != other.shape:
        raise ValueError(f"The frames have the shapes {frame.shape} and {other.shape}.")
    if min(frame.shape[:2]) < LEAST_SIDE:
        return np.zeros((*frame.shape[:2], 2), np.float32)
    cv2 = _opencv()
    gray, gray_other = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (frame, other))
    with _single_threaded(cv2):
        search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        flow: Flow = search.calc(gray, gray_other, None)
    return flow


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("OpenCV, to measure motion", "video", error) from error
    return cv2


@contextmanager
def _single_threaded(cv2: Any) -> Iterator[None]:
    """Give OpenCV one thread; the number belongs to the whole process, and is given back."""
    with _one_thread:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            yield
        finally:
            cv2.setNumThreads(threads)
