"""SciPy's L-BFGS-B: quasi-Newton with a line search, so that no step makes the loss larger."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from impasto.engine.optimizers.arrays import read_only
from impasto.engine.optimizers.base import Numbers, OnStep, OptimizerState, Outcome
from impasto.engine.optimizers.best import BestSoFar
from impasto.engine.optimizers.lbfgs import Lbfgs
from impasto.engine.optimizers.recovery import Recovery
from impasto.engine.optimizers.state import StateReader
from impasto.engine.result import FloatArray, Status

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

__all__ = ["Lbfgsb"]

MAX_RESTARTS = 2
NAME = "lbfgs"
UNLIMITED = 2**31 - 1
"""For ``maxfun``: an iteration evaluates 20 times at most (``maxls``), so iterations bound both."""


@dataclass(frozen=True)
class Lbfgsb:
    """L-BFGS-B of Byrd et al. (1995) with the line search of Moré and Thuente, from SciPy.

    An iteration is one accepted step: 1 evaluation as a rule, 20 at most; the first iterate costs
    one more. Compare optimizers by evaluations.

    Parameters
    ----------
    history : int
        Pairs remembered (``maxcor``). SciPy computes in float64: its workspace is
        (2 · history + 5) · 8 bytes an entry, 283 MB for 512x512 pixels and a history of 20.

    Notes
    -----
    ``ftol`` and ``gtol`` are 0: the losses of a picture shrink slowly for a long time, and SciPy's
    own tolerances end such runs after a few iterations. No bounds: the box is not what makes
    L-BFGS-B good at pictures, and SciPy turns bounds into its own form by a Python loop over all
    entries, seconds a megapixel. Iterates are rounded to float32 for the objective.

    If the line search finds nothing lower (``ABNORMAL``) or an evaluation is not finite, the run
    restarts from the best iterate with an empty history, at most twice in a row.

    SciPy hides its history, so a resumed run is not that of the uninterrupted one: it goes on from
    the same iterate with an empty history, as if just restarted, and evaluates that iterate again.
    """

    history: int = 20

    def minimize(
        self,
        search: BestSoFar,
        *,
        iterations: int,
        on_step: OnStep,
        resume: OptimizerState | None = None,
    ) -> Outcome:
        """Minimise; see :meth:`impasto.engine.optimizers.base.Optimizer.minimize`."""
        recovery = Recovery(search, MAX_RESTARTS)
        bridge = _Bridge(search, on_step)
        start = search.x.reshape(-1)
        if resume is not None:
            start = bridge.restore(resume, iterations)
        stopped, reason = Status.FINISHED, ""
        while bridge.iterations < iterations:
            stopped, reason = self._run(bridge, start, iterations - bridge.iterations)
            if stopped not in (Status.STALLED, Status.DIVERGED) or bridge.at_minimum:
                break
            if bridge.iterations >= iterations or not recovery.restart():
                break
            start = search.x.reshape(-1)
        return search.outcome(stopped, bridge.iterations, reason)

    def carried(
        self, state: OptimizerState, resize: Callable[[FloatArray], FloatArray]
    ) -> OptimizerState | None:
        """Return ``None``: there is nothing in a state but the iterate."""
        return None

    def traffic(self, entries: int, iterations: int) -> float:
        """Return 4 times the bytes of :class:`Lbfgs`.

        See :meth:`impasto.engine.optimizers.base.Optimizer.traffic`. In float64, and so much
        longer a step took SciPy 1.17 at 786 432 entries with 20 pairs (0.089 against 0.021 s).
        """
        return 4 * Lbfgs(self.history).traffic(entries, iterations)

    def memory(self, entries: int, iterations: int) -> int:
        """Return the bytes of SciPy's workspace and of its copies of iterate and gradient.

        See :meth:`impasto.engine.optimizers.base.Optimizer.memory`. Besides the workspace, three
        float64 copies of the iterate, three of the gradient, three arrays of int32 and the float32
        iterate: 64 bytes an entry, as counted and as measured with SciPy 1.17.
        """
        pairs = min(self.history, iterations - 1)
        return entries * (8 * (2 * pairs + 5) + 64)

    def _run(self, bridge: _Bridge, start: FloatArray, iterations: int) -> tuple[Status, str]:
        """Run SciPy once."""
        from scipy.optimize import minimize  # takes a quarter of a second to import

        try:
            result = minimize(
                bridge.loss,
                start.astype(np.float64),
                jac=bridge.gradient,
                method="L-BFGS-B",
                callback=bridge.report,
                options={
                    "maxcor": self.history,
                    "maxiter": iterations,
                    "maxfun": UNLIMITED,
                    "ftol": 0.0,
                    "gtol": 0.0,
                },
            )
        except _NotFiniteError:
            return Status.DIVERGED, "numbers are not finite"
        if bridge.cancelled:
            return Status.CANCELLED, ""
        if result.nit >= iterations:
            return Status.FINISHED, ""
        return Status.STALLED, str(result.message)


class _NotFiniteError(Exception):
    """Leaves SciPy, whose line search would go on with numbers that are not finite."""


class _Bridge:
    """SciPy's float64 calls on one side, the search's float32 on the other."""

    def __init__(self, search: BestSoFar, on_step: OnStep) -> None:
        self._search = search
        self._on_step = on_step
        self._x: FloatArray = np.empty_like(search.x.reshape(-1))
        self._gradient: FloatArray = self._x
        self.iterations = 0
        self.cancelled = False
        self.at_minimum = False

    def loss(self, x: npt.NDArray[np.float64]) -> float:
        """Evaluate at `x`; SciPy asks for the gradient at the same point next."""
        np.copyto(self._x, x, casting="same_kind")
        loss, self._gradient = self._search.evaluate(self._x)
        if not math.isfinite(loss):
            raise _NotFiniteError
        self.at_minimum = not self._gradient.any()
        return loss

    def gradient(self, _x: npt.NDArray[np.float64]) -> FloatArray:
        """Return the gradient of the last evaluation; SciPy itself copies it to float64."""
        return self._gradient

    def report(self, intermediate_result: OptimizeResult) -> None:
        """Report an accepted iterate; the parameter's name makes SciPy pass it uncopied."""
        self.iterations += 1
        # The line search ends with the evaluation it accepts, so that one is still in `_x`.
        loss = float(intermediate_result.fun)
        if self._on_step(self._search.step(self.iterations, loss, self._x, self.state)) is False:
            self.cancelled = True
            raise StopIteration

    def state(self) -> OptimizerState:
        """Return what `restore` takes."""
        numbers: Numbers = {"optimizer": NAME, "iteration": self.iterations}
        return OptimizerState(numbers, {"x": read_only(self._x)})

    def restore(self, state: OptimizerState, iterations: int) -> FloatArray:
        """Take over the count of a saved state; return its iterate."""
        reader = StateReader(state, NAME, self._x.size, self._x.dtype)
        self.iterations = reader.integer("iteration", 1, iterations)
        x = reader.array("x")
        reader.finish()
        return x
