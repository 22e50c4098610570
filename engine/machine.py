"""Facts about the machine: processor, cores, memory, and what a container's limits leave of them.

Linux tells them in files; every function that reads one takes its path, so that it can be tested
on samples. Elsewhere the answers are what Python itself knows, or None.
"""

from __future__ import annotations

import ctypes
import math
import os
import platform
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

__all__ = [
    "available_cores",
    "available_memory",
    "peak_rss_bytes",
    "processor_flags",
    "processor_name",
    "return_freed_memory",
    "return_large_blocks_when_freed",
    "rss_bytes",
    "total_memory",
]

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")
MEMBERSHIP = PROC / "self/cgroup"

LARGE = 2**20
"""Bytes of a block that is worth a call of the system's, and pages that are new each time."""

_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h

# A cgroup without a limit says "max", or in version 1 a number near 2**63.
_NO_LIMIT = 2**60


def processor_name(cpuinfo: Path = PROC / "cpuinfo") -> str:
    """Return the processor's model name, or the architecture where it is not told."""
    return _cpuinfo_field(cpuinfo, "model name") or platform.processor() or platform.machine()


def processor_flags(cpuinfo: Path = PROC / "cpuinfo") -> frozenset[str]:
    """Return the instruction sets Linux lists, such as ``avx512f``; empty where it is not told."""
    flags = _cpuinfo_field(cpuinfo, "flags") or _cpuinfo_field(cpuinfo, "Features") or ""
    return frozenset(flags.split())


def available_cores(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> int:
    """Return the cores this process may use: its affinity, within its container's quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quotas = [_cpu_quota(group) for group in _groups("cpu", cgroup, membership)]
    return max(1, math.ceil(min(cores, *quotas)))


def total_memory(
    meminfo: Path = PROC / "meminfo", cgroup: Path = CGROUP, membership: Path = MEMBERSHIP
) -> int | None:
    """Return the bytes of memory there are, within the container's limit; None if unknown."""
    known = [_field_bytes(meminfo, "MemTotal")]
    known += [_memory_limit(group) for group in _groups("memory", cgroup, membership)]
    return min((size for size in known if size is not None), default=None)


def available_memory(
    meminfo: Path = PROC / "meminfo", cgroup: Path = CGROUP, membership: Path = MEMBERSHIP
) -> int | None:
    """Return the bytes that can be used without swapping; None if unknown.

    Within a container that is its limit less what it uses. File contents that Linux has cached and
    would drop when asked do not count as used, although they count towards the limit.
    """
    known = [_field_bytes(meminfo, "MemAvailable")]
    for group in _groups("memory", cgroup, membership):
        limit = _memory_limit(group)
        if limit is not None:
            known.append(max(0, limit - _memory_used(group)))
    return min((size for size in known if size is not None), default=None)


def peak_rss_bytes(status: Path = PROC / "self/status") -> int | None:
    """Return the largest resident memory of this process so far; None on Windows."""
    peak = _field_bytes(status, "VmHWM")
    if peak is not None or sys.platform == "win32":
        return peak
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024


def rss_bytes(status: Path = PROC / "self/status") -> int | None:
    """Return the resident memory of this process now; None where the system does not tell."""
    return _field_bytes(status, "VmRSS")


def return_freed_memory() -> None:
    """Give memory that was freed, but that the C library keeps, back to the system.

    Graphs with their weights are copied several times while they are built and compiled. glibc
    keeps such blocks for later once it has seen a few of them, up to 32 MB each; after a 16-layer
    network of 80 MB that was 230 to 330 MB of resident memory. Does nothing where there is no
    glibc.
    """
    trim = _c_function("malloc_trim")
    if trim is not None:
        trim(0)


def return_large_blocks_when_freed() -> None:
    """Have the C library give back blocks of :data:`LARGE` bytes as they are freed, from now on.

    glibc does so at first, but takes every block that is freed for a sign that there will be more
    of its size, and keeps those of up to 32 MB in its heap, where what lies behind them holds them.
    This is for a process that is Impasto's own, because all that is in the process is allocated so.
    Does nothing where there is no glibc.
    """
    adjust = _c_function("mallopt")
    if adjust is not None:
        adjust(_M_MMAP_THRESHOLD, LARGE)


@cache
def _c_function(name: str) -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):  # another C library, such as musl
        return None
    return function


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


def _field_bytes(path: Path, name: str) -> int | None:
    for line in _read(path).splitlines():
        key, _, value = line.partition(":")
        words = value.split()
        if key == name and words and words[0].isdigit():
            return int(words[0]) * 1024
    return None


def _groups(controller: str, cgroup: Path, membership: Path) -> Iterator[Path]:
    """Yield the cgroup directories whose limits hold for this process, the innermost first.

    A limit holds for every group below it, so each group up to the root counts. Inside a container
    the path in `membership` may lie outside what is mounted; then the root is the container's own.
    """
    lines = [line.split(":", 2) for line in _read(membership).splitlines()]
    told = [(line[1].split(","), line[2]) for line in lines if len(line) == 3]
    for controllers, path in [*told, ([""], "/"), ([controller], "/")]:
        if controllers == [""]:  # version 2 has one tree for all
            root = cgroup
        elif controller in controllers:
            root = cgroup / controller
        else:
            continue
        group = root / path.strip("/")
        while group != root and ".." not in group.parts:
            yield group
            group = group.parent
        yield root


def _cpu_quota(group: Path) -> float:
    """Return the cores a cgroup grants; infinity without a quota."""
    words = _read(group / "cpu.max").split()
    if len(words) != 2:  # version 1
        words = [_read(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    if all(word.isdigit() for word in words) and int(words[1]) > 0:
        return int(words[0]) / int(words[1])
    return math.inf


def _memory_limit(group: Path) -> int | None:
    """Return a cgroup's limit in bytes, or None without one."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        limit = _read(group / name).strip()
        if limit.isdigit() and int(limit) < _NO_LIMIT:
            return int(limit)
    return None


def _memory_used(group: Path) -> int:
    """Return the bytes a cgroup uses, less file contents that are cached and not in use."""
    words = [_read(group / name).strip() for name in ("memory.current", "memory.usage_in_bytes")]
    used = max((int(word) for word in words if word.isdigit()), default=0)
    stat = dict(line.partition(" ")[::2] for line in _read(group / "memory.stat").splitlines())
    cached = stat.get("total_inactive_file", stat.get("inactive_file", ""))
    return max(0, used - int(cached)) if cached.isdigit() else used
