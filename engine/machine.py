"""Facts about the machine: processor, cores, memory, and what a container's limits leave of them.

Linux tells them in files; every function that reads one takes its path, so that it can be tested
on samples. Elsewhere the answers are what Python itself knows, or None.
"""

from __future__ import annotations

import math
import os
import platform
import sys
from pathlib import Path

__all__ = [
    "available_cores",
    "available_memory",
    "peak_rss_bytes",
    "processor_flags",
    "processor_name",
    "total_memory",
]

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")

# A cgroup without a limit says "max", or in version 1 a number near 2**63.
_NO_LIMIT = 2**60


def processor_name(cpuinfo: Path = PROC / "cpuinfo") -> str:
    """Return the processor's model name, or the architecture where it is not told."""
    return _cpuinfo_field(cpuinfo, "model name") or platform.processor() or platform.machine()


def processor_flags(cpuinfo: Path = PROC / "cpuinfo") -> frozenset[str]:
    """Return the instruction sets Linux lists, such as ``avx512f``; empty where it is not told."""
    flags = _cpuinfo_field(cpuinfo, "flags") or _cpuinfo_field(cpuinfo, "Features") or ""
    return frozenset(flags.split())


def available_cores(cgroup: Path = CGROUP) -> int:
    """Return the cores this process may use: its affinity, within its container's quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _cpu_quota(cgroup))))


def total_memory(meminfo: Path = PROC / "meminfo", cgroup: Path = CGROUP) -> int | None:
    """Return the bytes of memory there are, within the container's limit; None if unknown."""
    total = _meminfo_bytes(meminfo, "MemTotal")
    limit, _ = _memory_limit(cgroup)
    return total if limit is None else min(total or limit, limit)


def available_memory(meminfo: Path = PROC / "meminfo", cgroup: Path = CGROUP) -> int | None:
    """Return the bytes that can be used without swapping; None if unknown."""
    available = _meminfo_bytes(meminfo, "MemAvailable")
    limit, used = _memory_limit(cgroup)
    if limit is None:
        return available
    left = max(0, limit - used)
    return left if available is None else min(available, left)


def peak_rss_bytes(status: Path = PROC / "self/status") -> int | None:
    """Return the largest resident memory of this process so far; None on Windows."""
    peak = _meminfo_bytes(status, "VmHWM")
    if peak is not None or sys.platform == "win32":
        return peak
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _cpuinfo_field(cpuinfo: Path, name: str) -> str | None:
    for line in _read(cpuinfo).splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def _meminfo_bytes(path: Path, name: str) -> int | None:
    for line in _read(path).splitlines():
        key, _, value = line.partition(":")
        words = value.split()
        if key == name and words and words[0].isdigit():
            return int(words[0]) * 1024
    return None


def _cpu_quota(cgroup: Path) -> float:
    """Return the cores a cgroup grants; infinity without a quota."""
    words = _read(cgroup / "cpu.max").split()
    if len(words) != 2:  # version 1
        words = [
            _read(cgroup / "cpu" / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")
        ]
    if all(word.isdigit() for word in words) and int(words[1]) > 0:
        return int(words[0]) / int(words[1])
    return math.inf


def _memory_limit(cgroup: Path) -> tuple[int | None, int]:
    """Return the cgroup's limit in bytes (None without one) and what it uses of it."""
    for limit_file, usage_file in (
        (cgroup / "memory.max", cgroup / "memory.current"),
        (cgroup / "memory/memory.limit_in_bytes", cgroup / "memory/memory.usage_in_bytes"),
    ):
        limit, used = _read(limit_file).strip(), _read(usage_file).strip()
        if limit.isdigit() and int(limit) < _NO_LIMIT:
            return int(limit), int(used) if used.isdigit() else 0
    return None, 0
