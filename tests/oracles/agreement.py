"""How closely two gradients agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def cosine(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    a, b = found.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def share_within(found: npt.NDArray[Any], expected: npt.NDArray[Any], tolerance: float) -> float:
    """Share of the entries whose error is below `tolerance` times the largest expected entry."""
    error = np.abs(found.astype(np.float64) - expected)
    return float(np.mean(error < tolerance * np.abs(expected).max()))


def assert_same_gradient(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    """Hold a float32 gradient to a float64 one.

    Single entries may be off where rounding flips a ReLU or breaks a pooling tie; a thousandth of
    them at most.
    """
    assert cosine(found, expected) >= 0.9999
    assert share_within(found, expected, 1e-3) >= 0.999
    assert np.isclose(np.linalg.norm(found), np.linalg.norm(expected), rtol=1e-3)
