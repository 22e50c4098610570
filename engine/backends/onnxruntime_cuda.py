"""ONNX Runtime on an NVIDIA GPU; refuses to run anywhere else than asked."""

from __future__ import annotations

import io
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from functools import cache

import numpy as np
import onnx
from onnx import TensorProto, helper

from impasto.engine.backends.base import FloatArray, Precision
from impasto.engine.backends.onnxruntime_cpu import (
    OnnxRuntimeGraph,
    open_session,
    session_options,
)
from impasto.engine.backends.telemetry import telemetry_off
from impasto.errors import BackendError, BackendUnavailableError
from impasto.export.light import LightModel

with telemetry_off():
    import onnxruntime as ort

__all__ = ["OnnxRuntimeCuda", "nodes_on_cpu", "why_cuda_is_unavailable"]

logger = logging.getLogger(__name__)

PROVIDER = "CUDAExecutionProvider"

HEAVY_OPS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""What belongs on the GPU; ONNX Runtime computes shapes on the CPU on purpose."""

_PLACEMENT = "session.record_ep_graph_assignment_info"


class OnnxRuntimeCuda:
    """ONNX Runtime's CUDA provider, in float32 without TF32.

    Parameters
    ----------
    device : int
        Number of the GPU.
    autotune : bool
        Let cuDNN time its algorithms for every shape, instead of choosing by heuristics.

    Raises
    ------
    BackendUnavailableError
        If the provider is not installed, does not load, or fails on a first convolution.
    """

    name = "cuda"
    precision: Precision = "f32"
    lowering = "portable"

    def __init__(self, device: int = 0, autotune: bool = False) -> None:
        problem = why_cuda_is_unavailable(device)
        if problem:
            raise BackendUnavailableError(f"The backend 'cuda' is not available: {problem}")
        self.device = device
        self.autotune = autotune

    @property
    def fingerprint(self) -> str:
        """Runtime, version, device and precision."""
        return f"onnxruntime {ort.__version__} cuda:{self.device} f32"

    def compile(
        self,
        model: onnx.ModelProto | LightModel,
        outputs: Sequence[str] | None = None,
        *,
        one_of_many: bool = False,
    ) -> OnnxRuntimeCudaGraph:
        """Compile `model`; see `Backend.compile`.

        Convolutions and products that the provider leaves to the CPU are logged as a warning: the
        numbers are right, the time is not.
        """
        if isinstance(model, LightModel):
            model = model.whole()
        session = _open_on_gpu(model, self.device, self.autotune)
        left = nodes_on_cpu(session)
        if left:
            counted = ", ".join(f"{count} {op}" for op, count in sorted(left.items()))
            logger.warning("The CUDA provider leaves %s to the CPU; it will be slow.", counted)
        return OnnxRuntimeCudaGraph(session, model, outputs, device=self.device)


class OnnxRuntimeCudaGraph(OnnxRuntimeGraph):
    """A session on a GPU that keeps its bound inputs there.

    Parameters
    ----------
    session : InferenceSession
    model : ModelProto
    outputs : sequence of str, optional
    device : int
        Number of the GPU.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        model: onnx.ModelProto,
        outputs: Sequence[str] | None = None,
        *,
        device: int,
    ) -> None:
        super().__init__(session, model, outputs)
        self._device = device
        self._on_gpu: dict[str, tuple[FloatArray, ort.OrtValue]] = {}

    def release(self) -> None:
        """Drop the results, and the bound inputs on the GPU; see `CompiledGraph.release`."""
        super().release()
        self._on_gpu = {}

    def _input_value(self, name: str, value: FloatArray) -> ort.OrtValue:
        # Targets are copied once and not at every evaluation: bound arrays do not change.
        if self._inputs.bound.get(name) is not value:
            return super()._input_value(name, value)
        copied, there = self._on_gpu.get(name, (None, None))
        if copied is not value:
            there = ort.OrtValue.ortvalue_from_numpy(value, "cuda", self._device)
            self._on_gpu[name] = value, there
        return there


@cache
def why_cuda_is_unavailable(device: int = 0) -> str:
    """Return why the backend cannot be used, or an empty string if it can.

    A provider that is listed may still lack the driver, CUDA or cuDNN, and then runs on the CPU or
    fails in its first convolution: so one is run.
    """
    found = ort.get_available_providers()
    if PROVIDER not in found:
        return (
            f"It needs ONNX Runtime's GPU package, and this is onnxruntime {ort.__version__} with "
            f"{', '.join(found)}. To swap it: `pip uninstall onnxruntime` and then `pip install "
            "onnxruntime-gpu[cuda,cudnn]`; they share a folder, so never install both."
        )
    # ONNX Runtime's own switch does not reach every cuDNN convolution.
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    with redirect_stdout(io.StringIO()) as said:  # standard output is not the runtime's to write to
        ort.preload_dlls()
    try:
        with _quiet_runtime():
            model = _one_convolution()
            graph = OnnxRuntimeGraph(_open_on_gpu(model, device), model)
            (result,) = graph.run({"x": np.ones((1, 3, 8, 8), np.float32)}).values()
    except BackendError as error:
        missing = said.getvalue().partition("\n")[0]
        return (
            f"{(missing or str(error)).rstrip('.')}. It needs an NVIDIA driver and `pip install "
            "onnxruntime-gpu[cuda,cudnn]`; see docs/gpu.md."
        )
    return "" if np.allclose(result, 27) else "It computes a wrong convolution."


def nodes_on_cpu(session: ort.InferenceSession) -> Counter[str]:
    """Return how many nodes of each of the :data:`HEAVY_OPS` a session runs on the CPU.

    The session must have been opened with the placement recorded. Versions of ONNX Runtime that do
    not tell it count none.
    """
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return Counter()
    return Counter(
        node.op_type
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name == "CPUExecutionProvider"
        for node in part.get_nodes()
        if node.op_type in HEAVY_OPS
    )


def _open_on_gpu(
    model: onnx.ModelProto, device: int, autotune: bool = False
) -> ort.InferenceSession:
    options = session_options(threads=1)
    options.add_session_config_entry(_PLACEMENT, "1")
    provider = {
        "use_tf32": "0",
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "EXHAUSTIVE" if autotune else "HEURISTIC",
    }
    if device:
        provider["device_id"] = str(device)
    # Where the number is told, versions since 1.26 warn that it is none of a plugin's.
    with _quiet_runtime() if device else nullcontext():
        session = open_session(model, options, [(PROVIDER, provider), "CPUExecutionProvider"])
    if PROVIDER not in session.get_providers():
        raise BackendError(
            f"ONNX Runtime did not load the CUDA provider for GPU {device} and would run on "
            f"{', '.join(session.get_providers())}."
        )
    return session


def _one_convolution() -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "smoke",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 6, 6])],
        [helper.make_tensor("w", TensorProto.FLOAT, [4, 3, 3, 3], np.ones(108))],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@contextmanager
def _quiet_runtime() -> Iterator[None]:
    """Keep the runtime's log, which repeats in many lines what our message says, off the screen."""
    fatal, usual = 4, 2
    ort.set_default_logger_severity(fatal)
    try:
        yield
    finally:
        ort.set_default_logger_severity(usual)
