"""What a measurement has to say about where it was taken."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

from impasto import __version__
from impasto.engine.machine import (
    available_cores,
    processor_flags,
    processor_name,
    total_memory,
)

__all__ = ["describe_machine", "installed_versions"]

INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")
DISTRIBUTIONS = ("numpy", "scipy", "onnxruntime", "onnxruntime-gpu", "openvino")


def describe_machine() -> dict[str, Any]:
    """Return processor, memory, system and versions as JSON values.

    Of the instruction sets only those that matter to convolutions are named, and of the
    distributions only those that are installed.
    """
    return {
        "processor": processor_name(),
        "instruction_sets": [name for name in INSTRUCTION_SETS if name in processor_flags()],
        "cores": available_cores(),
        "memory_bytes": total_memory(),
        "system": platform.system(),
        "python": platform.python_version(),
        "impasto": __version__,
        **installed_versions(),
    }


def installed_versions() -> dict[str, str]:
    """Return the versions of the runtimes and of what computes beside them."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
