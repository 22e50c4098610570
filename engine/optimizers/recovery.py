"""When to go back to the best iterate and try again with shorter steps, and when to give up."""

from __future__ import annotations

import math

from impasto.engine.optimizers.base import Numbers
from impasto.engine.optimizers.best import BestSoFar
from impasto.engine.optimizers.state import StateReader

__all__ = ["Recovery"]


class Recovery:
    """Counts restarts; those that led to a better iterate are forgiven.

    Parameters
    ----------
    search : BestSoFar
        Where the best iterate is.
    limit : int
        Restarts in a row, without a better iterate in between, before giving up.
    shorten : float
        What every restart multiplies `step_scale` by.

    Attributes
    ----------
    step_scale : float
        What step lengths are to be multiplied by; 1 until the first restart. It is not raised
        again: what broke down once at that length is likely to do so again.
    """

    def __init__(self, search: BestSoFar, limit: int, shorten: float = 1.0) -> None:
        self._search = search
        self._limit = limit
        self._left = limit
        self._shorten = shorten
        self._loss = math.inf
        self.step_scale = 1.0

    def restart(self) -> bool:
        """Ask for one more restart from the best iterate; ``False`` means give up."""
        if not math.isfinite(self._search.loss):
            return False
        if self._search.loss < self._loss:
            self._left, self._loss = self._limit, self._search.loss
        self._left -= 1
        self.step_scale *= self._shorten
        return self._left >= 0

    def numbers(self) -> Numbers:
        """Return the counts for an optimizer state; the loss is left out before a restart."""
        loss = {"recovery.loss": float(self._loss)} if math.isfinite(self._loss) else {}
        return {"recovery.left": self._left, "recovery.step_scale": self.step_scale, **loss}

    @staticmethod
    def fresh(limit: int) -> Numbers:
        """Return the numbers of a run that had no restart."""
        return {"recovery.left": limit, "recovery.step_scale": 1.0}

    def restore(self, reader: StateReader) -> None:
        """Go back to saved counts."""
        self._left = reader.integer("recovery.left", 0, self._limit)
        self.step_scale = reader.real("recovery.step_scale", 0.0, 1.0)
        if "recovery.loss" in reader:
            self._loss = reader.real("recovery.loss")
