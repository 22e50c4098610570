"""What an L-BFGS with few steps in memory remembers: kept, written out, saved and read back."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from impasto.engine.optimizers.arrays import read_only
from impasto.engine.optimizers.base import Numbers
from impasto.engine.optimizers.long_rows import LongRows
from impasto.engine.optimizers.room import AT_A_TIME, Room
from impasto.engine.optimizers.state import StateReader, packed_reals
from impasto.engine.optimizers.team import Team
from impasto.engine.optimizers.vectors import CURVATURE, Products, Vectors
from impasto.engine.result import FloatArray

__all__ = ["LeanMemory"]


class LeanMemory(Vectors):
    """Vectors of an L-BFGS: changes of the gradient, the gradient, and a few steps written out.

    What is done with them is told of
    :class:`~impasto.engine.optimizers.lean_inverse_hessian.LeanInverseHessian`, whose parameters
    and attributes these are.
    """

    def __init__(
        self,
        x: FloatArray,
        room: Room,
        directory: Path | None = None,
        team: Team | None = None,
        times: float = 1.0,
    ) -> None:
        super().__init__(x, room.rows + 1, directory, team, times)
        # Steps that are written out, then changes, and the gradient last; what is in use.
        self._rows = self._all[:-1]
        self._used = 0
        self._steps: list[int] = []
        self._changes: list[int] = []
        """Pairs that the rows belong to, by number; not all are remembered."""
        self._room = room
        self._pairs: list[int] = []
        """What is remembered, by number, the oldest first; as are all of the following."""
        most = max(room.pairs, 1) + 1
        self._least = math.inf
        """Size of the smallest gradient since steps were written out."""
        self._factors: Products = np.zeros((most, room.rows))
        """Of the rows in the steps."""
        self._own: Products = np.zeros(room.rows)
        """Of the rows in the direction."""
        # s·y where the step is not younger than the change, and y·y.
        self._step_change: Products = np.zeros((most, most))
        self._change_change: Products = np.zeros((most, most))
        self._with_gradient: Products = np.zeros(room.rows)
        """Products of the rows with the gradient."""

    def forget(self) -> None:
        """Go back to knowing nothing."""
        self._used = 0
        self._steps, self._changes, self._pairs = [], [], []
        self._least = math.inf
        super().forget()

    @property
    def is_empty(self) -> bool:
        """Whether no pair is remembered, so that the direction is −g."""
        return not self._pairs

    @property
    def direction(self) -> FloatArray:
        """−H g after :meth:`update`, until :meth:`move`."""
        row: FloatArray = self._all[-1]
        return row

    @property
    def spare(self) -> FloatArray:
        """An array that is free while no pair is remembered."""
        row: FloatArray = self._rows[1]
        return row

    @property
    def place(self) -> FloatArray:
        """Where the next gradient may be written before :meth:`update`, which then copies none."""
        is_restored = self._used > 0 and not self._moved
        row: FloatArray = self._rows[self._used - is_restored]
        return row

    def numbers(self) -> Numbers:
        """Return the numbers of a state to be taken between :meth:`update` and :meth:`move`."""
        told = {
            "is_new": self.is_new,
            "has_gradient": self._used > 0,
            "least_gradient": float(self._least) if math.isfinite(self._least) else 0.0,
            "pair_entries": self._rows.shape[1],
            "next_pair": self._next,
            "steps": _told(self._steps),
            "changes": _told(self._changes),
            "pairs": _told(self._pairs),
            "with_gradient": packed_reals(self._with_gradient[: self._used]),
        }
        for place, serial in enumerate(self._pairs):
            older = slice(place + 1)
            products = (self._step_change[older, place], self._change_change[older, place])
            told[f"products.{serial:06d}"] = packed_reals(np.concatenate(products))
            if serial not in self._steps:
                own = self._factors[place, : self._row_of(serial) + 1]
                told[f"factors.{serial:06d}"] = packed_reals(own)
        return told

    def gradient(self) -> FloatArray:
        """Return the gradient of the last :meth:`update`, until :meth:`move`."""
        return read_only(self._rows[self._used - 1])

    def pairs(self) -> dict[str, FloatArray]:
        """Return the vectors in use but the gradient, each under a name of its own."""
        names = [f"step.{serial:06d}" for serial in self._steps]
        names += [f"change.{serial:06d}" for serial in self._changes]
        return {name: read_only(self._rows[row]) for row, name in enumerate(names)}

    def restore(self, reader: StateReader, iteration: int) -> None:
        """Go back to a saved state; :meth:`update` with its gradient then finds the direction.

        Raises
        ------
        CheckpointError
            If it is not one of so many iterations, or of more pairs than there is room for.
        """
        entries, room = self._rows.shape[1], self._room
        reader.integer("pair_entries", entries, entries)
        self.is_new = reader.flag("is_new")
        has_gradient = reader.flag("has_gradient")
        self._least = reader.real("least_gradient", 0.0) or math.inf
        self._next = reader.integer("next_pair", 0, iteration - 1)
        made = range(0 if self.is_new else self._next)
        self._changes = reader.serials("changes", made, room.rows - 2)
        self._pairs = reader.serials("pairs", self._changes, room.pairs)
        most = room.rows - 2 - len(self._changes)
        self._steps = reader.serials("steps", self._changes, most)
        self._used = len(self._steps) + len(self._changes) + has_gradient
        # The last is the gradient's own.
        told = reader.reals("with_gradient", self._used, {-1: 0.0} if has_gradient else {})
        self._with_gradient[: self._used] = told
        self._factors[...] = 0
        for place, serial in enumerate(self._pairs):
            # The last of each half is the pair's own: s·y and y·y.
            least = {place: CURVATURE, -1: 0.0}
            told = reader.reals(f"products.{serial:06d}", 2 * (place + 1), least)
            older = slice(place + 1)
            self._step_change[older, place], self._change_change[older, place] = np.split(told, 2)
            self._change_change[place, older] = self._change_change[older, place]
            if serial in self._steps:
                self._factors[place, self._steps.index(serial)] = 1
                continue
            row = self._row_of(serial)
            own = reader.reals(f"factors.{serial:06d}", row + 1, {})
            # The gradient it began at is today's less the changes since then.
            self._factors[place, : self._used] = own[-1]
            self._factors[place, : row + 1] = own
            self._factors[place, self._used - 1] = -own[-1]
        for row, name in enumerate(self.pairs()):
            np.copyto(self._rows[row], reader.pair(name, entries))
            self.release()

    def _row_of(self, serial: int) -> int:
        """Return the row of a pair's change."""
        return len(self._steps) + self._changes.index(serial)

    def _change_rows(self) -> list[int]:
        """Return the rows of the changes of the pairs that are remembered."""
        return [self._row_of(serial) for serial in self._pairs]

    def _add_pair(self, with_change: Products, curvature: float) -> None:
        """Keep the pair in the making if it is a sound one, given its change's products."""
        count, last = len(self._pairs), self._used - 1
        # Where the gradient was there is its change, and it is today's less that.
        for factors in (self._factors, self._own):
            factors[..., last] = factors[..., last - 1]
            factors[..., last - 1] *= -1
        square = float(with_change[last - 1])
        is_sound = CURVATURE < curvature < math.inf and 0 < square < math.inf
        if not is_sound and not count:
            np.copyto(self._rows[0], self._rows[last])
            self._with_gradient[0] = self._with_gradient[last]
            self._used, self._steps, self._changes = 1, [], []
            return
        self._changes.append(self._next)
        self._next += 1
        if not is_sound:
            return
        self._step_change[:count, count] = self._factors[:count, : self._used] @ with_change
        self._change_change[:count, count] = with_change[self._change_rows()]
        self._change_change[count, :count] = self._change_change[:count, count]
        self._step_change[count, count], self._change_change[count, count] = curvature, square
        self._factors[count] = self._own
        self._pairs.append(self._changes[-1])
        self._forget_pairs(len(self._pairs) - self._room.pairs)

    def _forget_pairs(self, oldest: int) -> None:
        """Forget so many of the oldest pairs; their rows stay."""
        if oldest <= 0:
            return
        del self._pairs[:oldest]
        self._factors[:-oldest] = self._factors[oldest:].copy()
        for products in (self._step_change, self._change_change):
            products[:-oldest, :-oldest] = products[oldest:, oldest:].copy()

    def _write_out(self, *, is_growing: bool = False) -> None:
        """Write out the steps of the newest pairs, and keep these pairs only.

        Where the next gradient, in its place already, is growing, that in the making is one of
        them.
        """
        most = max(0, min(self._room.kept, (len(self._rows) - 2) // 2 - is_growing))
        self._forget_pairs(len(self._pairs) - most)
        count, changes = len(self._pairs), self._change_rows()
        rows = LongRows(self._rows[: self._used], self._team)
        factors = self._factors[:count, : self._used].astype(self._rows.dtype)
        own, kept = [self.direction] * is_growing, [*changes, self._used - 1]
        # The next gradient's place moves.
        copied = kept + [self._used] * is_growing
        first = count + is_growing

        def write(block: slice) -> None:
            with np.errstate(over="ignore", invalid="ignore"):  # each thread has its own
                steps = rows.combinations(factors, block)
            others = self._rows[copied, block]
            self._rows[:count, block] = steps
            for step in own:
                self._rows[count, block] = step[block]
            self._rows[first : first + len(copied), block] = others
            self._release(block)

        rows.each(write, AT_A_TIME // (2 * first + 1))
        products = self._factors[: count + 1, : self._used].copy()
        products[count] = self._own[: self._used]
        self._with_gradient[: first + len(kept)] = [
            *(products[:first] @ self._with_gradient[: self._used]),
            *self._with_gradient[kept],
        ]
        self._steps, self._changes = list(self._pairs), list(self._pairs)
        self._used = first + len(kept)
        self._least = math.inf
        self._factors[...] = 0
        np.fill_diagonal(self._factors[:count], 1)
        if is_growing:
            self._steps.append(self._next)
            self._own[...] = 0
            self._own[count] = 1


def _told(serials: list[int]) -> str:
    """Return numbers of pairs as text with spaces between."""
    return " ".join(map(str, serials))
