"""Small pictures for tests, as float32 arrays of shape (1, 3, H, W), RGB in 0-255."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

F32 = npt.NDArray[np.float32]

EXAMPLES = Path(__file__).parents[2] / "examples"


def noise(height: int, width: int, seed: int = 0) -> F32:
    values = np.random.default_rng(seed).uniform(0, 255, (1, 3, height, width))
    return values.astype(np.float32)


def photo(height: int, width: int, name: str = "chelsea.jpg") -> F32:
    with Image.open(EXAMPLES / name) as picture:
        pixels = np.asarray(picture.convert("RGB").resize((width, height)), np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def half_flat(height: int, width: int) -> F32:
    """A photo whose right half is one colour: every pooling window there is a tie."""
    picture = photo(height, width)
    picture[..., width // 2 :] = np.float32(120)
    return picture


KINDS: dict[str, Callable[[int, int], F32]] = {
    "noise": noise,
    "photo": photo,
    "half_flat": half_flat,
}
