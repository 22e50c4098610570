"""Read back what an optimizer saved: every number and array is checked, for files can be damaged.

Where states are stored is not this file's business.
"""

from __future__ import annotations

import base64
import contextlib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from impasto.engine.optimizers.arrays import extremes
from impasto.engine.optimizers.base import OptimizerState
from impasto.engine.result import FloatArray
from impasto.errors import CheckpointError

__all__ = ["StateReader", "packed_reals"]

_REAL = np.dtype("<f8")


def packed_reals(values: npt.ArrayLike) -> str:
    """Return floats, bit for bit, as what :meth:`StateReader.reals` takes.

    In decimal digits they would take twice as long, and the products of 1000 pairs 20 MB.
    """
    return base64.b64encode(np.asarray(values, _REAL).tobytes()).decode("ascii")


class StateReader:
    """An optimizer state that comes from outside, entry by entry.

    Nothing is copied and no array is touched before it is asked for, so that arrays may be
    memory-mapped and larger than memory together.

    Parameters
    ----------
    state : OptimizerState
        Anything may be in it.
    optimizer : str
        The optimizer it has to be of: its number ``optimizer``.
    size : int
        Entries of every array that is no pair's.
    dtype : dtype
        Type of every array.

    Raises
    ------
    CheckpointError
        Here, if the state is of another optimizer; by every method, if the entry is missing, or
        is not what is asked for.
    """

    def __init__(
        self, state: OptimizerState, optimizer: str, size: int, dtype: npt.DTypeLike
    ) -> None:
        self._state = state
        self._size = size
        self._dtype = np.dtype(dtype)
        self._unread = {
            "number": set(state.numbers),
            "array": set(state.arrays),
            "pair": set(state.pairs),
        }
        self.choice("optimizer", optimizer)

    @classmethod
    def of_any_size(cls, state: OptimizerState, optimizer: str) -> StateReader:
        """Return a reader for arrays of the size and type that ``x`` has in the state itself."""
        x: object = state.arrays.get("x")
        if not isinstance(x, np.ndarray) or x.ndim != 1 or x.dtype.char not in "fd":
            raise _wrong("array", "x", "a flat array of float32", f"{type(x).__name__}: {x!r:.60}")
        return cls(state, optimizer, x.size, x.dtype)

    def __contains__(self, name: str) -> bool:
        """Return whether there is a number of this name."""
        return name in self._state.numbers

    def choice(self, name: str, asked: str) -> None:
        """Refuse a state of another algorithm than the one asked for."""
        found = self._number(name)
        if found != asked:
            raise CheckpointError(
                f"The saved optimizer state is of {found!r}, and the run asks for {asked!r}. "
                f"Go on with the {name} it was started with."
            )

    def integer(self, name: str, least: int, most: int) -> int:
        """Return a whole number from `least` to `most`, both included."""
        found = self._number(name)
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
            raise _wrong("number", name, f"a whole number from {least} to {most}", repr(found))
        return found

    def flag(self, name: str) -> bool:
        """Return a truth value."""
        found = self._number(name)
        if not isinstance(found, bool):
            raise _wrong("number", name, "true or false", repr(found))
        return found

    def real(self, name: str, least: float = -math.inf, most: float = math.inf) -> float:
        """Return a finite float from `least` to `most`, both included."""
        found = self._number(name)
        if not (isinstance(found, float) and math.isfinite(found) and least <= found <= most):
            raise _wrong("number", name, f"a finite float from {least:g} to {most:g}", repr(found))
        return found

    def reals(self, name: str, count: int, least: Mapping[int, float]) -> npt.NDArray[np.float64]:
        """Return `count` finite floats that :func:`packed_reals` told.

        Parameters
        ----------
        name : str
        count : int
        least : mapping of int to float
            Least value by place.
        """
        found = self._number(name)
        told = np.full(count, np.nan)
        if isinstance(found, str) and len(found) == 4 * math.ceil(count * _REAL.itemsize / 3):
            with contextlib.suppress(ValueError):
                told = np.frombuffer(base64.b64decode(found, validate=True), _REAL)
        sound = told.shape == (count,) and bool(np.isfinite(told).all())
        if not (sound and all(told[place] >= value for place, value in least.items())):
            raise _wrong("number", name, f"{count} finite floats in base64", f"{found!r:.60}")
        return told.astype(np.float64)

    def serials(self, name: str, among: Sequence[int], most: int) -> list[int]:
        """Return at most so many growing whole numbers told in one string, each one of `among`."""
        found = self._number(name)
        words = found.split(" ") if isinstance(found, str) and found else []
        told = [int(word) for word in words if re.fullmatch("[0-9]{1,18}", word)]
        grows = all(one < other for one, other in pairwise(told))
        is_known = grows and len(told) <= most and all(serial in among for serial in told)
        if not is_known or " ".join(map(str, told)) != found:
            raise _wrong("number", name, f"{most} growing numbers at most", f"{found!r:.60}")
        return told

    def array(self, name: str, lower: float = -math.inf, size: int | None = None) -> FloatArray:
        """Return a current value: finite entries, or with `lower` any from there to infinity.

        Of as many entries as the image has, unless another `size` is given.
        """
        entries = self._size if size is None else size
        return self._flat("array", name, self._state.arrays, entries, lower)

    def pair(self, name: str, size: int) -> FloatArray:
        """Return an array of `size` entries that never changes; they are finite."""
        return self._flat("pair", name, self._state.pairs, size, -math.inf)

    def finish(self) -> None:
        """Refuse what nobody asked for: it is of another version, or no state at all."""
        for kind, names in self._unread.items():
            if names:
                raise CheckpointError(
                    f"The saved optimizer state has {_listed(names)} among its {kind}s, which this "
                    "version does not know. The checkpoint is damaged or of another version; start "
                    "the run again."
                )

    def _number(self, name: str) -> object:
        numbers = self._state.numbers
        if name not in numbers:
            raise _wrong("number", name, "there", f"missing; there are only: {_listed(numbers)}")
        self._unread["number"].discard(name)
        return numbers[name]

    def _flat(
        self, kind: str, name: str, arrays: Mapping[str, FloatArray], size: int, lower: float
    ) -> FloatArray:
        expected = f"{size} entries of {self._dtype}"
        if name not in arrays:
            raise _wrong(kind, name, expected, f"missing; there are only: {_listed(arrays)}")
        self._unread[kind].discard(name)
        found: object = arrays[name]
        if not isinstance(found, np.ndarray):
            raise _wrong(kind, name, expected, f"of type {type(found).__name__}")
        if found.dtype != self._dtype or found.shape != (size,):
            raise _wrong(kind, name, expected, f"{found.dtype} of shape {found.shape}")
        smallest, largest = extremes(found)
        if lower == -math.inf and not (math.isfinite(smallest) and math.isfinite(largest)):
            raise _wrong(kind, name, "finite everywhere", f"from {smallest} to {largest}")
        if not smallest >= lower:
            raise _wrong(kind, name, f"at least {lower:g} everywhere", f"{smallest} somewhere")
        return found


def _wrong(kind: str, name: str, expected: str, found: str) -> CheckpointError:
    return CheckpointError(
        f"The {kind} {name!r} of the saved optimizer state should be {expected}, and is {found}. "
        "The checkpoint is damaged, or of another run or version; start the run again."
    )


def _listed(names: Collection[str]) -> str:
    shown = sorted(map(str, names))[:8]
    return ", ".join(shown) + (", …" if len(names) > len(shown) else "") or "nothing"
