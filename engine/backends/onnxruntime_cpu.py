"""ONNX Runtime on the CPU, in float32."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

import onnx

from impasto.engine.backends.base import FloatArray, Precision
from impasto.engine.backends.buffers import Inputs, output_arrays, output_names
from impasto.engine.backends.constants import PagedConstants
from impasto.engine.backends.telemetry import telemetry_off
from impasto.engine.machine import available_cores, processor_flags, return_freed_memory
from impasto.errors import BackendError
from impasto.export.light import LightModel

with telemetry_off():
    import onnxruntime as ort

__all__ = [
    "VERSION",
    "OnnxRuntimeCpu",
    "OnnxRuntimeGraph",
    "lowering_for",
    "open_session",
    "session_options",
]

VERSION: str = ort.__version__

# The arena would otherwise double itself whenever it grows.
_PROVIDER = ("CPUExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"})


class OnnxRuntimeCpu:
    """ONNX Runtime's CPU provider.

    Parameters
    ----------
    threads : int
        Threads of an operator; 0 is one per available core.
    """

    name = "onnxruntime"
    precision: Precision = "f32"

    def __init__(self, threads: int = 0) -> None:
        self.threads = threads or available_cores()
        self._lowering = lowering_for(processor_flags())

    @property
    def lowering(self) -> str:
        """The fastest on this processor."""
        return self._lowering

    @property
    def fingerprint(self) -> str:
        """Runtime, version, device and precision."""
        return f"onnxruntime {ort.__version__} cpu f32"

    def compile(
        self,
        model: onnx.ModelProto | LightModel,
        outputs: Sequence[str] | None = None,
        *,
        one_of_many: bool = False,
    ) -> OnnxRuntimeGraph:
        """Compile `model`; see `Backend.compile`."""
        options = session_options(self.threads)
        if one_of_many and _shared_arena():
            options.add_session_config_entry("session.use_env_allocators", "1")
        if not isinstance(model, LightModel):
            return OnnxRuntimeGraph(open_session(model, options, [_PROVIDER]), model, outputs)
        light, paged = model.model, PagedConstants.of(model.constants)
        if paged is None:
            return OnnxRuntimeGraph(
                open_session(model.whole(), options, [_PROVIDER]), light, outputs
            )
        del model  # and with it, where nobody else has it, what is in the file now
        return OnnxRuntimeGraph(_open_light(light, options, paged), light, outputs, paged)


def lowering_for(flags: Collection[str]) -> str:
    """Return the lowering that is fastest on a processor with these instruction sets.

    Winograd's products are faster than the runtime's direct convolutions where those have AVX2 only
    (VGG-19 at 512 pixels: 1.4 times, in trials; `benchmarks/winograd.py` measures it); with AVX-512
    both are as fast, and direct convolutions take less memory.
    """
    return "nchwc-winograd" if "avx2" in flags and "avx512f" not in flags else "nchwc"


def _open_light(
    model: onnx.ModelProto, options: ort.SessionOptions, constants: PagedConstants
) -> ort.InferenceSession:
    """Open a session on constants that are not in the model; it reads them where they are."""
    values = [ort.OrtValue.ortvalue_from_numpy(value) for value in constants.arrays.values()]
    options.add_external_initializers(list(constants.arrays), values)
    session = open_session(model, options, [_PROVIDER])
    constants.release()
    return session


@cache
def _shared_arena() -> bool:
    """Make the arena that the sessions of one process can share; whether there is one.

    A session's own arena keeps its memory while the others run: 1.7 GB in all for the parts of
    VGG-19 at a width of 2048 pixels, where a shared one took 0.4.
    """
    memory = ort.OrtMemoryInfo(
        "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
    )
    same_as_requested = 1
    try:
        ort.create_and_register_allocator(
            memory, ort.OrtArenaCfg({"arena_extend_strategy": same_as_requested})
        )
    except Exception as error:  # its exception types share no base but Exception
        # Whoever embeds us may have registered one, which then serves as well.
        return "already" in str(error)
    return True


def session_options(threads: int) -> ort.SessionOptions:
    """Return options for graphs that run many times in one thread of ours."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # With a memory pattern the second run allocates one block for everything, beside the blocks of
    # the first run, which the arena keeps: 1.55 GB instead of 0.92 for VGG-19's gradient at 512
    # pixels, and no faster.
    options.enable_mem_pattern = False
    # session.set_denormal_as_zero stays off: it changes the calling thread's floating point for
    # good, and with it the program that embeds us.
    return options


def open_session(
    model: onnx.ModelProto, options: ort.SessionOptions, providers: Sequence[Any]
) -> ort.InferenceSession:
    """Open a session, with the runtime's own errors turned into ours.

    A provider that fails to start is such an error: the runtime's fallback to the CPU, which it
    reports on standard output, is off.
    """
    return_freed_memory()  # what building the graph left behind, before there is another copy of it
    try:
        session = ort.InferenceSession(
            model.SerializeToString(), options, providers=list(providers), enable_fallback=0
        )
    except Exception as error:  # its exception types share no base but Exception
        raise _failure("compile", error) from error
    # Kept by the session for its fallback only, and as large as all weights.
    session._model_bytes = None
    return session


class OnnxRuntimeGraph:
    """A session with its inputs and outputs in NumPy arrays it reads and writes directly.

    Parameters
    ----------
    session : InferenceSession
    model : ModelProto
        The graph it was made from; it is not kept.
    outputs : sequence of str, optional
        The outputs to compute; all of them by default.
    constants : PagedConstants, optional
        What the session reads and does not keep alive.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        model: onnx.ModelProto,
        outputs: Sequence[str] | None = None,
        constants: PagedConstants | None = None,
    ) -> None:
        self._constants = constants
        self._session = session
        self._inputs = Inputs(model)
        self._outputs = output_names(model, outputs)
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
                return self._first_run(feeds, shapes)
            if not self._arrays:  # released
                self._arrays = output_arrays(self._sizes)
            binding = self._session.io_binding()
            for name, value in feeds.items():
                binding.bind_ortvalue_input(name, self._input_value(name, value))
            for name, array in self._arrays.items():
                binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(array))
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise _failure("run", error) from error
        return dict(self._arrays)

    def release(self) -> None:
        """Drop the arrays of the results; see `CompiledGraph.release`."""
        self._arrays = {}

    def _input_value(self, name: str, value: FloatArray) -> ort.OrtValue:
        """Return an input as the runtime takes it; here, the array itself."""
        return ort.OrtValue.ortvalue_from_numpy(value)

    def _first_run(
        self, feeds: dict[str, FloatArray], shapes: dict[str, tuple[int, ...]]
    ) -> dict[str, FloatArray]:
        """Run with outputs the runtime allocates, and keep arrays of their shapes for later."""
        return_freed_memory()  # what compiling left behind
        found = dict(zip(self._outputs, self._session.run(list(self._outputs), feeds), strict=True))
        self._sizes = {name: value.shape for name, value in found.items()}
        self._arrays = output_arrays(self._sizes)
        self._shapes = shapes
        return_freed_memory()  # what only a first run needs
        return found


def _failure(verb: str, error: Exception) -> BackendError:
    said = str(error).strip().splitlines() or [type(error).__name__]
    return BackendError(f"ONNX Runtime cannot {verb} the graph: {said[0]}")
