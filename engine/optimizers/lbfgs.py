"""L-BFGS without a line search in NumPy, as jcjohnson/neural-style runs it.

One evaluation an iteration and no bookkeeping but the pairs: the fastest way down for style
transfer, at the price that the loss may rise for a while.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from impasto.engine.optimizers.base import OnStep, Outcome
from impasto.engine.optimizers.best import BestSoFar
from impasto.engine.optimizers.recovery import Recovery
from impasto.engine.result import FloatArray, Status

__all__ = ["FirstStep", "Lbfgs"]

FirstStep = Literal["reference", "safe"]

MAX_RESTARTS = 5
SHORTEN = 0.25

EXPLOSION = 1e10
"""Times the first loss. Far, because without a line search healthy runs rise far: from noise, the
reference's first quasi-Newton steps were seen to overshoot by 10 million times and to recover."""

POLYAK_SHARE = 0.25
"""Of Polyak's step. Measured with VGG-19 at 256 pixels: from a photo 1/8 to 1/2 do as well; from
noise 1/4 took 30 evaluations to a loss that 1/2 and the reference had not half reached."""

FARTHEST = 255.0
"""Most a pixel may change in the safe first step: all the way from black to white."""

CURVATURE = 1e-10
"""Least y·s of a pair that is kept (torch/optim)."""


@dataclass(frozen=True)
class Lbfgs:
    """L-BFGS with steps of fixed length.

    With g the gradient, the first step is x −= t g with t = learning_rate · min(1, 1 / ‖g‖₁). Every
    later one is x += learning_rate · d with d = −H g by the two-loop recursion (Nocedal and Wright
    2006, algorithm 7.4) over the last `history` pairs s = Δx, y = Δg with y·s > 1e-10, from
    H₀ = (y·s / y·y) I of the newest pair. All of this is torch/optim's ``lbfgs`` with the settings
    of jcjohnson/neural-style, number for number.

    Parameters
    ----------
    history : int
        Pairs remembered: 2 · (history + 1) · 4 bytes an entry, 132 MB for 512x512 pixels and a
        history of 20. (The reference remembers 100.) Memory is touched only as pairs come in.
    learning_rate : float
        Step length.
    first_step : {"reference", "safe"}
        Length of the step before there is a pair. The reference's changes a pixel of a 512x512
        picture by a millionth and takes the curvature there for that of the whole way: where it
        changes much (Gram matrices are of second order, so their loss is of fourth) the second
        step overshoots, from noise by up to 10 million times in the loss. The safe one is a
        quarter of Polyak's step, loss / ‖g‖² · learning_rate: where the tangent meets 3/4 of the
        loss, but within the range of colours. It fits losses that are bounded by 0, at any scale.

    Notes
    -----
    Storage and dot products are float32 (of the first iterate's type, to be exact). BLAS adds
    float32 products in many partial sums: ‖g‖² of 786 432 noisy entries came out within 1e-6 of
    the float64 value, in a thirteenth of the time.

    Unlike torch/optim, an evaluation that is not finite, one above 10¹⁰ times the first loss, or
    a direction that leads uphill restarts from the best iterate with an empty history and a
    quarter of the step length, at most 5 times in a row. A run in which nothing of this happens is
    the reference's. An iteration is an evaluation and then a step; the step after the last
    evaluation is not computed (the reference computes it and never saves it).
    """

    history: int = 20
    learning_rate: float = 1.0
    first_step: FirstStep = "reference"

    def minimize(self, search: BestSoFar, *, iterations: int, on_step: OnStep) -> Outcome:
        """Minimise; see :meth:`impasto.engine.optimizers.base.Optimizer.minimize`."""
        x = search.x.flatten()
        model = _InverseHessian(x, min(self.history, iterations))
        recovery = Recovery(search, MAX_RESTARTS, SHORTEN)
        ceiling = math.inf
        for iteration in range(1, iterations + 1):
            loss, gradient = search.evaluate(x)
            if iteration == 1:
                ceiling = EXPLOSION * abs(loss) or math.inf
            if math.isfinite(loss) and not gradient.any():
                return search.outcome(Status.STALLED, iteration, "the gradient is zero")
            usable = math.isfinite(loss) and loss <= ceiling and model.update(gradient)
            if not usable:
                if not recovery.restart():
                    return search.outcome(Status.DIVERGED, iteration, _why(loss, ceiling))
                np.copyto(x, search.x.reshape(-1))
                loss = search.loss
                model.forget()
            if on_step(search.step(iteration, loss, x)) is False:
                return search.outcome(Status.CANCELLED, iteration)
            if usable and iteration < iterations:
                length = self._relative_length(model, loss) * self.learning_rate
                x += model.move(length * recovery.step_scale)
        return search.outcome(Status.FINISHED, iterations)

    def _relative_length(self, model: _InverseHessian, loss: float) -> float:
        """Return the step length in learning rates."""
        if self.first_step == "safe":
            return _polyak_length(model.direction, loss) if model.is_empty and loss > 0 else 1.0
        if model.is_new:
            with np.errstate(over="ignore"):
                return min(1.0, 1.0 / float(np.abs(model.direction).sum()))
        return 1.0


def _polyak_length(gradient: FloatArray, loss: float) -> float:
    """Return the length of the safe first step along a gradient, or its negative."""
    largest = float(np.abs(gradient).max())
    # Squares of very small or large gradients would leave float32's range.
    square = float(np.linalg.norm(gradient / largest)) ** 2 * largest**2
    return min(POLYAK_SHARE * loss / square, FARTHEST / largest)


def _why(loss: float, ceiling: float) -> str:
    if not math.isfinite(loss):
        return "numbers are not finite"
    if loss > ceiling:
        return f"the loss rose above {EXPLOSION:g} times the first one"
    return "no direction leads downhill"


class _InverseHessian:
    """The L-BFGS approximation of the inverse Hessian, and the direction it gives.

    `steps` and `changes` are ring buffers with one row more than `history`: the row that is not in
    `_order` takes the pair in the making, so that a pair that is refused costs no old one.

    Attributes
    ----------
    direction : ndarray
        −H g after :meth:`update`.
    is_new : bool
        Whether no pair has been tried since the start or :meth:`forget`.
    is_empty : bool
        Whether no pair is remembered, so that the direction is −g.
    """

    def __init__(self, x: FloatArray, history: int) -> None:
        rows = history + 1
        self._steps = np.empty((rows, x.size), x.dtype)
        self._changes = np.empty((rows, x.size), x.dtype)
        self._history = history
        self._scratch = np.empty_like(x)
        self.direction = np.empty_like(x)
        self.forget()

    def forget(self) -> None:
        """Go back to knowing nothing."""
        self._order: deque[int] = deque()
        self._curvatures = np.zeros(len(self._steps))
        self._scale = 1.0
        self._row = 0
        self.is_new = True
        self._moved = False

    @property
    def is_empty(self) -> bool:
        return not self._order

    def update(self, gradient: FloatArray) -> bool:
        """Take in the gradient at the new iterate; return whether `direction` leads downhill."""
        # Overflow makes the slope infinite or NaN, which the last line answers.
        with np.errstate(over="ignore", invalid="ignore"):
            if self._moved:
                self.is_new = False
                self._add_pair(gradient)
            self._find_direction(gradient)
            slope = float(np.dot(gradient, self.direction))
        # The gradient belongs to the objective: the row of the next pair keeps it until then.
        np.copyto(self._changes[self._row], gradient)
        return -math.inf < slope < 0

    def move(self, length: float) -> FloatArray:
        """Return the step of `length` along the direction, which the next pair remembers."""
        self._moved = True
        step: FloatArray = self._steps[self._row]
        return np.multiply(self.direction, length, out=step)

    def _add_pair(self, gradient: FloatArray) -> None:
        step, change = self._steps[self._row], self._changes[self._row]
        np.subtract(gradient, change, out=change)
        curvature, square = float(np.dot(change, step)), float(np.dot(change, change))
        if not (curvature > CURVATURE and square > 0):
            return
        self._curvatures[self._row] = curvature
        self._scale = curvature / square
        self._order.append(self._row)
        full = len(self._order) > self._history
        self._row = self._order.popleft() if full else len(self._order)

    def _find_direction(self, gradient: FloatArray) -> None:
        direction, scratch = self.direction, self._scratch
        np.negative(gradient, out=direction)
        alphas = {}
        for row in reversed(self._order):
            alphas[row] = float(np.dot(self._steps[row], direction)) / self._curvatures[row]
            direction -= np.multiply(self._changes[row], alphas[row], out=scratch)
        direction *= self._scale
        for row in self._order:
            beta = float(np.dot(self._changes[row], direction)) / self._curvatures[row]
            direction += np.multiply(self._steps[row], alphas[row] - beta, out=scratch)
