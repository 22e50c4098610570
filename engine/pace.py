"""How long a run still takes, going by the time it took so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from impasto.engine.scales import Scale

if TYPE_CHECKING:
    from impasto.engine.result import Iterate

__all__ = ["Pace"]


class Pace:
    """Tells the time left after each step, with steps at larger scales counted as longer.

    A step takes about as long as there are pixels. Only what this process has seen counts, so that
    a run resumed on another machine is told right.

    Parameters
    ----------
    scales : sequence of Scale
        Of the run: `Options.schedule`.
    """

    def __init__(self, scales: Sequence[Scale]) -> None:
        self._scales = scales
        self._first: tuple[float, float] | None = None

    def __call__(self, iterate: Iterate) -> float:
        """Return about how many seconds are left after `iterate`."""
        done, total = self._work(iterate.iteration), self._work(iterate.iterations)
        if self._first is None:
            # A step alone; of a resumed run the mean so far.
            self._first = (done, iterate.seconds)
            return (total - done) * iterate.seconds / done
        work, seconds = done - self._first[0], iterate.seconds - self._first[1]
        return (total - done) * seconds / work if work > 0 else 0.0

    def _work(self, iteration: int) -> float:
        """Return the work of so many steps, in units of a step on one pixel."""
        work = 0.0
        for scale in self._scales:
            steps = min(max(iteration - scale.before, 0), scale.iterations)
            work += steps * float(scale.longest_side) ** 2
        return work
