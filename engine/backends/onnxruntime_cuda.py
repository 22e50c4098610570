"""ONNX Runtime on an NVIDIA GPU; refuses to run anywhere else than asked."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from impasto.engine.backends.base import Precision
from impasto.engine.backends.onnxruntime_cpu import (
    OnnxRuntimeGraph,
    open_session,
    session_options,
)
from impasto.errors import BackendError, BackendUnavailableError

__all__ = ["OnnxRuntimeCuda", "why_cuda_is_unavailable"]

PROVIDER = "CUDAExecutionProvider"

SWAP = (
    "`pip uninstall onnxruntime` and then `pip install onnxruntime-gpu[cuda,cudnn]`: they share a "
    "folder, so never install both"
)


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
        If the provider is not installed, or does not load.
    """

    name = "cuda"
    precision: Precision = "f32"
    lowering = "portable"

    def __init__(self, device: int = 0, autotune: bool = False) -> None:
        if PROVIDER not in ort.get_available_providers():
            raise BackendUnavailableError(
                f"The backend 'cuda' needs ONNX Runtime's GPU package; this is onnxruntime "
                f"{ort.__version__} with {', '.join(ort.get_available_providers())}. To swap it: "
                f"{SWAP}."
            )
        # ONNX Runtime's own switch does not reach every cuDNN convolution.
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
        ort.preload_dlls()
        self.device = device
        self._provider = (
            PROVIDER,
            {
                "device_id": str(device),
                "use_tf32": "0",
                "arena_extend_strategy": "kSameAsRequested",
                "cudnn_conv_algo_search": "EXHAUSTIVE" if autotune else "HEURISTIC",
            },
        )
        self._smoke_test()

    @property
    def fingerprint(self) -> str:
        """Runtime, version, device and precision."""
        return f"onnxruntime {ort.__version__} cuda:{self.device} f32"

    def compile(
        self, model: onnx.ModelProto, outputs: Sequence[str] | None = None
    ) -> OnnxRuntimeGraph:
        """Compile `model`; see `Backend.compile`."""
        session = open_session(
            model, session_options(threads=1), [self._provider, "CPUExecutionProvider"]
        )
        # A provider that does not load is only logged, and the session then runs on the CPU.
        if PROVIDER not in session.get_providers():
            raise BackendError(
                f"ONNX Runtime did not load the CUDA provider for GPU {self.device} and would run "
                f"on {', '.join(session.get_providers())}. CUDA or cuDNN libraries may be missing: "
                f"see docs/gpu.md, or {SWAP}."
            )
        return OnnxRuntimeGraph(session, outputs)

    def _smoke_test(self) -> None:
        """Run one convolution: a provider may be listed and yet lack cuDNN."""
        shape = [1, 3, 8, 8]
        node = helper.make_node("Conv", ["x", "w"], ["y"])
        weight = helper.make_tensor("w", TensorProto.FLOAT, [4, 3, 3, 3], np.ones(108))
        graph = helper.make_graph(
            [node],
            "smoke",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 6, 6])],
            [weight],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        try:
            (found,) = self.compile(model).run({"x": np.ones(shape, np.float32)}).values()
        except BackendError as error:
            raise BackendUnavailableError(
                f"The backend 'cuda' does not run here: {error}"
            ) from error
        if not np.allclose(found, 27):
            raise BackendUnavailableError("The backend 'cuda' computes a wrong convolution here.")


def why_cuda_is_unavailable(device: int = 0) -> str:
    """Return why the backend cannot be used, or an empty string if it can."""
    try:
        OnnxRuntimeCuda(device)
    except BackendUnavailableError as error:
        return str(error)
    return ""
