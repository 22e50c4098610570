"""What a result has to say about where it was measured."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from typing import Any

from impasto.engine.machine import (
    available_cores,
    processor_flags,
    processor_name,
    total_memory,
)


def describe() -> dict[str, Any]:
    """Return processor, memory, versions and commit."""
    interesting = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "processor": processor_name(),
        "instruction_sets": [name for name in interesting if name in processor_flags()],
        "cores": available_cores(),
        "memory_bytes": total_memory(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{
            name: importlib.metadata.version(name)
            for name in ("numpy", "scipy", "onnxruntime", "openvino")
        },
        "commit": commit.stdout.strip(),
    }
