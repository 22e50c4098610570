"""The optimisation at one scale of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from impasto.engine.average import MovingAverage
from impasto.engine.inputs import Image
from impasto.engine.objective import TermedObjective
from impasto.engine.optimizers import BestSoFar, Optimizer, OptimizerState, Step
from impasto.engine.plan import ScalePlan
from impasto.engine.progress import Progress
from impasto.engine.result import FloatArray, Iterate, Status
from impasto.errors import OptimizationError

if TYPE_CHECKING:
    from impasto.engine.painting import Painting

__all__ = ["ScaleSearch"]


class ScaleSearch:
    """The optimisation at one scale: the best image, and what callbacks and checkpoints get.

    Parameters
    ----------
    painting : Painting
    plan : ScalePlan
    progress : Progress
        Where it begins.
    first : ndarray of shape (1, 3, H, W)
        Image it begins from.
    content : ndarray of shape (H, W, 3), optional
    objective : TermedObjective
    decay : float
        Of the moving average of its images; 0 is none.

    Attributes
    ----------
    best : BestSoFar
    best_losses : mapping of str to float
    iterations : int
        Steps done, over all scales.
    last : OptimizerState or None
        State after the last step, if the optimizer has something to carry to the next scale.
    """

    def __init__(
        self,
        painting: Painting,
        plan: ScalePlan,
        progress: Progress,
        first: FloatArray,
        content: Image | None,
        objective: TermedObjective,
        decay: float,
    ) -> None:
        self._painting = painting
        self._plan = plan
        self._progress = progress
        self._content = content
        cutout = painting.cutout_at(plan.size)
        self._alpha = None if cutout is None else cutout.alpha
        self._objective = objective
        self.best = BestSoFar(
            objective,
            first,
            self._keep_losses,
            loss=progress.loss,
            evaluations=progress.evaluations,
        )
        self._average: MovingAverage | None = None
        if decay:
            self._average = MovingAverage(
                decay, self.best.x.shape, progress.average, progress.averaged
            )
        self.best_losses: Mapping[str, float] = progress.losses
        self.iterations = progress.iteration
        self.last: OptimizerState | None = None
        if self._leads_on(progress.iteration) and progress.state is not None:
            # Stopped between two scales: no step is left that would set it.
            self.last = _copied(progress.state)

    @property
    def picture(self) -> FloatArray:
        """What is saved of it: the average of its images if there is one, or the best of them."""
        average = self._average
        return self.best.x if average is None or not average.count else average.image

    def run(self, optimizer: Optimizer) -> Status:
        """Optimise until done, cancelled or interrupted; what it has found is in `picture`."""
        try:
            outcome = optimizer.minimize(
                self.best,
                iterations=self._plan.scale.iterations,
                on_step=self._on_step,
                resume=self._progress.state,
            )
        except KeyboardInterrupt:
            # Not an error: whoever pressed Ctrl-C wants the picture there is.
            return Status.CANCELLED
        if not math.isfinite(outcome.loss):
            raise OptimizationError(
                "The loss is not a finite number at the first image, so there is nothing to "
                f"improve ({outcome.reason}). Check the weights file and the loss weights."
            )
        return outcome.status

    def forget(self) -> None:
        """Drop the objective and the images before the next scale takes their memory.

        They refer to each other, so that they would stay until Python looks for such circles.
        """
        del self.best, self._objective

    def _keep_losses(self) -> None:
        self.best_losses = self._objective.losses

    def _on_step(self, step: Step) -> bool:
        painting, plan, average = self._painting, self._plan, self._average
        if average is not None:
            average.add(step.x)
        self.iterations = plan.scale.before + step.iteration
        iterate = Iterate(
            iteration=self.iterations,
            iterations=painting.iterations,
            evaluations=self._progress.evaluations_before + step.evaluations,
            loss=step.loss,
            losses=self._objective.losses,
            seconds=painting.seconds,
            image=step.x[0].transpose(1, 2, 0),
            picture=lambda: painting.render(
                step.x if average is None else average.image, self._content
            ),
            scale=self._progress.scale + 1,
            scales=painting.scale_count,
            alpha=self._alpha,
        )
        go_on = painting.report(iterate)
        painting.save(lambda: self._state_after(step), now=not go_on)
        if self._leads_on(self.iterations):
            self.last = _copied(step.state())
        return go_on

    def _leads_on(self, iteration: int) -> bool:
        """Return whether this was the last step of a scale, and another scale follows."""
        scale = self._plan.scale
        last = self._progress.scale + 1 == self._painting.scale_count
        return not last and iteration == scale.before + scale.iterations

    def _state_after(self, step: Step) -> Progress:
        return replace(
            self._progress,
            iteration=self.iterations,
            seconds=self._painting.seconds,
            best=self.best.x,
            loss=self.best.loss,
            evaluations=self.best.evaluations,
            losses=self.best_losses,
            state=step.state(),
            average=None if self._average is None else self._average.image,
            averaged=0 if self._average is None else self._average.count,
        )


def _copied(state: OptimizerState) -> OptimizerState | None:
    """Return a state that outlives its step; pairs are of one grid and stay behind."""
    if state.pairs:
        return None
    arrays = {name: value.copy() for name, value in state.arrays.items()}
    return OptimizerState(state.numbers, arrays)
