"""Machine facts, read from sample files and from this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from impasto.engine import machine

CPUINFO = """processor\t: 0
model name\t: Some Processor @ 3.00GHz
flags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16

processor\t: 1
model name\t: Some Processor @ 3.00GHz
flags\t\t: fpu avx2
"""

MEMINFO = "MemTotal:       24000000 kB\nMemFree:         1 kB\nMemAvailable:   20000000 kB\n"


@pytest.fixture
def cgroup(tmp_path: Path) -> Path:
    (tmp_path / "cgroup").mkdir()
    return tmp_path / "cgroup"


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    (tmp_path / "meminfo").write_text(MEMINFO)
    return tmp_path / "meminfo"


def test_the_processor_s_name_and_flags(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    assert machine.processor_name(tmp_path / "cpuinfo") == "Some Processor @ 3.00GHz"
    flags = machine.processor_flags(tmp_path / "cpuinfo")
    assert {"avx512_bf16", "amx_bf16"} <= flags
    assert machine.processor_name(tmp_path / "absent")
    assert machine.processor_flags(tmp_path / "absent") == frozenset()


def test_memory_without_a_container(meminfo: Path, cgroup: Path) -> None:
    (cgroup / "memory.max").write_text("max\n")
    assert machine.total_memory(meminfo, cgroup) == 24_000_000 * 1024
    assert machine.available_memory(meminfo, cgroup) == 20_000_000 * 1024


def test_memory_within_a_container_of_version_2(meminfo: Path, cgroup: Path) -> None:
    (cgroup / "memory.max").write_text("8000000000\n")
    (cgroup / "memory.current").write_text("3000000000\n")
    assert machine.total_memory(meminfo, cgroup) == 8_000_000_000
    assert machine.available_memory(meminfo, cgroup) == 5_000_000_000


def test_memory_within_a_container_of_version_1(meminfo: Path, cgroup: Path) -> None:
    (cgroup / "memory").mkdir()
    (cgroup / "memory/memory.limit_in_bytes").write_text("4000000000\n")
    (cgroup / "memory/memory.usage_in_bytes").write_text("5000000000\n")
    assert machine.total_memory(meminfo, cgroup) == 4_000_000_000
    assert machine.available_memory(meminfo, cgroup) == 0
    (cgroup / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert machine.total_memory(meminfo, cgroup) == 24_000_000 * 1024


@pytest.mark.parametrize(
    ("quota", "most"), [("max 100000", 10**6), ("150000 100000", 2), ("50000 100000", 1)]
)
def test_cores_within_a_quota(cgroup: Path, quota: str, most: int) -> None:
    (cgroup / "cpu.max").write_text(quota)
    assert 1 <= machine.available_cores(cgroup) <= most


def test_cores_within_a_quota_of_version_1(cgroup: Path) -> None:
    (cgroup / "cpu").mkdir()
    (cgroup / "cpu/cpu.cfs_quota_us").write_text("100000\n")
    (cgroup / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert machine.available_cores(cgroup) == 1
    (cgroup / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    assert machine.available_cores(cgroup) >= 1


def test_unknown_is_none_or_python_s_own_answer(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    assert machine.total_memory(absent, absent) is None
    assert machine.available_memory(absent, absent) is None
    assert machine.available_cores(absent) >= 1
    assert (machine.peak_rss_bytes(absent) or 0) > 10**6


def test_this_machine_answers() -> None:
    assert machine.available_cores() >= 1
    total, available = machine.total_memory(), machine.available_memory()
    assert total is None or available is None or 0 < available <= total
    assert (machine.peak_rss_bytes() or 0) > 10**6


def test_the_peak_grows_with_use() -> None:
    before = machine.peak_rss_bytes() or 0
    block = bytearray(before + 50 * 2**20)
    assert (machine.peak_rss_bytes() or 0) >= before + 40 * 2**20
    assert len(block) > before
