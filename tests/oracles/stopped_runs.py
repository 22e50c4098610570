"""Short runs to stop and resume, and what it means that two results are the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from impasto import Iterate, Options, StylizeResult
from impasto.engine.checkpoint import CheckpointStore, Snapshot

SHORT = Options(
    size=64,
    scales="2",
    iterations=5,  # at 32 pixels; 5 more follow at 64
    content_layers=("relu2_1",),
    style_layers=("relu1_1", "relu2_1"),
    backend="onnxruntime",
    precision="f32",
    threads=1,
    seed=1,
)
STEPS = 10


def write_pictures(folder: Path) -> tuple[Path, Path]:
    """Write a photo and a painting; return their paths."""
    photo, painting = folder / "photo.png", folder / "painting.png"
    Image.fromarray(_blocks(6, 8, seed=1)).save(photo)
    Image.fromarray(_blocks(9, 7, seed=2)).save(painting)
    return photo, painting


def _blocks(rows: int, columns: int, seed: int) -> npt.NDArray[np.uint8]:
    colours = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3))
    return np.kron(colours, np.ones((8, 8, 1))).astype(np.uint8)


def stop_after(iteration: int) -> Callable[[Iterate], bool]:
    """Return a callback that cancels a run after a step."""
    return lambda iterate: iterate.iteration < iteration


def assert_same(result: StylizeResult, expected: StylizeResult) -> None:
    """Compare everything that does not tell how long it took, bit for bit."""
    np.testing.assert_array_equal(result.image, expected.image)
    assert result.loss == expected.loss
    assert result.losses == expected.losses
    assert result.iterations == expected.iterations
    assert result.evaluations == expected.evaluations
    assert result.status is expected.status
    assert result.sizes == expected.sizes
    assert result.execution == expected.execution


class CopyingStore(CheckpointStore):
    """A store that keeps a copy of the directory after every save.

    Parameters
    ----------
    directory : Path
    copies : Path
        Gets a directory ``0``, ``1``, ... for every save.
    """

    def __init__(self, directory: Path, copies: Path) -> None:
        super().__init__(directory)
        self._copies = copies
        self.count = 0

    def save(self, snapshot: Snapshot) -> None:
        super().save(snapshot)
        shutil.copytree(self.directory, self._copies / str(self.count))
        self.count += 1
