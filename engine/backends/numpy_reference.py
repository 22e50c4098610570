"""What runtimes are compared with: a graph in NumPy, float32, as it is written.

It shares no code with any runtime, compiles and rewrites nothing, and needs no memory to speak of
beyond the values that are still to be read. It paints nothing: a picture would take hours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from impasto.engine.backends.base import FloatArray, Precision
from impasto.engine.backends.buffers import Inputs, output_names
from impasto.engine.backends.constants import PagedConstants
from impasto.engine.backends.numpy_ops import OPS, Op
from impasto.errors import BackendError
from impasto.export.light import LightModel

__all__ = ["NumpyGraph", "NumpyReference"]

Array = npt.NDArray[Any]


class NumpyReference:
    """NumPy behind the face of a runtime, for graphs of the portable lowering."""

    name = "numpy"
    precision: Precision = "f32"
    lowering = "portable"
    fingerprint = f"numpy {np.__version__} f32"

    def compile(
        self,
        model: onnx.ModelProto | LightModel,
        outputs: Sequence[str] | None = None,
        *,
        one_of_many: bool = False,
    ) -> NumpyGraph:
        """Return `model` as steps; see `Backend.compile`."""
        return NumpyGraph(LightModel.of(model), outputs)


@dataclass(frozen=True)
class _Step:
    """A node: what it computes, and the values that nobody reads after it."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]
    done_with: tuple[str, ...] = ()


class NumpyGraph:
    """A graph that is computed node by node.

    Parameters
    ----------
    light : LightModel
    outputs : sequence of str, optional
        The outputs to compute; all of them by default.

    Raises
    ------
    BackendError
        If it has an operator that the portable lowering of a gradient has not.
    """

    def __init__(self, light: LightModel, outputs: Sequence[str] | None = None) -> None:
        graph = light.model.graph
        self._inputs = Inputs(light.model)
        self._outputs = output_names(light.model, outputs)
        self._paged = PagedConstants.of(light.constants)
        large = light.constants if self._paged is None else self._paged.arrays
        self._large = dict(large)
        self._constants = {
            tensor.name: numpy_helper.to_array(tensor)
            for tensor in graph.initializer
            if tensor.name not in large
        }
        self._steps = _in_turn([_step(node) for node in graph.node], self._outputs)

    def bind(self, values: Mapping[str, FloatArray]) -> None:
        """Set inputs that stay; see `CompiledGraph.bind`."""
        self._inputs.bind(values)

    def run(self, values: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run on the bound inputs and `values`; see `CompiledGraph.run`."""
        known: dict[str, Array] = {
            **self._large,
            **self._constants,
            **self._inputs.with_bound(values),
        }
        with np.errstate(all="ignore"):  # as runtimes do; what is not finite is judged
            for step in self._steps:
                self._take(step, known)
        return {name: np.array(known[name], order="C") for name in self._outputs}

    def release(self) -> None:
        """Nothing is kept between runs; see `CompiledGraph.release`."""

    def _take(self, step: _Step, known: dict[str, Array]) -> None:
        operands = [known[name] if name else None for name in step.inputs]
        try:
            known[step.output] = np.asarray(step.op(*operands, **step.attributes))
        except Exception as error:  # of a graph that is wrong, anything
            raise BackendError(f"NumPy cannot compute {step.name}: {error}") from error
        if self._paged is not None and not self._large.keys().isdisjoint(step.inputs):
            self._paged.release()
        for name in step.done_with:
            del known[name]


def _step(node: onnx.NodeProto) -> _Step:
    if node.op_type not in OPS or len(node.output) != 1:
        raise BackendError(f"NumPy cannot compute {node.name}: it has no {node.op_type}.")
    read = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in read.items()}
    return _Step(node.name, OPS[node.op_type], tuple(node.input), node.output[0], attributes)


def _in_turn(steps: Sequence[_Step], outputs: Sequence[str]) -> tuple[_Step, ...]:
    """Return those that lead to `outputs`, each with what it is the last to read."""
    wanted, found = set(outputs), []
    for step in reversed(steps):
        if step.output in wanted:
            last = {name for name in step.inputs if name} - wanted
            wanted |= last
            found.append(replace(step, done_with=tuple(sorted(last))))
    return tuple(reversed(found))
