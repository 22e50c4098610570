"""Adam (Kingma and Ba 2015) in NumPy: the optimizer that needs the least memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from impasto.engine.optimizers.arrays import BLOCK, blocks, extremes, read_only, scratch
from impasto.engine.optimizers.base import Numbers, OnStep, OptimizerState, Outcome
from impasto.engine.optimizers.best import BestSoFar
from impasto.engine.optimizers.recovery import Recovery
from impasto.engine.optimizers.state import StateReader
from impasto.engine.result import FloatArray, Status

__all__ = ["Adam"]

MAX_RESTARTS = 5
SHORTEN = 0.25
NAME = "adam"

MANY = 2**53
"""More iterations than any run has; β to a higher power is 0 all the same."""


@dataclass(frozen=True)
class Adam:
    """Adam with a box: every entry stays within `lower` and `upper`.

    With g the gradient at iteration t::

        m = β₁ m + (1 − β₁) g
        v = β₂ v + (1 − β₂) g²
        x = clip(x − learning_rate · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε), lower, upper)

    which is Algorithm 1 of Kingma and Ba (2015, arXiv:1412.6980) in the cheaper order of the end
    of its section 2, as torch/optim has it (ε is added to the uncorrected √v). Simple and robust;
    it needs more iterations than L-BFGS for the same loss, and 3 arrays of the image's size where
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
    An iteration is an evaluation, whose gradient the moments take in, and then a step; the step of
    the last one is not taken, for nobody would see it.
    The states of a run hold the moments and the iterate before the step.
    """

    learning_rate: float = 10.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    lower: float = 0.0
    upper: float = 255.0

    def minimize(
        self,
        search: BestSoFar,
        *,
        iterations: int,
        on_step: OnStep,
        resume: OptimizerState | None = None,
    ) -> Outcome:
        """Minimise; see :meth:`impasto.engine.optimizers.base.Optimizer.minimize`."""
        run = _Run(self, search)
        if resume is not None:
            run.restore(resume, iterations)
            resume = None  # it can be large
        while run.iteration < iterations:
            if run.iteration > 0:
                run.step()
            loss, stopped, reason = run.evaluate()
            if stopped is not None:
                return search.outcome(stopped, run.iteration, reason)
            if on_step(search.step(run.iteration, loss, run.x, run.state)) is False:
                return search.outcome(Status.CANCELLED, run.iteration)
        return search.outcome(Status.FINISHED, iterations)

    def carried(
        self, state: OptimizerState, resize: Callable[[FloatArray], FloatArray]
    ) -> OptimizerState | None:
        """Return a state with resized moments of the same age, and recoveries forgotten.

        See :meth:`impasto.engine.optimizers.base.Optimizer.carried`. Where resampling undershoots,
        means of squares are raised to what the means of the same gradients say they are at least
        (Cauchy-Schwarz): with 0, as with ε alone, the step would have no bound. Moments that are
        beyond float32 are forgotten. The iterate is put back into the box.
        """
        reader = StateReader.of_any_size(state, NAME)
        saved = _Saved.read(reader, MANY)
        x, mean, square = resize(saved.x), resize(saved.mean), resize(saved.square)
        np.clip(x, self.lower, self.upper, out=x)
        with np.errstate(over="ignore"):
            np.maximum(square, self._least_square() * mean * mean, out=square)
        age = saved.age
        if math.isnan(extremes(square)[0]) or not all(map(math.isfinite, extremes(mean))):
            mean.fill(0)
            square.fill(0)
            age = 0
        numbers: Numbers = {
            "optimizer": NAME,
            "iteration": 0,
            "age": age,
            **Recovery.fresh(MAX_RESTARTS),
        }
        return OptimizerState(numbers, {"x": x, "mean": mean, "square": square})

    def _least_square(self) -> float:
        """Return the least v / m² that a sequence of gradients can have."""
        ratio = (1 - self.beta2) * (1 - self.beta1**2 / self.beta2) if self.beta2 else 0.0
        return max(0.0, ratio) / (1 - self.beta1) ** 2

    def traffic(self, entries: int, iterations: int) -> float:
        """Return the bytes of about 12 passes over image-size arrays a step.

        See :meth:`impasto.engine.optimizers.base.Optimizer.traffic`. The update works in blocks
        that stay in the cache, so each of its arrays counts once read and once written.
        """
        return 4.0 * 12 * entries * iterations

    def memory(self, entries: int, iterations: int) -> int:
        """Return the bytes of the iterate and both moments, whatever the iterations.

        See :meth:`impasto.engine.optimizers.base.Optimizer.memory`.
        """
        return 4 * (3 * entries + min(entries, BLOCK))


class _Run:
    """An optimisation at work.

    Attributes
    ----------
    x : ndarray
        Current iterate, flat.
    iteration : int
        Iterations done.
    """

    def __init__(self, adam: Adam, search: BestSoFar) -> None:
        self._adam = adam
        self._search = search
        self._recovery = Recovery(search, MAX_RESTARTS, SHORTEN)
        self.x = search.x.flatten()
        self.iteration = 0
        self._mean = np.zeros_like(self.x)
        self._square = np.zeros_like(self.x)
        self._age = 0
        """Gradients in the moments, t in the formulas; 0 is also when there is no step to take."""
        self._scratch = scratch(self.x.size, self.x.dtype)

    def evaluate(self) -> tuple[float, Status | None, str]:
        """Evaluate and take in the gradient, or go back; return the loss and why to stop."""
        self.iteration += 1
        loss, gradient = self._search.evaluate(self.x)
        if not math.isfinite(loss):
            if not self._recovery.restart():
                return loss, Status.DIVERGED, "numbers are not finite"
            self._go_back()
            return self._search.loss, None, ""
        if self._age == 0 and not gradient.any():
            return loss, Status.STALLED, "the gradient is zero"
        self._take_in(gradient)
        return loss, None, ""

    def step(self) -> None:
        """Move the iterate along the mean, unless it has just been put back."""
        if self._age == 0:
            return
        adam = self._adam
        correction = math.sqrt(1 - adam.beta2**self._age) / (1 - adam.beta1**self._age)
        length = adam.learning_rate * self._recovery.step_scale * correction
        # Where only ε divides, the step may overflow: the box answers that.
        with np.errstate(over="ignore"):
            for block in blocks(self.x.size):
                x, step = self.x[block], self._scratch[: block.stop - block.start]
                np.sqrt(self._square[block], out=step)
                step += adam.epsilon
                np.divide(self._mean[block], step, out=step)
                step *= length
                x -= step
                np.clip(x, adam.lower, adam.upper, out=x)

    def state(self) -> OptimizerState:
        """Return what `restore` takes."""
        numbers: Numbers = {"optimizer": NAME, "iteration": self.iteration, "age": self._age}
        arrays = {"x": self.x, "mean": self._mean, "square": self._square}
        return OptimizerState(
            {**numbers, **self._recovery.numbers()},
            {name: read_only(array) for name, array in arrays.items()},
        )

    def restore(self, state: OptimizerState, iterations: int) -> None:
        """Go on from a saved state."""
        reader = StateReader(state, NAME, self.x.size, self.x.dtype)
        saved = _Saved.read(reader, iterations)
        self._recovery.restore(reader)
        reader.finish()
        np.copyto(self.x, saved.x)
        np.copyto(self._mean, saved.mean)
        np.copyto(self._square, saved.square)
        self.iteration, self._age = saved.iteration, saved.age

    def _go_back(self) -> None:
        """Return to the best iterate and to t = 0."""
        np.copyto(self.x, self._search.x.reshape(-1))
        self._mean.fill(0)
        self._square.fill(0)
        self._age = 0

    def _take_in(self, gradient: FloatArray) -> None:
        """Add a gradient to the moments."""
        self._age += 1
        beta1, beta2 = self._adam.beta1, self._adam.beta2
        for block in blocks(gradient.size):
            mean, square, g = self._mean[block], self._square[block], gradient[block]
            product = self._scratch[: g.size]
            mean *= beta1
            mean += np.multiply(g, 1 - beta1, out=product)
            square *= beta2
            # A gradient beyond 1e19 has no square in float32: its pixels then stand still.
            with np.errstate(over="ignore"):
                np.multiply(g, g, out=product)
                square += np.multiply(product, 1 - beta2, out=product)


@dataclass(frozen=True)
class _Saved:
    """The checked entries of a state that are Adam's own."""

    iteration: int
    age: int
    x: FloatArray
    mean: FloatArray
    square: FloatArray

    @classmethod
    def read(cls, reader: StateReader, iterations: int) -> _Saved:
        return cls(
            reader.integer("iteration", 0, iterations),
            reader.integer("age", 0, MANY),
            reader.array("x"),
            reader.array("mean"),
            # Infinite where gradients are beyond 1e19.
            reader.array("square", lower=0.0),
        )
