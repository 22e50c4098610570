"""What the driver tells of the GPU; nothing of Impasto or PyTorch is needed to ask."""

from __future__ import annotations

import subprocess

__all__ = ["gpu_memory_in_use", "gpu_name"]


def gpu_memory_in_use() -> int:
    """Return the bytes of the first GPU that are taken, by whichever process.

    What a process adds to them holds its CUDA context, its kernels and what its allocator keeps:
    neither PyTorch's nor ONNX Runtime's gives memory back by itself, so at the end that is about
    the peak.
    """
    return int(_ask("memory.used")) << 20


def gpu_name() -> str:
    """Return the first GPU's name and the driver's version."""
    return f"{_ask('name')}, driver {_ask('driver_version')}"


def _ask(field: str) -> str:
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits", "--id=0"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return ran.stdout.strip()
