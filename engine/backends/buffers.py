"""What the backends share: checked inputs, and arrays that a runtime writes into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from impasto.engine.backends.base import FloatArray
from impasto.errors import BackendError

__all__ = ["Inputs", "output_arrays"]


class Inputs:
    """The inputs of one graph: those that stay, and those of a run.

    Parameters
    ----------
    names : sequence of str
        The inputs the graph has.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.bound: dict[str, FloatArray] = {}

    def bind(self, values: Mapping[str, FloatArray]) -> None:
        """Keep `values` for later runs; see `CompiledGraph.bind`."""
        self.bound.update(self.checked(values))

    def checked(self, values: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        """Return `values` if every one is an input and an array a runtime can share.

        Raises
        ------
        BackendError
            Otherwise.
        """
        for name, value in values.items():
            if name not in self.names:
                raise BackendError(
                    f"The graph has no input {name!r}; it has {', '.join(self.names)}."
                )
            if value.dtype != np.float32 or not value.flags.c_contiguous:
                raise BackendError(
                    f"Input {name!r} is {value.dtype}, "
                    f"{'' if value.flags.c_contiguous else 'not '}contiguous; it must be "
                    "C-contiguous float32."
                )
        return values

    def require_all(self, given: Mapping[str, FloatArray]) -> None:
        """Raise BackendError if an input is neither bound nor `given`."""
        missing = [name for name in self.names if name not in self.bound and name not in given]
        if missing:
            raise BackendError(f"No value for the graph's input {', '.join(missing)}.")


def output_arrays(shapes: Mapping[str, Sequence[int]]) -> dict[str, FloatArray]:
    """Return an empty array for every output."""
    return {name: np.empty(tuple(shape), np.float32) for name, shape in shapes.items()}
