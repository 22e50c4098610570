"""Runtimes behind one protocol: which there are here, and which one ``auto`` takes.

Importing this package imports no runtime; each is imported when it is first asked for.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

from impasto.engine.backends.base import Backend, BackendInfo, CompiledGraph, Precision
from impasto.engine.options import BackendChoice, PrecisionChoice
from impasto.errors import BackendUnavailableError, UnknownNameError

__all__ = [
    "Backend",
    "BackendInfo",
    "CompiledGraph",
    "available_backends",
    "choose",
    "open_backend",
    "open_reference",
]

NAMES = ("onnxruntime", "openvino", "cuda")


def available_backends() -> tuple[BackendInfo, ...]:
    """Return what every backend says of itself on this machine; never raises."""
    return tuple(_info(name) for name in NAMES)


def choose(
    backend: BackendChoice = "auto", precision: PrecisionChoice = "auto", device: int = 0
) -> tuple[str, Precision, str]:
    """Resolve ``auto``.

    Returns
    -------
    name : str
        Of the backend.
    precision : {"f32", "bf16"}
    reason : str
        Why, in words for a person.

    Raises
    ------
    BackendUnavailableError
        If what was asked for is not there; the message says what is.
    UnknownNameError
        If there is no backend of that name.
    """
    if backend != "auto":
        return backend, _precision_of(backend, precision, device), "it was asked for"
    if precision in ("auto", "f32") and _has_cuda_provider() and _info("cuda", device).available:
        return "cuda", "f32", "a GPU answers, and is faster than any processor"
    openvino = _info("openvino")
    if openvino.available and precision in ("auto", *openvino.precisions):
        chosen = _precision_of("openvino", precision)
        reason = {
            "bf16": "the processor computes in bfloat16, which halves the time or better",
            "f32": "it is the fastest runtime in float32 on a processor",
        }
        return "openvino", chosen, reason[chosen]
    return "onnxruntime", _precision_of("onnxruntime", precision), "no other runtime is there"


def open_backend(
    backend: BackendChoice | str,
    precision: PrecisionChoice = "auto",
    threads: int = 0,
    device: int = 0,
    autotune: bool = False,
) -> Backend:
    """Return a backend ready to compile graphs.

    Parameters
    ----------
    backend : {"auto", "onnxruntime", "openvino", "cuda"}
    precision : {"auto", "f32", "bf16"}
    threads : int
        0 is one per available core.
    device : int
        Number of the GPU, for ``cuda``.
    autotune : bool
        Let cuDNN time its algorithms, for ``cuda``.

    Raises
    ------
    BackendUnavailableError
        If it is not there, or not in that precision.
    UnknownNameError
        If there is no backend of that name.
    """
    name, chosen, _ = choose(backend, precision, device)  # type: ignore[arg-type]
    if name == "openvino":
        from impasto.engine.backends.openvino_cpu import OpenVino

        return OpenVino(threads, chosen)
    if name == "cuda":
        from impasto.engine.backends.onnxruntime_cuda import OnnxRuntimeCuda

        return OnnxRuntimeCuda(device, autotune)
    from impasto.engine.backends.onnxruntime_cpu import OnnxRuntimeCpu

    return OnnxRuntimeCpu(threads)


def open_reference() -> Backend:
    """Return what the others are compared with: NumPy, which computes a graph as it is written."""
    from impasto.engine.backends.numpy_reference import NumpyReference

    return NumpyReference()


def _precision_of(name: str, asked: PrecisionChoice, device: int = 0) -> Precision:
    info = _info(name, device)
    if not info.available:
        possible = [other.name for other in available_backends() if other.available]
        raise BackendUnavailableError(
            f"The backend {name!r} is not available: {info.detail} Available here: "
            f"{', '.join(possible)}."
        )
    if asked == "auto":
        return info.precisions[0]
    if asked not in info.precisions:
        can = [other.name for other in available_backends() if asked in other.precisions]
        raise BackendUnavailableError(
            f"The backend {name!r} does not compute in {asked} here; it has "
            f"{', '.join(info.precisions)}. "
            + (f"{', '.join(can)} has {asked}." if can else f"No backend here has {asked}.")
        )
    return asked


def _info(name: str, device: int = 0) -> BackendInfo:
    probe = {"onnxruntime": _onnxruntime_info, "openvino": _openvino_info, "cuda": _cuda_info}
    if name not in probe:
        raise UnknownNameError("backend", name, ("auto", *NAMES))
    try:
        return probe[name](device)
    except ImportError as error:
        detail = f"The package is not installed or does not load ({error})."
    except Exception as error:  # a package that is only half there fails in any way
        detail = f"The package is damaged ({error}); remove it with pip and install it again."
    return BackendInfo(name, False, "", (), detail)


def _has_cuda_provider() -> bool:
    """Return whether ONNX Runtime's GPU package is installed, without importing the runtime."""
    package = importlib.util.find_spec("onnxruntime")
    folders = (package and package.submodule_search_locations) or ()
    return any(
        next(Path(folder).glob("capi/*onnxruntime_providers_cuda*"), None) is not None
        for folder in folders
    )


def _onnxruntime_info(_device: int) -> BackendInfo:
    from impasto.engine.backends.onnxruntime_cpu import VERSION
    from impasto.engine.machine import processor_name

    return BackendInfo("onnxruntime", True, VERSION, ("f32",), processor_name())


def _openvino_info(_device: int) -> BackendInfo:
    from impasto.engine.backends.openvino_cpu import native_precisions
    from impasto.engine.machine import processor_name

    version = importlib.metadata.version("openvino")
    return BackendInfo("openvino", True, version, native_precisions(), processor_name())


def _cuda_info(device: int) -> BackendInfo:
    from impasto.engine.backends.onnxruntime_cpu import VERSION
    from impasto.engine.backends.onnxruntime_cuda import why_cuda_is_unavailable

    problem = why_cuda_is_unavailable(device)
    if problem:
        return BackendInfo("cuda", False, VERSION, (), problem)
    return BackendInfo("cuda", True, VERSION, ("f32",), f"GPU {device}")
