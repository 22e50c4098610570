"""OpenVINO on the CPU, in float32 or bfloat16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import onnx
import openvino as ov

from impasto.engine.backends.base import FloatArray, Precision
from impasto.engine.backends.buffers import Inputs, output_arrays
from impasto.engine.machine import available_cores
from impasto.errors import BackendError, BackendUnavailableError

__all__ = ["OpenVino", "native_precisions"]


class OpenVino:
    """OpenVINO's CPU plugin.

    Parameters
    ----------
    threads : int
        0 is one per available core.
    precision : {"f32", "bf16"}
        Always handed to the plugin: its own default is bfloat16 wherever the processor has it.

    Raises
    ------
    BackendUnavailableError
        If the processor does not compute in `precision` natively.
    """

    name = "openvino"
    lowering = "portable"

    def __init__(self, threads: int = 0, precision: Precision = "f32") -> None:
        if precision not in native_precisions():
            raise BackendUnavailableError(
                f"OpenVINO does not compute in {precision} natively on this processor; it has "
                f"{', '.join(native_precisions())}. Ask for one of those with --precision."
            )
        self.precision: Precision = precision
        self.threads = threads or available_cores()

    @property
    def fingerprint(self) -> str:
        """Runtime, version, device and precision."""
        return f"openvino {ov.get_version()} cpu {self.precision}"

    def compile(
        self, model: onnx.ModelProto, outputs: Sequence[str] | None = None
    ) -> OpenVinoGraph:
        """Compile `model`; see `Backend.compile`."""
        names = tuple(outputs or (value.name for value in model.graph.output))
        try:
            core = _core()
            compiled = core.compile_model(
                core.read_model(model.SerializeToString()),
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": self.precision,
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_NUM_THREADS": self.threads,
                },
            )
        except Exception as error:  # its exception types share no base but Exception
            raise BackendError(f"OpenVINO cannot compile the graph: {_last_line(error)}") from error
        return OpenVinoGraph(compiled, names)


class OpenVinoGraph:
    """A compiled model with its inputs and outputs in NumPy arrays it reads and writes directly."""

    def __init__(self, compiled: ov.CompiledModel, outputs: tuple[str, ...]) -> None:
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._inputs = Inputs([port.any_name for port in compiled.inputs])
        self._outputs = outputs
        self._arrays: dict[str, FloatArray] = {}
        self._given: dict[str, FloatArray] = {}
        static = all(port.partial_shape.is_static for port in compiled.outputs)
        if static:
            shapes = {name: tuple(compiled.output(name).shape) for name in outputs}
            self._arrays = output_arrays(shapes)
            for name, array in self._arrays.items():
                self._request.set_tensor(name, _shared(array))

    def bind(self, values: Mapping[str, FloatArray]) -> None:
        """Set inputs that stay; see `CompiledGraph.bind`."""
        self._inputs.bind(values)
        self._set(values)

    def run(self, values: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run on the bound inputs and `values`; see `CompiledGraph.run`."""
        self._inputs.checked(values)
        self._inputs.require_all(values)
        self._set(values)
        self._given = dict(values)  # the request holds no reference to the arrays it reads
        try:
            self._request.infer()
        except Exception as error:
            raise BackendError(f"OpenVINO cannot run the graph: {_last_line(error)}") from error
        if self._arrays:
            return dict(self._arrays)
        return {name: np.array(self._request.get_tensor(name).data) for name in self._outputs}

    def _set(self, values: Mapping[str, FloatArray]) -> None:
        try:
            for name, value in values.items():
                self._request.set_tensor(name, _shared(value))
        except Exception as error:
            raise BackendError(f"OpenVINO refuses an input: {_last_line(error)}") from error


def _shared(array: FloatArray) -> ov.Tensor:
    return ov.Tensor(array, shared_memory=True)


@cache
def _core() -> ov.Core:
    return ov.Core()


@cache
def native_precisions() -> tuple[Precision, ...]:
    """Return what the CPU computes in natively, the fastest first."""
    capabilities = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("bf16", "f32") if "BF16" in capabilities else ("f32",)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
