"""What a run reports while it works (`Iterate`) and when it ends (`StylizeResult`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

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
        Steps done, and steps asked for.
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
        RGB.
    """

    iteration: int
    iterations: int
    evaluations: int
    loss: float
    losses: Mapping[str, float]
    seconds: float
    image: FloatArray
    picture: Callable[[], npt.NDArray[np.uint8]]


Callback = Callable[[Iterate], bool | None]
"""Called after every step; returning ``False`` cancels the run, which keeps its best picture."""


@dataclass(frozen=True)
class StylizeResult:
    """A finished picture and how it came about.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3)
        The best picture, uint8 RGB.
    status : Status
        Why the run ended.
    loss : float
        Objective of the best image.
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

    def summary(self) -> dict[str, Any]:
        """Return everything but the picture as plain JSON values."""
        height, width, _ = self.image.shape
        return {
            "model": self.model,
            "backend": self.backend,
            "precision": self.precision,
            "size": [width, height],
            "status": self.status.name.lower(),
            "iterations": self.iterations,
            "evaluations": self.evaluations,
            "loss": self.loss,
            "losses": dict(self.losses),
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
            "options": self.options.to_dict(),
        }
