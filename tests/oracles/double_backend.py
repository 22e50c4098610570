"""A backend in float64, for objectives whose sums are to be compared to the last digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from impasto.engine.backends.base import Precision
from impasto.export.light import LightModel
from impasto.export.reference import evaluate

Arrays = Mapping[str, npt.NDArray[Any]]


class DoubleGraph:
    """A graph of float64 values, evaluated in NumPy; every run returns the same arrays."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._bound: dict[str, npt.NDArray[Any]] = {}
        self._outputs: dict[str, npt.NDArray[Any]] = {}

    def bind(self, values: Arrays) -> None:
        self._bound.update(values)

    def run(self, values: Arrays) -> dict[str, npt.NDArray[Any]]:
        feeds = {**self._bound, **values}
        assert all(value.dtype == np.float64 for value in feeds.values())
        for name, value in evaluate(self._model, feeds).items():
            assert value.dtype == np.float64, name
            # As a runtime does, which is what callers that keep a result without a copy run into.
            np.copyto(self._outputs.setdefault(name, np.empty_like(value)), value)
        return dict(self._outputs)

    def release(self) -> None:
        """Spoil the results, so that nobody's use of them after this goes unnoticed."""
        for value in self._outputs.values():
            value.fill(np.nan)
        self._outputs = {}


class DoubleBackend:
    """NumPy behind the face of a runtime."""

    name = "double"
    precision: Precision = "f32"
    lowering = "portable"
    fingerprint = "numpy float64"

    def __init__(self) -> None:
        self.compiled: list[str] = []

    def compile(
        self,
        model: onnx.ModelProto | LightModel,
        outputs: Sequence[str] | None = None,
        *,
        one_of_many: bool = False,
    ) -> DoubleGraph:
        whole = model.whole() if isinstance(model, LightModel) else model
        self.compiled.append(whole.graph.name)
        return DoubleGraph(whole)
