"""OpenVINO on the CPU, in float32 or bfloat16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import onnx

from impasto.engine.backends.base import FloatArray, Precision
from impasto.engine.backends.buffers import Inputs, output_arrays, output_names
from impasto.engine.backends.constants import PagedConstants
from impasto.engine.backends.telemetry import telemetry_off
from impasto.engine.machine import available_cores, return_freed_memory
from impasto.errors import BackendError, BackendUnavailableError
from impasto.export.light import LightModel

with telemetry_off():
    import openvino as ov

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

    def __init__(self, threads: int = 0, precision: Precision = "f32") -> None:
        if precision not in native_precisions():
            raise BackendUnavailableError(
                f"OpenVINO does not compute in {precision} natively on this processor; it has "
                f"{', '.join(native_precisions())}. Ask for one of those with --precision."
            )
        self.precision: Precision = precision
        # In bfloat16 direct convolutions are about as fast, and take less memory; with AMX they are
        # several times as fast as in float32, which Winograd's transforms are not.
        self.lowering = "nhwc-winograd" if precision == "f32" else "nhwc"
        self.threads = threads or available_cores()

    @property
    def fingerprint(self) -> str:
        """Runtime, version, device and precision."""
        return f"openvino {ov.get_version()} cpu {self.precision}"

    def compile(
        self,
        model: onnx.ModelProto | LightModel,
        outputs: Sequence[str] | None = None,
        *,
        one_of_many: bool = False,
    ) -> OpenVinoGraph:
        """Compile `model`; see `Backend.compile`."""
        light, constants = LightModel.of(model)
        names = output_names(light, outputs)
        # A file for each of many would be too many open files.
        paged = None if one_of_many else PagedConstants.of(constants)
        if paged is not None:
            constants = paged.arrays
        del model  # and with it, where nobody else has it, what is in the file now
        return_freed_memory()  # what building the graph left behind
        try:
            compiled = _core().compile_model(
                _read(light, constants),
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": self.precision,
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_NUM_THREADS": self.threads,
                },
            )
        except Exception as error:  # its exception types share no base but Exception
            raise BackendError(f"OpenVINO cannot compile the graph: {_last_line(error)}") from error
        if paged is not None:
            paged.release()
        return OpenVinoGraph(compiled, light, names)


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
        return_freed_memory()  # what only a first run needs

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
    """Return a tensor in the array's own memory."""
    return ov.Tensor(_writable(array), shared_memory=True)


def _writable(array: FloatArray) -> FloatArray:
    """Return `array`; if it is read-only, a copy, as OpenVINO asks."""
    return array if array.flags.writeable else array.copy()


def _read(model: onnx.ModelProto, constants: Mapping[str, FloatArray]) -> ov.Model:
    """Return `model` as OpenVINO has it, with `constants` where they are instead of copies.

    OpenVINO reads large constants from the model's bytes only. So they are read as inputs, which
    are then replaced.
    """
    graph = model.graph
    light = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.node,
            graph.name,
            [*graph.input, *(_declared(name, value) for name, value in constants.items())],
            graph.output,
            [tensor for tensor in graph.initializer if tensor.name not in constants],
        ),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    )
    read = _core().read_model(light.SerializeToString())
    for parameter in read.get_parameters():
        name = parameter.get_friendly_name()
        if name in constants:
            # OpenVINO keeps the array alive.
            constant = ov.op.Constant(_writable(constants[name]), shared_memory=True)
            parameter.output(0).replace(constant.output(0))
            read.remove_parameter(parameter)
    return read


def _declared(name: str, value: FloatArray) -> onnx.ValueInfoProto:
    element = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    return onnx.helper.make_tensor_value_info(name, element, value.shape)


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
