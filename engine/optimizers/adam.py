"""Adam (Kingma and Ba 2015) in NumPy: the optimizer that needs the least memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from impasto.engine.optimizers.base import OnStep, Outcome
from impasto.engine.optimizers.best import BestSoFar
from impasto.engine.optimizers.recovery import Recovery
from impasto.engine.result import FloatArray, Status

__all__ = ["Adam"]

MAX_RESTARTS = 5
SHORTEN = 0.25


@dataclass(frozen=True)
class Adam:
    """Adam with a box: every entry stays within `lower` and `upper`.

    With g the gradient at iteration t::

        m = β₁ m + (1 − β₁) g
        v = β₂ v + (1 − β₂) g²
        x = clip(x − learning_rate · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε), lower, upper)

    which is Algorithm 1 of Kingma and Ba (2015, arXiv:1412.6980) in the cheaper order of the end
    of its section 2, as torch/optim has it (ε is added to the uncorrected √v). Simple and robust;
    it needs more iterations than L-BFGS for the same loss, and 4 arrays of the image's size where
    L-BFGS needs two for every pair it remembers.

    Parameters
    ----------
    learning_rate : float
        About the change of a pixel an iteration, in its own unit (0-255).
    beta1, beta2 : float
        Decay of the mean of the gradient and of its square, in [0, 1).
    epsilon : float
        Keeps the division finite.
    lower, upper : float
        The box, 0-255 by default.

    Notes
    -----
    Unlike jcjohnson/neural-style, which lets pixels leave the range of colours and clips the
    picture once, at the end, iterates are clipped after each step: Adam moves pixels of tiny
    gradient as far as others, so they would drift outside, where clipping changes the picture.
    An evaluation that is not finite is answered by going back to the best iterate with fresh
    moments and a quarter of the learning rate, at most 5 times in a row.
    An iteration is an evaluation and then an update; the update of the last one is not computed,
    for nobody would see it.
    """

    learning_rate: float = 10.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    lower: float = 0.0
    upper: float = 255.0

    def minimize(self, search: BestSoFar, *, iterations: int, on_step: OnStep) -> Outcome:
        """Minimise; see :meth:`impasto.engine.optimizers.base.Optimizer.minimize`."""
        x = search.x.flatten()
        moments = _Moments(x)
        recovery = Recovery(search, MAX_RESTARTS, SHORTEN)
        for iteration in range(1, iterations + 1):
            loss, gradient = search.evaluate(x)
            usable = math.isfinite(loss)
            if not usable:
                if not recovery.restart():
                    return search.outcome(Status.DIVERGED, iteration, "numbers are not finite")
                np.copyto(x, search.x.reshape(-1))
                loss = search.loss
                moments.forget()
            elif moments.age == 0 and not gradient.any():
                return search.outcome(Status.STALLED, iteration, "the gradient is zero")
            if on_step(search.step(iteration, loss, x)) is False:
                return search.outcome(Status.CANCELLED, iteration)
            if usable and iteration < iterations:
                x -= moments.update(gradient, self, self.learning_rate * recovery.step_scale)
                np.clip(x, self.lower, self.upper, out=x)
        return search.outcome(Status.FINISHED, iterations)


class _Moments:
    """Running means of the gradient and of its square; `age` is t in the formulas."""

    def __init__(self, x: FloatArray) -> None:
        self._mean = np.zeros_like(x)
        self._square = np.zeros_like(x)
        self._scratch = np.empty_like(x)
        self.age = 0

    def forget(self) -> None:
        """Go back to t = 0."""
        self._mean.fill(0)
        self._square.fill(0)
        self.age = 0

    def update(self, gradient: FloatArray, adam: Adam, learning_rate: float) -> FloatArray:
        """Take in `gradient`; return what is to be subtracted from x, in the scratch array."""
        self.age += 1
        mean, square, scratch = self._mean, self._square, self._scratch
        mean *= adam.beta1
        mean += np.multiply(gradient, 1 - adam.beta1, out=scratch)
        square *= adam.beta2
        # A gradient beyond 1e19 has no square in float32: its pixels then stand still.
        with np.errstate(over="ignore"):
            np.multiply(gradient, gradient, out=scratch)
            square += np.multiply(scratch, 1 - adam.beta2, out=scratch)
        np.sqrt(square, out=scratch)
        scratch += adam.epsilon
        np.divide(mean, scratch, out=scratch)
        scratch *= learning_rate * math.sqrt(1 - adam.beta2**self.age) / (1 - adam.beta1**self.age)
        return scratch
