"""What the backends share: a graph's signature, checked inputs, arrays a runtime writes into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from impasto.engine.backends.base import FloatArray
from impasto.errors import BackendError

__all__ = ["Inputs", "output_arrays", "output_names"]

Sides = tuple[int | None, ...] | None
"""A declared shape: None is a side of any length, or a shape that is not declared at all."""


class Inputs:
    """The inputs of one graph: those that stay, and those of a run.

    Parameters
    ----------
    model : ModelProto
        The graph; it is not kept.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        constants = {tensor.name for tensor in model.graph.initializer}
        self.shapes: dict[str, Sides] = {
            value.name: _declared_shape(value)
            for value in model.graph.input
            if value.name not in constants
        }
        self.bound: dict[str, FloatArray] = {}

    def bind(self, values: Mapping[str, FloatArray]) -> None:
        """Keep `values` for later runs; see `CompiledGraph.bind`."""
        self._check(values)
        self.bound.update(values)

    def with_bound(self, values: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Return an array for every input: `values`, which count in this run, then the bound ones.

        Raises
        ------
        BackendError
            If one is missing, unknown, or not of the graph's type and shape.
        """
        self._check(values)
        feeds = {**self.bound, **values}
        missing = [name for name in self.shapes if name not in feeds]
        if missing:
            raise BackendError(f"No value for the graph's input {', '.join(missing)}.")
        return feeds

    def _check(self, values: Mapping[str, FloatArray]) -> None:
        for name, value in values.items():
            if name not in self.shapes:
                raise BackendError(
                    f"The graph has no input {name!r}; it has {', '.join(self.shapes)}."
                )
            _check_array(name, value)
            expected = self.shapes[name]
            if expected is not None and not _fits(value.shape, expected):
                raise BackendError(
                    f"Input {name!r} has shape {_written(value.shape)}; the graph takes "
                    f"{_written(expected)}."
                )


def output_names(model: onnx.ModelProto, asked: Sequence[str] | None) -> tuple[str, ...]:
    """Return the outputs `asked` for, by default all that `model` has.

    Raises
    ------
    BackendError
        If it has no such output.
    """
    names = tuple(value.name for value in model.graph.output)
    unknown = [name for name in asked or () if name not in names]
    if unknown:
        raise BackendError(
            f"The graph has no output {', '.join(unknown)}; it has {', '.join(names)}."
        )
    return tuple(asked or names)


def output_arrays(shapes: Mapping[str, Sequence[int]]) -> dict[str, FloatArray]:
    """Return an empty array for every output."""
    return {name: np.empty(tuple(shape), np.float32) for name, shape in shapes.items()}


def _declared_shape(value: onnx.ValueInfoProto) -> Sides:
    declared = value.type.tensor_type
    if not declared.HasField("shape"):
        return None
    return tuple(
        side.dim_value if side.HasField("dim_value") else None for side in declared.shape.dim
    )


def _check_array(name: str, value: FloatArray) -> None:
    if not isinstance(value, np.ndarray):
        raise BackendError(
            f"Input {name!r} is a {type(value).__name__}; it must be a NumPy array of float32."
        )
    if value.dtype != np.float32 or not value.flags.c_contiguous:
        raise BackendError(
            f"Input {name!r} is {value.dtype}, {'' if value.flags.c_contiguous else 'not '}"
            "contiguous; it must be C-contiguous float32."
        )


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(
        wanted in (None, side) for side, wanted in zip(shape, expected, strict=True)
    )


def _written(shape: Sequence[int | None]) -> str:
    return f"({', '.join('any' if side is None else str(side) for side in shape)})"
