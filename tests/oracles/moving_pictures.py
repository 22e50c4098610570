"""Sequences with known motion: a window that wanders over a photo of examples/."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from pictures import EXAMPLES
from PIL import Image

Bytes = npt.NDArray[np.uint8]


def window(
    name: str, x: float, y: float, zoom: float = 1.0, height: int = 64, width: int = 96
) -> Bytes:
    """A view of `height` x `width` pixels around (x, y) of a photo 400 pixels wide, enlarged."""
    with Image.open(EXAMPLES / name) as opened:
        photo = opened.convert("RGB").resize((400, round(400 * opened.height / opened.width)))
    across, down = width / zoom / 2, height / zoom / 2
    seen = photo.resize(
        (width, height),
        Image.Resampling.BICUBIC,
        box=(x - across, y - down, x + across, y + down),
    )
    return np.asarray(seen)


def pan(
    count: int,
    step: tuple[float, float] = (3.0, 1.0),
    height: int = 64,
    width: int = 96,
    name: str = "pagoda.jpg",
) -> list[Bytes]:
    """A camera that moves by `step` pixels (x, y) a frame: the backward flow is `step`."""
    return [
        window(name, 150 + i * step[0], 120 + i * step[1], 1.0, height, width) for i in range(count)
    ]


def save_frames(frames: list[Bytes], directory: Path, pattern: str = "frame{}.png") -> Path:
    directory.mkdir(exist_ok=True)
    for number, frame in enumerate(frames, 8):  # from one digit to two
        Image.fromarray(frame).save(directory / pattern.format(number))
    return directory
