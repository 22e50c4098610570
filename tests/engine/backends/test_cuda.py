"""The GPU backend's refusals, on ONNX Runtime itself; they must work where there is no GPU."""

from __future__ import annotations

import warnings

import onnxruntime as ort
import pytest

from impasto.engine.backends import onnxruntime_cuda as cuda
from impasto.engine.backends.onnxruntime_cpu import open_session, session_options
from impasto.errors import BackendError, BackendUnavailableError

NO_SUCH_GPU = 1023


def test_a_session_that_does_not_run_on_the_gpu_is_refused() -> None:
    with warnings.catch_warnings():
        # ONNX Runtime warns, and then opens the session on the CPU.
        warnings.simplefilter("ignore", UserWarning)
        with pytest.raises(BackendError, match="ONNX Runtime"):
            cuda._open_on_gpu(cuda._one_convolution(), NO_SUCH_GPU)


def test_the_refusal_says_what_to_install(capfd: pytest.CaptureFixture[str]) -> None:
    cuda.why_cuda_is_unavailable.cache_clear()
    with pytest.raises(BackendUnavailableError, match=r"pip install onnxruntime-gpu\[cuda,cudnn\]"):
        cuda.OnnxRuntimeCuda(NO_SUCH_GPU)
    assert capfd.readouterr() == ("", "")  # the runtime's own complaints would break --json


def test_what_is_left_to_the_cpu_is_counted() -> None:
    options = session_options(threads=1)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = open_session(cuda._one_convolution(), options, ["CPUExecutionProvider"])
    told = hasattr(ort.InferenceSession, "get_provider_graph_assignment_info")
    assert cuda.nodes_on_cpu(session) == ({"Conv": 1} if told else {})
