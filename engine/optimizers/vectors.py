"""The vectors of an inverse Hessian, in memory or in a file, and the step it makes of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from impasto.engine.mapped import MappedArray
from impasto.engine.optimizers.team import Team
from impasto.engine.result import FloatArray

__all__ = ["CURVATURE", "Products", "Vectors"]

CURVATURE = 1e-10
"""Least y·s of a pair that is kept (torch/optim)."""

Products = npt.NDArray[np.float64]


class Vectors(ABC):
    """So many vectors of `x`'s size and type, and what every kind of L-BFGS does with them.

    Parameters
    ----------
    x : ndarray
        The variables it is about at the first iterate, flat.
    count : int
        Vectors.
    directory : Path, optional
        Where they are to be, in a file; see :class:`~impasto.engine.mapped.MappedArray`. In memory
        if left out. From a file some columns of everything are in memory at a time, and nothing
        between calls.
    team : Team, optional
        Who computes; from a file it is the caller alone. The numbers do not depend on it.
    times : float
        H₀, what is assumed of directions that no pair tells of, is `times` · (y·s / y·y) I of the
        newest pair; before there is one it is I.

    Attributes
    ----------
    is_new : bool
        Whether no pair has been tried since the start or :meth:`forget`.
    scale : float
        Of H₀ = scale · I at the last update.

    Raises
    ------
    OptionError
        If the vectors do not fit in the directory.
    """

    def __init__(
        self,
        x: FloatArray,
        count: int,
        directory: Path | None = None,
        team: Team | None = None,
        times: float = 1.0,
    ) -> None:
        shape = (count, x.size)
        self._mapped = None if directory is None else MappedArray(shape, x.dtype, directory)
        self._all = np.zeros(shape, x.dtype) if self._mapped is None else self._mapped.array
        self._team = team if self._mapped is None else None
        self._times = times
        self.scale = 1.0
        self.is_new = True
        self._moved = False
        self._next = 0
        """Number of the next pair."""

    @property
    @abstractmethod
    def direction(self) -> FloatArray:
        """−H g after an update, until :meth:`move`."""

    def forget(self) -> None:
        """Go back to knowing nothing."""
        self.is_new = True
        self._moved = False
        # What led here may be a direction that is not finite.
        self.direction[...] = 0
        self.release()

    def move(self, length: float) -> FloatArray:
        """Return the step of `length` along the direction; the next pair remembers it.

        With a file, :meth:`release` is to be called after its use.
        """
        self._moved = True
        step = self.direction
        if length != 1.0:
            # The next evaluation answers an iterate that is not finite.
            with np.errstate(over="ignore", invalid="ignore"):
                step *= length
        return step

    def release(self) -> None:
        """Let go of the memory that vectors in a file take for the moment."""
        if self._mapped is not None:
            self._mapped.release(self._all)

    def _release(self, block: slice) -> None:
        """Let go of a block of all vectors, if they are in a file."""
        if self._mapped is not None:
            for row in self._all:
                self._mapped.release(row[block])
