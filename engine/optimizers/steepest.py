"""Steepest descent beside L-BFGS, for variables that hardly move: no pairs, and one step length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from impasto.engine.optimizers.arrays import blocks
from impasto.engine.optimizers.base import Numbers
from impasto.engine.optimizers.long_rows import DOT
from impasto.engine.optimizers.state import StateReader
from impasto.engine.result import FloatArray

__all__ = ["Steepest"]

TURNED = 0.5
"""How far the gradient is to have turned round, as a share of the one before, to shorten steps: the
step went 1.5 times as far as the lowest point on its way, or farther."""

MOST = 4.0
"""Of shares. With 1 a run on one pair at 512 pixels, with a light style, came 0.6 % less far."""

SHORTER, LONGER = 0.5, 1.2
"""Of steps then, and at every other time (Riedmiller and Braun 1993, "A direct adaptive method for
faster backpropagation learning: the RPROP algorithm", which has them for each variable)."""

WHOLE = 2**12
"""Variables up to which all are looked at to tell whether the gradient has turned round. Of more, a
quarter is: pieces from all over."""


class Steepest:
    """The direction −(share · scale) g, with the scale told, and a share of at most 4.

    L-BFGS's H₀ = scale · I comes from other variables. Where these are steeper, such a step goes
    too far, and no pair would tell. It shows in their gradient, which turns round: then the share
    is halved. Else it grows, for often they are flatter. (y·s / y·y of these variables would not
    do: most of y is what the others did. Nor would shares without a limit: they grew to 90, until
    the others felt it.)

    Parameters
    ----------
    size : int
        Variables; there may be none.
    dtype : dtype
        Of all arrays.

    Attributes
    ----------
    place : ndarray
        Where the next gradient is to be written before :meth:`update`.
    gradient : ndarray
        That of the last :meth:`update`.
    rate : float
        The direction is `rate` times it and -1; no array has it. 0 before there is one.
    """

    def __init__(self, size: int, dtype: npt.DTypeLike) -> None:
        self.gradient: FloatArray = np.zeros(size, dtype)
        self.place: FloatArray = np.zeros(size, dtype)
        self._seen = _sample(size)
        self.rate = 0.0
        self._square = 0.0
        """g·g of that gradient."""
        self._share = 1.0

    def forget(self) -> None:
        """Go back to knowing nothing."""
        self.rate = 0.0
        self._share = 1.0

    def update(self, scale: float) -> None:
        """Take in the gradient at the new iterate, which is in its place, and the scale."""
        before, gradient = self.gradient, self.place
        if not gradient.size:
            return
        turned = square = 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            for piece in self._seen:
                turned -= float(before[piece] @ gradient[piece])
                square += float(gradient[piece] @ gradient[piece])
        if self.rate:
            has_turned = turned > TURNED * self._square
            self._share = min(MOST, self._share * (SHORTER if has_turned else LONGER))
        self._square = square
        self.rate = self._share * scale
        self.gradient, self.place = gradient, before

    def move(self, length: float) -> None:
        """Make the step of `length` along the direction."""
        self.rate *= length

    def numbers(self) -> Numbers:
        """Return the numbers of a state to be taken between :meth:`update` and :meth:`move`."""
        return {"rest.share": self._share}

    def restore(self, reader: StateReader) -> None:
        """Go back to what :meth:`numbers` told; :meth:`update` then takes the saved gradient."""
        self._share = reader.real("rest.share", 0.0, MOST)


def _sample(size: int) -> list[slice]:
    """Return the pieces of so many variables that are looked at."""
    if size <= WHOLE:
        return [slice(0, size)]
    return list(blocks(size, min(DOT, size // 64)))[::4]
