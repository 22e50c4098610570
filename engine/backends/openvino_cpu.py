"""OpenVINO on the CPU, in float32 or bfloat16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import onnx

from impasto.engine.backends.base import FloatArray, Precision
from impasto.engine.backends.buffers import Inputs, output_arrays, output_names
from impasto.engine.backends.telemetry import telemetry_off
from impasto.engine.machine import available_cores, return_freed_memory
from impasto.errors import BackendError, BackendUnavailableError

with telemetry_off():
    import openvino as ov

__all__ = ["OpenVino", "native_precisions"]

LARGE_BYTES = 2**16
"""Size of a constant from which on it is not copied."""


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

    def __init__(self, threads: int = 0, precision: Precision = "f32") -> None:
        if precision not in native_precisions():
            raise BackendUnavailableError(
                f"OpenVINO does not compute in {precision} natively on this processor; it has "
                f"{', '.join(native_precisions())}. Ask for one of those with --precision."
            )
        self.precision: Precision = precision
        # Winograd's rounding is harmless in float32 (1e-6), but not in bfloat16 (3e-2 in a
        # prototype), in which direct convolutions are about as fast.
        self.lowering = "nhwc-winograd" if precision == "f32" else "nhwc"
        self.threads = threads or available_cores()

    @property
    def fingerprint(self) -> str:
        """Runtime, version, device and precision."""
        return f"openvino {ov.get_version()} cpu {self.precision}"

    def compile(
        self,
        model: onnx.ModelProto,
        outputs: Sequence[str] | None = None,
        *,
        one_of_many: bool = False,
    ) -> OpenVinoGraph:
        """Compile `model`; see `Backend.compile`."""
        names = output_names(model, outputs)
        return_freed_memory()  # what building the graph left behind
        try:
            compiled = _core().compile_model(
                _read(model),
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": self.precision,
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_NUM_THREADS": self.threads,
                },
            )
        except Exception as error:  # its exception types share no base but Exception
            raise BackendError(f"OpenVINO cannot compile the graph: {_last_line(error)}") from error
        return OpenVinoGraph(compiled, model, names)


class OpenVinoGraph:
    """A compiled model with its inputs and outputs in NumPy arrays it reads and writes directly.

    Parameters
    ----------
    compiled : CompiledModel
    model : ModelProto
        The graph it was made from; it is not kept.
    outputs : tuple of str
    """

    def __init__(
        self, compiled: ov.CompiledModel, model: onnx.ModelProto, outputs: tuple[str, ...]
    ) -> None:
        self._compiled = compiled
        self._request: Any = None  # an InferRequest, from the first run on
        self._inputs = Inputs(model)
        self._outputs = outputs
        # What the request reads, and the tensors on it: it does not keep them alive itself.
        self._read: dict[str, tuple[FloatArray, ov.Tensor]] = {}
        self._arrays: dict[str, FloatArray] = {}
        self._shapes: dict[str, tuple[int, ...]] | None = None
        self._sizes: dict[str, tuple[int, ...]] = {}

    def bind(self, values: Mapping[str, FloatArray]) -> None:
        """Set inputs that stay; see `CompiledGraph.bind`."""
        self._inputs.bind(values)

    def run(self, values: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run on the bound inputs and `values`; see `CompiledGraph.run`."""
        feeds = self._inputs.with_bound(values)
        shapes = {name: value.shape for name, value in feeds.items()}
        try:
            if shapes != self._shapes:
                self._first_run(feeds, shapes)
            else:
                if self._request is None:  # released
                    self._request = self._compiled.create_infer_request()
                    self._write_into(output_arrays(self._sizes))
                self._hand_over(feeds)
                self._request.infer()
        except Exception as error:  # its exception types share no base but Exception
            raise BackendError(f"OpenVINO cannot run the graph: {_last_line(error)}") from error
        return dict(self._arrays)

    def release(self) -> None:
        """Drop the request and the activations it works in; see `CompiledGraph.release`."""
        self._request, self._read, self._arrays = None, {}, {}
        self._compiled.release_memory()

    def _first_run(self, feeds: dict[str, FloatArray], shapes: dict[str, tuple[int, ...]]) -> None:
        """Run with outputs the runtime allocates, and give it arrays of their shapes for later."""
        self._request, self._read, self._shapes = None, {}, None  # they belong to other shapes
        return_freed_memory()  # theirs, and what compiling left behind
        self._request = self._compiled.create_infer_request()
        self._hand_over(feeds)
        self._request.infer()
        found = {name: self._request.get_tensor(name) for name in self._outputs}
        self._sizes = {name: tuple(tensor.shape) for name, tensor in found.items()}
        arrays = output_arrays(self._sizes)
        for name, array in arrays.items():
            array[...] = found[name].data
        self._write_into(arrays)
        self._shapes = shapes

    def _write_into(self, arrays: dict[str, FloatArray]) -> None:
        for name, array in arrays.items():
            self._request.set_tensor(name, _shared(array))
        self._arrays = arrays

    def _hand_over(self, feeds: Mapping[str, FloatArray]) -> None:
        for name, array in feeds.items():
            known, _ = self._read.get(name, (None, None))
            if known is not array or not array.flags.writeable:
                tensor = _shared(array)
                self._request.set_tensor(name, tensor)
                self._read[name] = array, tensor


def _shared(array: FloatArray) -> ov.Tensor:
    """Return a tensor in the array's own memory; a read-only array is copied, as OpenVINO asks."""
    return ov.Tensor(array if array.flags.writeable else array.copy(), shared_memory=True)


def _read(model: onnx.ModelProto) -> ov.Model:
    """Return `model` as OpenVINO has it, its large constants in NumPy arrays instead of copies.

    Written into the bytes that OpenVINO reads, and read from them, the weights would exist twice
    more: 0.68 instead of 0.40 GB at the peak of compiling VGG-19's gradient. So the constants are
    read as inputs, which are then replaced.
    """
    large = {
        tensor.name: tensor
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.raw_data) > LARGE_BYTES
    }
    graph = model.graph
    light = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.node,
            graph.name,
            [
                *graph.input,
                *(
                    onnx.helper.make_tensor_value_info(name, tensor.data_type, tensor.dims)
                    for name, tensor in large.items()
                ),
            ],
            graph.output,
            [tensor for tensor in graph.initializer if tensor.name not in large],
        ),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    )
    read = _core().read_model(light.SerializeToString())
    for parameter in read.get_parameters():
        name = parameter.get_friendly_name()
        if name in large:
            # A copy, because what the tensor gives is read-only; OpenVINO keeps it alive.
            array = onnx.numpy_helper.to_array(large[name]).copy()
            constant = ov.op.Constant(array, shared_memory=True)
            parameter.output(0).replace(constant.output(0))
            read.remove_parameter(parameter)
    return read


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
