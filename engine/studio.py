"""What pictures that are painted one after another, with the same options, have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from impasto.engine.backends.base import FloatArray
from impasto.engine.compilation import Candidate
from impasto.engine.execution import Execution, KeptGradient, open_objective
from impasto.engine.inputs import Picture, Subject
from impasto.engine.network import Network
from impasto.engine.objective import Targets, TermedObjective
from impasto.engine.options import Options
from impasto.engine.parts import Workers
from impasto.engine.plan import MARGIN, Plan
from impasto.engine.preparation import Prepared, common_ground, prepare
from impasto.engine.result import StylizeResult
from impasto.engine.stylize import paint_prepared

__all__ = ["Studio"]


class Studio:
    """Paints pictures with the same options; each as it would be painted alone.

    Made once, for all of them: the model, its network, the backend, and the compiled gradient,
    which stays for the next picture if that has the same size and the memory suffices for both.
    Nothing else of a picture stays.

    Parameters
    ----------
    options : Options

    Raises
    ------
    UsageError
        If the model or the backend cannot be used.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._ground = common_ground(options)
        self._gradient = KeptGradient()
        self._kept_for: tuple[tuple[int, int], Execution] | None = None
        self._candidates: dict[tuple[str, ...], Candidate] = {}

    def prepare(
        self, subject: Subject, styles: Sequence[Picture], workers: Workers | None = None
    ) -> Prepared:
        """Load, check and plan a picture; see `impasto.engine.preparation.prepare`."""
        return prepare(subject, styles, self._options, workers, self._ground)

    def paint(self, prepared: Prepared, **how: Any) -> StylizeResult:
        """Paint what :meth:`prepare` returned.

        Parameters
        ----------
        prepared : Prepared
        how
            As for `impasto.engine.stylize.paint_prepared`.
        """
        last = prepared.plan.scales[-1]
        if self._kept_for != (last.size, last.execution):
            self.forget()
        if not _room_to_keep(prepared.plan):
            return paint_prepared(prepared, **how)
        self._kept_for = last.size, last.execution
        try:
            return paint_prepared(prepared, opening=self._open, **how)
        finally:
            self._gradient.release()

    def forget(self) -> None:
        """Drop what is compiled: something else needs the memory."""
        self._gradient, self._kept_for = KeptGradient(), None

    def _open(
        self,
        execution: Execution,
        chosen: Candidate,
        network: Network,
        size: tuple[int, int],
        targets: Targets,
        weights: Mapping[str, FloatArray],
        workers: Workers | None = None,
    ) -> TermedObjective:
        """Open an objective on the gradient there is, if it is the same one."""
        backend, planned = chosen.backend, self._ground.backend
        if (backend.name, backend.precision) != (planned.name, planned.precision):
            # It fell back to another one, which takes other memory than was planned.
            return open_objective(execution, chosen, network, size, targets, weights, workers)
        # Every run opens the backend anew; what was compiled belongs to the first.
        key = backend.name, backend.precision, chosen.lowering
        first = self._candidates.setdefault(key, chosen)
        return self._gradient(execution, first, network, size, targets, weights, workers)


def _room_to_keep(plan: Plan) -> bool:
    """Return whether the next picture's targets can be computed while the gradient is there."""
    if len(plan.scales) > 1:  # each needs a gradient of its own
        return False
    memory = plan.scales[-1].memory
    room = memory.base + memory.gradient + max(memory.optimizer, memory.targets)
    return not plan.budget or room <= MARGIN * plan.budget
