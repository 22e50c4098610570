"""How far a run is, as a checkpoint's header and arrays tell it, written and read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from impasto.engine.checkpoint import Snapshot
from impasto.engine.header_values import damaged, typed
from impasto.engine.optimizers import OptimizerState
from impasto.engine.result import FloatArray
from impasto.errors import CheckpointError

__all__ = ["Progress", "progress_of", "snapshot_of"]


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Parameters
    ----------
    scale : int
        Index of the scale.
    iteration : int
        Steps done, over all scales.
    evaluations_before : int
        Evaluations at smaller scales.
    seconds : float
        Wall time of the optimisation so far.
    best : ndarray, optional
        Best image of this scale, or the one it is to begin from, (1, 3, H, W); None at the start.
    loss : float
        Of `best`; infinite where it was not evaluated.
    evaluations : int
        Evaluations at this scale.
    losses : mapping of str to float
        Terms of `loss`.
    state : OptimizerState, optional
    average : ndarray, optional
        Moving average of this scale's images, (1, 3, H, W).
    averaged : int
        Images in it.
    """

    scale: int = 0
    iteration: int = 0
    evaluations_before: int = 0
    seconds: float = 0.0
    best: FloatArray | None = None
    loss: float = math.inf
    evaluations: int = 0
    losses: Mapping[str, float] = field(default_factory=dict)
    state: OptimizerState | None = None
    average: FloatArray | None = None
    averaged: int = 0


def snapshot_of(header: Mapping[str, Any], progress: Progress) -> Snapshot:
    """Return what to store."""
    state = progress.state
    arrays = {} if progress.best is None else {"best": progress.best}
    if progress.average is not None:
        arrays["average"] = progress.average
    told: dict[str, Any] = {
        "scale": progress.scale,
        "iteration": progress.iteration,
        "evaluations_before": progress.evaluations_before,
        "seconds": progress.seconds,
        "loss": progress.loss if math.isfinite(progress.loss) else None,
        "evaluations": progress.evaluations,
        "losses": {name: value for name, value in progress.losses.items() if math.isfinite(value)},
        "optimizer": None,
        **({"averaged": progress.averaged} if progress.averaged else {}),
    }
    if state is None:
        return Snapshot({**header, "progress": told}, arrays)
    told["optimizer"] = dict(state.numbers)
    arrays |= {f"optimizer.{name}": value for name, value in state.arrays.items()}
    return Snapshot({**header, "progress": told}, arrays, state.pairs)


def progress_of(snapshot: Snapshot, sizes: list[tuple[int, int]]) -> Progress:
    """Return how far the run of a snapshot is.

    Parameters
    ----------
    snapshot : Snapshot
    sizes : list of (height, width)
        Of the scales.

    Raises
    ------
    CheckpointError
        If numbers or arrays do not fit the run.
    """
    told = typed(snapshot.header, "progress", dict)
    counts = [typed(told, key, int) for key in ("scale", "iteration", "evaluations_before")]
    evaluations = typed(told, "evaluations", int)
    scale, iteration, before = counts
    seconds, loss = told.get("seconds"), told.get("loss")
    losses = typed(told, "losses", dict)
    if min(*counts, evaluations) < 0 or scale >= len(sizes):
        raise damaged("progress")
    for number in (seconds, 0.0 if loss is None else loss, *losses.values()):
        # As they are written: a whole number could be one that no float can hold.
        if type(number) is not float or not math.isfinite(number):
            raise damaged("progress")
    best, average = snapshot.arrays.get("best"), snapshot.arrays.get("average")
    for image in (best, average):
        if image is not None and image.shape != (1, 3, *sizes[scale]):
            raise CheckpointError(
                f"The checkpoint's image is of shape {image.shape}; scale {scale + 1} of the run "
                f"has {(1, 3, *sizes[scale])}. It is damaged, or of another run."
            )
    averaged = typed({"averaged": 0, **told}, "averaged", int)
    if averaged < 0 or bool(averaged) != (average is not None):
        raise damaged("averaged")
    if best is None and (scale or iteration):
        raise damaged("best")
    return Progress(
        scale=scale,
        iteration=iteration,
        evaluations_before=before,
        seconds=seconds,
        best=best,
        loss=math.inf if loss is None else loss,
        evaluations=evaluations,
        losses=losses,
        state=_state(snapshot, told.get("optimizer")),
        average=average,
        averaged=averaged,
    )


def _state(snapshot: Snapshot, numbers: Any) -> OptimizerState | None:
    if numbers is None:
        return None
    if not isinstance(numbers, dict):
        raise damaged("optimizer")
    arrays = {
        name.removeprefix("optimizer."): value
        for name, value in snapshot.arrays.items()
        if name.startswith("optimizer.")
    }
    return OptimizerState(numbers, arrays, snapshot.pairs)
