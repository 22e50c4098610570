"""The best iterate so far: the last one is not the best one, and a run may stop at any moment."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from impasto.engine.optimizers.arrays import extremes, read_only
from impasto.engine.optimizers.base import ObjectiveFunction, OptimizerState, Outcome, Step
from impasto.engine.result import FloatArray, Status

__all__ = ["BestSoFar"]


class BestSoFar:
    """An objective that remembers where it was smallest; optimizers evaluate through it.

    Whatever ends a run (the iterations, a cancellation, numbers that are not finite, Ctrl-C in the
    middle of an evaluation), `x` is the best picture seen. It is copied by one NumPy call, or taken
    over whole, which a signal handler cannot cut in two.

    Parameters
    ----------
    objective : callable
        See :class:`~impasto.engine.optimizers.base.ObjectiveFunction`; it is called with arrays of
        the shape and type of `x0`.
    x0 : ndarray
        First iterate, float32, any shape; copied. Algorithms compute in its type.
    on_improvement : callable, optional
        Called without arguments after an evaluation became the best one: the place to keep what
        belongs to it, such as the terms of the loss.
    loss : float
        Objective at `x0` where it is known from a run to go on with, so that `x0` is the best
        iterate so far; ``inf`` if `x0` has yet to be evaluated.
    evaluations : int
        Evaluations before this one's first.

    Attributes
    ----------
    x : ndarray
        Best iterate so far; `x0` until an evaluation was finite. A later one may overwrite it.
    spare : ndarray
        Flat. What was `x` before an iterate was taken over: free to be written to.
    loss : float
        Objective at `x`; ``inf`` until an evaluation was finite. (If Ctrl-C falls between the copy
        of `x` and this number, it is that of the iterate before, which was worse.)
    evaluations : int
        Evaluations begun, those before included.
    """

    def __init__(
        self,
        objective: ObjectiveFunction,
        x0: FloatArray,
        on_improvement: Callable[[], object] | None = None,
        *,
        loss: float = math.inf,
        evaluations: int = 0,
    ) -> None:
        self._objective = objective
        self._on_improvement = on_improvement
        self.x: FloatArray = np.array(x0, order="C")
        self.spare: FloatArray = self.x[:0].reshape(-1)
        self.loss = loss
        self.evaluations = evaluations

    def evaluate(self, x: FloatArray, *, is_given: bool = False) -> tuple[float, FloatArray]:
        """Evaluate the objective at `x`, an iterate as a flat array.

        Parameters
        ----------
        x : ndarray
        is_given : bool
            Whether the array may be taken over instead of being copied. It must not be written to
            as long as :meth:`holds` says so; there is `spare` instead.

        Returns
        -------
        loss : float
            The objective, or ``inf`` if it or one entry of its gradient is not finite: such an
            iterate is of no use, neither as a picture nor as a place to go on from.
        gradient : ndarray
            Flat; the next evaluation may overwrite it.
        """
        self.evaluations += 1
        loss, shaped = self._objective(x.reshape(self.x.shape))
        gradient = shaped.reshape(-1)
        if not all(map(math.isfinite, (loss, *extremes(gradient)))):
            return math.inf, gradient
        if loss < self.loss:
            if not is_given:
                np.copyto(self.x, x.reshape(self.x.shape))
            elif not self.holds(x):
                self.spare, self.x = self.x.reshape(-1), x.reshape(self.x.shape)
            self.loss = loss
            if self._on_improvement is not None:
                self._on_improvement()
        return loss, gradient

    def holds(self, x: FloatArray) -> bool:
        """Return whether an array is the best iterate's own."""
        return np.may_share_memory(self.x, x)

    def step(
        self, iteration: int, loss: float, x: FloatArray, state: Callable[[], OptimizerState]
    ) -> Step:
        """Return where the optimizer stands, to report, at the flat iterate `x`."""
        return Step(iteration, self.evaluations, loss, read_only(x).reshape(self.x.shape), state)

    def outcome(self, status: Status, iterations: int, reason: str = "") -> Outcome:
        """Return how the run ended; its `x` is this object's own array."""
        return Outcome(self.x, self.loss, iterations, self.evaluations, status, reason)
