"""Fingerprints of the inputs, to tell whether they changed since a checkpoint was written."""

from __future__ import annotations

import hashlib

import numpy as np

from impasto.engine.srgb import ByteArray

__all__ = ["picture_digest"]


def picture_digest(picture: ByteArray) -> str:
    """Return the SHA-256 of a picture's size and pixels, in hexadecimal.

    It is of what the run sees: a file that was saved again without loss has the same one.

    Parameters
    ----------
    picture : ndarray of shape (H, W, 3)
        uint8. Not copied if it is contiguous.

    Raises
    ------
    ValueError
        If the array is of another shape or type.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(
            f"A picture of uint8 and shape (H, W, 3) was expected, not {picture.dtype} of shape "
            f"{picture.shape}."
        )
    # The size first: otherwise 2 × 3 pixels have the digest of the same 3 × 2.
    digest = hashlib.sha256(repr(tuple(map(int, picture.shape))).encode())
    for row in picture:
        digest.update(np.ascontiguousarray(row).data)
    return digest.hexdigest()
