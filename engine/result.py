"""What a run reports while it works (`Iterate`) and when it ends (`StylizeResult`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.engine.canvas import Canvas
from impasto.engine.options import Options

__all__ = ["Callback", "FloatArray", "Iterate", "Status", "StylizeResult"]

FloatArray = npt.NDArray[np.float32]


class Status(Enum):
    """Why a run ended; the value is the sentence shown to a person."""

    FINISHED = "All iterations were done."
    CANCELLED = "Cancelled; the picture is the best so far."
    STALLED = "No step lowers the loss any more; the picture is the best one."
    DIVERGED = (
        "The loss stopped being a number and restarts did not help; the picture is the best one."
    )


@dataclass(frozen=True)
class Iterate:
    """State after one optimizer step, given to callbacks.

    Parameters
    ----------
    iteration, iterations : int
        Steps done, and steps there will be, over all scales.
    evaluations : int
        Evaluations of the objective so far.
    loss : float
        Objective at `image`.
    losses : mapping of str to float
        Weighted terms by the gradient graph's output names; they add up to `loss`.
    seconds : float
        Wall time since the optimisation began.
    image : ndarray of shape (H, W, 3)
        Current image, float32 RGB in 0-255 units, unclipped; a read-only view that the next step
        overwrites: copy it to keep it.
    picture : callable
        Without arguments: returns the picture of this step as it would be saved, (H, W, 3) uint8
        RGB: of `image`, or with `Options.average` of the average so far.
    scale, scales : int
        Number of the scale, from 1, and how many there are. Losses of different scales are not
        comparable.
    alpha : ndarray, optional
        Of `picture`, (H, W) uint8, where the content picture is transparent in parts.
    """

    iteration: int
    iterations: int
    evaluations: int
    loss: float
    losses: Mapping[str, float]
    seconds: float
    image: FloatArray
    picture: Callable[[], npt.NDArray[np.uint8]]
    scale: int = 1
    scales: int = 1
    alpha: npt.NDArray[np.uint8] | None = None


Callback = Callable[[Iterate], bool | None]
"""Called after every step; returning ``False`` cancels the run, which keeps its best picture."""


@dataclass(frozen=True)
class StylizeResult:
    """A finished picture and how it came about.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3)
        The best picture, uint8 RGB; with `Options.average`, the average of the last scale's.
    status : Status
        Why the run ended.
    loss : float
        Objective of the best image; infinite if a scale was interrupted before its first step. The
        average is not evaluated.
    losses : mapping of str to float
        Its weighted terms, by the gradient graph's output names.
    iterations, evaluations : int
        Optimizer steps and objective evaluations done.
    model, backend, precision : str
        What was used, with every ``auto`` resolved.
    seconds : mapping of str to float
        Wall time of ``load, compile, targets, optimize, total``.
    options : Options
        The options of the run, with the seed that was used.
    execution : mapping
        How the last scale was computed: ``mode`` (``whole`` or ``tiled``), ``parts``,
        ``part_size`` (rows of the picture, or None), ``history``, ``history_on_disk``.
    sizes : tuple of (width, height)
        Of the scales that were painted.
    resumed_from : int, optional
        The iteration at which `resume` went on.
    warnings : tuple of str
        Known traps of the run; see `impasto.engine.traps`.
    alpha : ndarray of shape (H, W), optional
        uint8, of a content picture that is transparent in parts: `image` has its own colours
        there. `impasto.save_image` takes it.
    deep : ndarray of shape (H, W, 3), optional
        The same picture as `image`, with 16 bits (65535 is white), with `Options.bit_depth` 16.
    content : Path, Canvas or None
        The content picture, unless it was given as an array; of a texture, its canvas.
    styles : tuple of (Path or None)
        The style pictures, likewise.
    """

    image: npt.NDArray[np.uint8]
    status: Status
    loss: float
    losses: Mapping[str, float]
    iterations: int
    evaluations: int
    model: str
    backend: str
    precision: str
    seconds: Mapping[str, float]
    options: Options
    execution: Mapping[str, Any]
    sizes: tuple[tuple[int, int], ...]
    resumed_from: int | None = None
    warnings: tuple[str, ...] = ()
    alpha: npt.NDArray[np.uint8] | None = None
    deep: npt.NDArray[np.uint16] | None = None
    content: Path | Canvas | None = None
    styles: tuple[Path | None, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return everything but the picture as plain JSON values."""
        height, width, _ = self.image.shape
        return {
            "model": self.model,
            "backend": self.backend,
            "precision": self.precision,
            "size": [width, height],
            "status": self.status.name.lower(),
            "execution": dict(self.execution),
            "scales": [list(size) for size in self.sizes],
            "iterations": self.iterations,
            "evaluations": self.evaluations,
            "loss": self.loss if math.isfinite(self.loss) else None,  # JSON has no infinity
            "losses": dict(self.losses),
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
            "warnings": list(self.warnings),
            "options": self.options.to_dict(),
            **({} if self.resumed_from is None else {"resumed_from": self.resumed_from}),
        }
