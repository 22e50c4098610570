"""L-BFGS without a line search in NumPy, as jcjohnson/neural-style runs it.

One evaluation an iteration and no bookkeeping but the pairs: the fastest way down for style
transfer, at the price that the loss may rise for a while.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from impasto.engine.machine import available_cores
from impasto.engine.optimizers.arrays import extremes, is_zero, read_only
from impasto.engine.optimizers.base import Numbers, OnStep, OptimizerState, Outcome
from impasto.engine.optimizers.best import BestSoFar
from impasto.engine.optimizers.inverse_hessian import InverseHessian
from impasto.engine.optimizers.lean_inverse_hessian import LeanInverseHessian
from impasto.engine.optimizers.long_rows import columns_of
from impasto.engine.optimizers.recovery import Recovery
from impasto.engine.optimizers.room import Room
from impasto.engine.optimizers.spectral import SpectralScaling
from impasto.engine.optimizers.state import StateReader
from impasto.engine.optimizers.steepest import Steepest
from impasto.engine.optimizers.team import Team
from impasto.engine.result import FloatArray, Status
from impasto.errors import CheckpointError

__all__ = ["FirstStep", "Lbfgs", "Preconditioner"]

FirstStep = Literal["reference", "safe"]
Preconditioner = Literal["none", "spectral"]

MAX_RESTARTS = 5
SHORTEN = 0.25
NAME = "lbfgs-numpy"

EXPLOSION = 1e10
"""Times the first loss. Far, because without a line search healthy runs rise far: from noise, the
reference's first quasi-Newton steps were seen to overshoot by 10 million times and to recover."""

POLYAK_SHARE = 0.25
"""Of Polyak's step. Measured with VGG-19 at 256 pixels: from a photo 1/8 to 1/2 do as well; from
noise 1/4 took 30 evaluations to a loss that 1/2 and the reference had not half reached."""

SPECTRAL_SCALE = 2.0
"""Times (y·s / y·y) I of the newest pair that H₀ is in frequencies. y·s / y·y is the shortest step
that fits the pair, s·s / y·s the longest. See docs/default-preset.md for how it was chosen."""

FARTHEST = 255.0
"""Most a pixel may change in the safe first step: all the way from black to white."""


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
        Pairs remembered at most, at least 1: 2 · (history + 1) · 4 bytes an entry, 132 MB for
        512x512 pixels and a history of 20. (The reference remembers 100.) With the preconditioner
        it is (1.2 · history + 2) · 4 bytes of half the entries, 60 MB for a history of 30
        (:class:`~impasto.engine.optimizers.lean_inverse_hessian.LeanInverseHessian`). Memory is
        touched only as pairs come in.
    learning_rate : float
        Step length.
    first_step : {"reference", "safe"}
        Length of the step before there is a pair. The reference's changes a pixel of a 512x512
        picture by a millionth and takes the curvature there for that of the whole way: where it
        changes much (Gram matrices are of second order, so their loss is of fourth) the second
        step overshoots, from noise by up to 10 million times in the loss. The safe one is a
        quarter of Polyak's step, loss / ‖g‖² · learning_rate: where the tangent meets 3/4 of the
        loss, but within the range of colours. It fits losses that are bounded by 0, at any scale.
    directory : Path, optional
        Where to keep the pairs instead of in memory: in a file without a name, which is gone when
        the run is. The numbers are the same. Every iteration reads it all twice; a row and a part
        of the others are in memory at a time, and nothing while the objective is evaluated.
    preconditioner : {"none", "spectral"}
        Variables of the search. With ``spectral`` they are frequencies, scaled by
        :class:`~impasto.engine.optimizers.spectral.SpectralScaling`: all of the above holds in
        them, but H₀ is twice as large, the range of colours is that of the picture, and when
        memory is used up all but a fifth of the pairs are forgotten. Pairs hold the leading
        variables only, half of them; the rest, which hardly moves, goes along −g
        (:class:`~impasto.engine.optimizers.steepest.Steepest`). The reference has none.
    threads : int
        Of the products with the pairs, if they are in memory, and of the preconditioner; 0 is one
        per available core. The former's numbers do not depend on it.
    wraps : bool
        Whether the image is a torus, which the preconditioner has to know.

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
    directory: Path | None = None
    preconditioner: Preconditioner = "none"
    threads: int = 0
    wraps: bool = False

    def minimize(
        self,
        search: BestSoFar,
        *,
        iterations: int,
        on_step: OnStep,
        resume: OptimizerState | None = None,
    ) -> Outcome:
        """Minimise; see :meth:`impasto.engine.optimizers.base.Optimizer.minimize`.

        Raises
        ------
        CheckpointError
            If `resume` is not a state of such a run.
        OptionError
            If the pairs do not fit in `directory`; nothing has been evaluated then.
        """
        run = _Run(self, search, iterations)
        if resume is not None:
            run.restore(resume, iterations)
            resume = None  # it can be large
        while run.iteration < iterations:
            if run.iteration > 0:
                run.step()
            stopped, reason = run.evaluate()
            if stopped is not None:
                return search.outcome(stopped, run.iteration, reason)
            if on_step(search.step(run.iteration, run.loss, run.x, run.state)) is False:
                return search.outcome(Status.CANCELLED, run.iteration)
        return search.outcome(Status.FINISHED, iterations)

    def carried(
        self, state: OptimizerState, resize: Callable[[FloatArray], FloatArray]
    ) -> OptimizerState | None:
        """Return ``None``: the curvature of another grid is of no use."""
        return None

    def traffic(self, entries: int, iterations: int) -> float:
        """Return the bytes of 3 passes over all vectors and 12 over the image, a step.

        See :meth:`impasto.engine.optimizers.base.Optimizer.traffic`. Two products and a sum with
        each vector.
        """
        if self.preconditioner == "spectral":
            vectors = self.room(iterations).average
        else:
            steps = min(iterations, 2000)
            vectors = 2 * sum(min(step, self.pairs_of(iterations)) for step in range(steps)) / steps
        passes = 3 * vectors * self.remembered(entries) / entries + 12
        return 4.0 * entries * iterations * passes

    def memory(self, entries: int, iterations: int) -> int:
        """Return the bytes of the iterate and of the pairs that are in memory at a time.

        See :meth:`impasto.engine.optimizers.base.Optimizer.memory`.
        """
        pairs = self.history_bytes(entries, iterations)
        leading = self.remembered(entries)
        vectors = pairs // (4 * leading)
        sharing, columns = self.working_threads, columns_of(leading)
        if self.directory is not None:
            sharing = 1
            pairs = min(pairs, 4 * (leading + vectors * columns))
        if self.preconditioner == "none":
            return 4 * entries + 4 * min(leading, sharing * columns) + pairs
        kept, transforms = SpectralScaling.memory(entries, self.wraps)
        pairs += 4 * sharing * self.room(iterations).written_at_a_time(leading)
        # Before there is a pair, the first step as a picture.
        pairs = max(pairs, 4 * (entries + 2 * leading))
        # The last two gradients of what has no pairs.
        return 4 * (3 * entries - 2 * leading) + kept + transforms + pairs

    def history_bytes(self, entries: int, iterations: int) -> int:
        """Return the bytes of the pairs, in memory or in the directory."""
        vectors = 2 * (self.pairs_of(iterations) + 1)
        if self.preconditioner == "spectral":
            vectors = self.room(iterations).rows + 1
        return 4 * vectors * self.remembered(entries)

    def remembered(self, entries: int) -> int:
        """Return how many entries a pair's arrays have, about."""
        if self.preconditioner == "none":
            return entries
        return SpectralScaling.leading_of(entries, self.wraps)

    def room(self, iterations: int) -> Room:
        """Return how many pairs a run in frequencies has room for."""
        return Room(self.history, iterations)

    def pairs_of(self, iterations: int) -> int:
        """Return how many pairs a run remembers: no more than it makes."""
        return max(1, min(self.history, iterations - 1))

    @property
    def working_threads(self) -> int:
        """Threads at work at a time."""
        return self.threads or available_cores()


class _Run:
    """An optimisation at work.

    Attributes
    ----------
    x : ndarray
        Current iterate, flat.
    loss : float
        Objective at `x`.
    iteration : int
        Iterations done.
    """

    def __init__(self, lbfgs: Lbfgs, search: BestSoFar, iterations: int) -> None:
        self._lbfgs = lbfgs
        self._search = search
        self._recovery = Recovery(search, MAX_RESTARTS, SHORTEN)
        self._ceiling = math.inf
        self._restarted = False
        """Whether `x` has just been put back, so that there is no direction to go."""
        self.x = search.x.flatten()
        self.loss = math.inf
        self.iteration = 0
        is_spectral = lbfgs.preconditioner == "spectral"
        times = SPECTRAL_SCALE if is_spectral else 1.0
        team = Team(lbfgs.working_threads)
        self._scaling: SpectralScaling | None = None
        leading = self.x.size
        if is_spectral:
            self._scaling = SpectralScaling(search.x.shape, self.x.dtype, team, wraps=lbfgs.wraps)
            leading = self._scaling.leading
        self._model: InverseHessian | LeanInverseHessian
        if is_spectral:
            room = lbfgs.room(iterations)
            self._model = LeanInverseHessian(self.x[:leading], room, lbfgs.directory, team, times)
        else:
            pairs = lbfgs.pairs_of(iterations)
            self._model = InverseHessian(self.x, pairs, lbfgs.directory, team, times)
        self._rest = Steepest(self.x.size - leading, self.x.dtype)

    def evaluate(self) -> tuple[Status | None, str]:
        """Evaluate and find the next direction, or go back; return why to stop, if so."""
        self.iteration += 1
        self.loss, gradient = self._search.evaluate(self.x, is_given=True)
        if self.iteration == 1:
            self._ceiling = EXPLOSION * abs(self.loss) or math.inf
        if math.isfinite(self.loss) and is_zero(gradient):
            return Status.STALLED, "the gradient is zero"
        usable = math.isfinite(self.loss) and self.loss <= self._ceiling
        if usable and self._scaling is not None and isinstance(self._model, LeanInverseHessian):
            self._scaling.of_gradient(gradient, self._model.place, self._rest.place)
            gradient = self._model.place
        self._restarted = not (usable and self._update(gradient))
        if self._restarted:
            if not self._recovery.restart():
                return Status.DIVERGED, _why(self.loss, self._ceiling)
            if not self._search.holds(self.x):
                np.copyto(self.x, self._search.x.reshape(-1))
            self.loss = self._search.loss
            self._model.forget()
            self._rest.forget()
        return None, ""

    def step(self) -> None:
        """Go along the direction, unless the iterate has just been put back."""
        if not self._restarted:
            length = self._relative_length() * self._lbfgs.learning_rate
            self._move(length * self._recovery.step_scale)
            self._model.release()

    def state(self) -> OptimizerState:
        """Return what `restore` takes; the direction is not in it, for the rest determines it."""
        ceiling = {"ceiling": float(self._ceiling)} if math.isfinite(self._ceiling) else {}
        numbers: Numbers = {
            "optimizer": NAME,
            "preconditioner": self._lbfgs.preconditioner,
            "iteration": self.iteration,
            "loss": float(self.loss),
            "restarted": self._restarted,
            **ceiling,
            **self._recovery.numbers(),
            **self._model.numbers(),
            **self._rest.numbers(),
        }
        arrays = {"x": read_only(self.x)}
        if not self._restarted:
            arrays["gradient"] = self._model.gradient()
            if self._rest.gradient.size:
                arrays["rest.gradient"] = read_only(self._rest.gradient)
        return OptimizerState(numbers, arrays, self._model.pairs())

    def restore(self, state: OptimizerState, iterations: int) -> None:
        """Go on from a saved state."""
        reader = StateReader(state, NAME, self.x.size, self.x.dtype)
        reader.choice("preconditioner", self._lbfgs.preconditioner)
        self.iteration = reader.integer("iteration", 1, iterations)
        self.loss = reader.real("loss")
        self._restarted = reader.flag("restarted")
        self._ceiling = reader.real("ceiling", 0.0) if "ceiling" in reader else math.inf
        self._recovery.restore(reader)
        self._model.restore(reader, self.iteration)
        self._rest.restore(reader)
        np.copyto(self.x, reader.array("x"))
        gradient: FloatArray | None = None
        if not self._restarted:
            rest = self._rest.place
            gradient = reader.array("gradient", size=self.x.size - rest.size)
            if rest.size:
                np.copyto(rest, reader.array("rest.gradient", size=rest.size))
        reader.finish()
        if gradient is not None and not self._update(gradient):
            raise CheckpointError(
                "The gradient and the pairs of the saved optimizer state give no direction that "
                "leads downhill. The checkpoint is damaged; start the run again."
            )

    def _update(self, gradient: FloatArray) -> bool:
        """Find the direction for what leads; return whether that is downhill, as the rest's is."""
        leads_downhill = self._model.update(gradient)
        self._rest.update(self._model.scale)
        return leads_downhill

    def _move(self, length: float) -> None:
        """Go so far along the direction."""
        step = self._model.move(length)
        self._rest.move(length)
        moved = self._search.spare if self._search.holds(self.x) else self.x
        if self._scaling is not None:
            rest, rate = self._rest.gradient, self._rest.rate
            self._scaling.add_step(step, rest, -rate, self.x, moved)
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                np.add(self.x, step, out=moved)
        self.x = moved

    def _relative_length(self) -> float:
        """Return the step length in learning rates."""
        model = self._model
        if self._lbfgs.first_step == "safe":
            if model.is_empty and self.loss > 0:
                return self._safe_length()
        elif model.is_new:
            with np.errstate(over="ignore"):
                norm = float(np.abs(model.direction, out=model.spare).sum())
                norm += self._rest.rate * float(np.abs(self._rest.gradient).sum())
                return min(1.0, 1.0 / norm)
        return 1.0

    def _safe_length(self) -> float:
        """Return the length of the safe first step; the direction is −g."""
        direction, spare, rest = self._model.direction, self._model.spare, self._rest.gradient
        rate = self._rest.rate
        largest = max(_magnitude(direction), rate * _magnitude(rest))
        # Squares of very small or large gradients would leave float32's range.
        norm = float(np.linalg.norm(np.divide(direction, largest, out=spare)))
        square = norm**2 + float(np.linalg.norm(rest / (largest / rate) if rate else rest)) ** 2
        square *= largest**2
        if self._scaling is not None:
            picture = np.zeros_like(self.x)
            self._scaling.add_step(direction, rest, -rate, picture, picture)
            largest = _magnitude(picture)
        return min(POLYAK_SHARE * self.loss / square, FARTHEST / largest)


def _magnitude(array: FloatArray) -> float:
    smallest, greatest = extremes(array) if array.size else (0.0, 0.0)
    return max(-smallest, greatest)


def _why(loss: float, ceiling: float) -> str:
    if not math.isfinite(loss):
        return "numbers are not finite"
    if loss > ceiling:
        return f"the loss rose above {EXPLOSION:g} times the first one"
    return "no direction leads downhill"
