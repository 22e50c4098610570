"""How a frame moved since the one before, and where that can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from impasto.engine.srgb import ByteArray
from impasto.engine.video.flow import Flow, optical_flow
from impasto.engine.video.warping import inside, warp

__all__ = ["CUT", "Motion", "disoccluded", "motion_between", "motion_boundaries"]

Mask = npt.NDArray[np.bool_]

CUT = 0.3
"""Share of consistent pixels below which two frames are of different scenes. Pairs of unrelated
photos of examples/ have at most 0.08, pans of 20 pixels in 400 and zooms of 2 % at least 0.92."""


@dataclass(frozen=True)
class Motion:
    """The way from a frame to the one before.

    Parameters
    ----------
    backward : ndarray of shape (H, W, 2)
        Flow from the frame to the one before.
    consistent : ndarray of bool, of shape (H, W)
        Where the flow can be trusted: the c of Ruder et al.
    visible : ndarray of bool, of shape (H, W)
        What the frame before shows as well. Unlike `consistent`, this holds at motion boundaries.
    """

    backward: Flow
    consistent: Mask
    visible: Mask

    @property
    def share(self) -> float:
        """Share of the pixels that are consistent."""
        return float(self.consistent.mean())

    @property
    def is_cut(self) -> bool:
        """Whether the two frames are of different scenes."""
        return self.share < CUT


def motion_between(before: ByteArray, frame: ByteArray) -> Motion:
    """Return the motion from `before` to `frame`, two pictures of one size.

    Raises
    ------
    MissingExtraError
        Without OpenCV.
    """
    backward, forward = optical_flow(frame, before), optical_flow(before, frame)
    visible = inside(backward) & ~disoccluded(backward, forward)
    return Motion(backward, visible & ~motion_boundaries(backward), visible)


def disoccluded(backward: Flow, forward: Flow) -> Mask:
    r"""Return which pixels of a frame the frame before does not show, by the two flows.

    Notes
    -----
    Ruder et al. (2016), section 4.2, after Sundaram et al. (2010): with :math:`\hat w` the backward
    flow and :math:`\tilde w` the forward flow at the place :math:`\hat w` leads to, a pixel is
    disoccluded where going there and back misses it:

    .. math:: |\tilde w + \hat w|^2 > 0.01 (|\tilde w|^2 + |\hat w|^2) + 0.5
    """
    there = warp(forward, backward)
    found: Mask = _squares(there + backward) > 0.01 * (_squares(there) + _squares(backward)) + 0.5
    return found


def motion_boundaries(backward: Flow) -> Mask:
    r"""Return the pixels at which the flow changes abruptly, where it is seldom right.

    Notes
    -----
    Ruder et al. (2016), section 4.2, with :math:`\hat w = (\hat u, \hat v)`:

    .. math:: |\nabla \hat u|^2 + |\nabla \hat v|^2 > 0.01 |\hat w|^2 + 0.002

    Derivatives are central differences, one-sided at the border.
    """
    # A frame of one row or column has no neighbours to differ from.
    axes = [axis for axis in (0, 1) if backward.shape[axis] > 1]
    slopes = sum(_squares(np.gradient(backward, axis=axis)) for axis in axes)
    found: Mask = np.asarray(slopes > 0.01 * _squares(backward) + 0.002)
    return found


def _squares(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = np.square(vectors).sum(axis=-1)
    return found
