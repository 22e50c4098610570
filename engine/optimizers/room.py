"""How many vectors an L-BFGS has memory for whose number of pairs goes up and down."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.engine.optimizers.long_rows import columns_of

__all__ = ["AT_A_TIME", "Room"]

AT_A_TIME = 2**19
"""About so many entries a thread copies at a time, at most, when rows are written anew."""


@dataclass(frozen=True)
class Room:
    """How many pairs there is room for.

    Parameters
    ----------
    pairs : int
        Remembered at most, at least 1.
    iterations : int
        Of the run; it makes one pair less.
    """

    pairs: int
    iterations: int

    @property
    def kept(self) -> int:
        """Pairs that stay when there is no room left: a fifth, or one."""
        return max(1, self.pairs // 5)

    @property
    def rows(self) -> int:
        """Vectors besides the direction: steps, changes of the gradient, and the gradient."""
        # One row more than what stays, at least, for the next gradient.
        needed = max(self.kept + self.pairs + 1, 2 * self.kept + 2)
        return min(needed, self.iterations + 1)

    @property
    def average(self) -> float:
        """Rows in use at a step, in the mean over the run."""
        least, steps = 2 * self.kept + 1, max(self.iterations - 1, 1)
        full = min(steps, self.rows - 1)
        growing = (full + 1) / 2
        return (full * growing + (steps - full) * (least + self.rows) / 2) / steps

    def written_at_a_time(self, entries: int) -> int:
        """Return about how many numbers a thread has in its hands when rows are written anew."""
        if self.rows > self.iterations:
            return 0  # there is always room left
        return min((2 * self.kept + 1) * columns_of(entries), AT_A_TIME)
