"""Frames whose motion is known: what benchmarks/flicker.py paints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import binary_erosion, map_coordinates

from impasto.engine.video.motion import Motion
from impasto.engine.video.warping import inside

__all__ = ["SCENES", "Scene"]

EXAMPLES = Path(__file__).parents[1] / "examples"

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """Frames, and the motion from each to the one before, but for the first."""

    frames: list[Bytes]
    motions: list[Motion]


def photo(name: str, longest_side: int) -> Bytes:
    with Image.open(EXAMPLES / name) as opened:
        picture = opened.convert("RGB")
        picture.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
        return np.asarray(picture)


def seen(picture: Bytes, x: Floats, y: Floats) -> Floats:
    """Return what a picture shows at positions, interpolated by cubic splines."""
    channels = [map_coordinates(picture[..., c].astype(float), [y, x], order=3) for c in range(3)]
    return np.stack(channels, -1)


def grid(height: int, width: int) -> tuple[Floats, Floats]:
    rows, columns = np.indices((height, width), dtype=np.float64)
    return columns - (width - 1) / 2, rows - (height - 1) / 2


def as_bytes(values: Floats) -> Bytes:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def camera(count: int, height: int, width: int) -> Scene:
    """Pan with a slow zoom over a photo: everything moves, and nothing is hidden."""
    picture = photo("pagoda.jpg", 2 * width)
    x, y = grid(height, width)

    def view(t: int) -> tuple[float, float, float]:
        return 0.8 * width + 2.5 * t, 0.55 * width + 1.0 * t, 1.006**t

    frames, motions = [], []
    for t in range(count):
        across, down, zoom = view(t)
        frames.append(as_bytes(seen(picture, across + x / zoom, down + y / zoom)))
        if t:
            across_before, down_before, zoom_before = view(t - 1)
            backward = np.stack(
                [
                    (across + x / zoom - across_before) * zoom_before - x,
                    (down + y / zoom - down_before) * zoom_before - y,
                ],
                -1,
            ).astype(np.float32)
            motions.append(Motion(backward, inside(backward), inside(backward)))
    return Scene(frames, motions)


def traffic(count: int, height: int, width: int) -> Scene:
    """Let a cat cross a street before a slow camera, with sensor noise and changing light."""
    street, cat = photo("village_street.jpg", 2 * width), photo("chelsea.jpg", width)
    x, y = grid(height, width)
    rng = np.random.default_rng(16040861)

    def place(t: int) -> tuple[float, float]:
        """How far the camera is, and the cat."""
        return 1.0 * t, 0.25 * width - 5.0 * t

    def covers(t: int) -> npt.NDArray[np.bool_]:
        _, shift = place(t)
        return ((x - shift) / (0.22 * width)) ** 2 + ((y - 0.1 * height) / (0.35 * height)) ** 2 < 1

    frames, motions = [], []
    for t in range(count):
        camera_x, shift = place(t)
        background = seen(street, 0.9 * width + camera_x + x, 0.7 * width + y)
        foreground = seen(cat, 0.5 * width + x - shift, 0.32 * width + y)
        values = np.where(covers(t)[..., None], foreground, background)
        values *= 1 + 0.01 * np.sin(t)
        values += rng.normal(0, 2, values.shape)
        frames.append(as_bytes(values))
        if t:
            camera_before, shift_before = place(t - 1)
            backward = np.zeros((height, width, 2), np.float32)
            backward[..., 0] = np.where(covers(t), shift_before - shift, camera_x - camera_before)
            # Where the frame before shows the same layer, a pixel away from its edge.
            columns = np.clip(np.rint(x + (width - 1) / 2 + backward[..., 0]), 0, width - 1)
            rows = np.indices((height, width))[0]
            layers = [binary_erosion(covers(t - 1), iterations=2, border_value=1)]
            layers.append(binary_erosion(~covers(t - 1), iterations=2, border_value=1))
            before = [layer[rows, columns.astype(int)] for layer in layers]
            same = np.where(covers(t), *before) & inside(backward)
            motions.append(Motion(backward, same, same))
    return Scene(frames, motions)


SCENES: Mapping[str, Callable[[int, int, int], Scene]] = {"camera": camera, "traffic": traffic}
