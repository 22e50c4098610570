"""Machine facts, read from sample files and from this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
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


def membership(folder: Path, text: str) -> Path:
    (folder / "membership").write_text(text)
    return folder / "membership"


def test_limits_of_nested_groups_of_version_2(tmp_path: Path, meminfo: Path, cgroup: Path) -> None:
    """As under a batch system: the job's limit is above the step the process runs in."""
    told = membership(tmp_path, "0::/slurm/job_7/step_0\n")
    job, step = cgroup / "slurm/job_7", cgroup / "slurm/job_7/step_0"
    step.mkdir(parents=True)
    (job / "memory.max").write_text("6000000000\n")
    (job / "memory.current").write_text("1000000000\n")
    (job / "cpu.max").write_text("100000 100000\n")
    (step / "memory.max").write_text("max\n")
    (step / "cpu.max").write_text("max 100000\n")
    assert machine.total_memory(meminfo, cgroup, told) == 6_000_000_000
    assert machine.available_memory(meminfo, cgroup, told) == 5_000_000_000
    assert machine.available_cores(cgroup, told) == 1


def test_limits_of_nested_groups_of_version_1(tmp_path: Path, meminfo: Path, cgroup: Path) -> None:
    told = membership(tmp_path, "9:name=systemd:/\n5:cpu,cpuacct:/a/b\n4:memory:/a\n0::/\n")
    for controller in ("cpu/a/b", "memory/a"):
        (cgroup / controller).mkdir(parents=True)
    (cgroup / "memory/a/memory.limit_in_bytes").write_text("3000000000\n")
    (cgroup / "cpu/a/b/cpu.cfs_quota_us").write_text("50000\n")
    (cgroup / "cpu/a/b/cpu.cfs_period_us").write_text("100000\n")
    assert machine.total_memory(meminfo, cgroup, told) == 3_000_000_000
    assert machine.available_cores(cgroup, told) == 1


def test_cached_files_count_as_available(meminfo: Path, cgroup: Path) -> None:
    (cgroup / "memory.max").write_text("8000000000\n")
    (cgroup / "memory.current").write_text("7000000000\n")
    (cgroup / "memory.stat").write_text("anon 900000000\ninactive_file 6000000000\n\nodd\n")
    assert machine.available_memory(meminfo, cgroup) == 7_000_000_000


@pytest.mark.parametrize("text", ["0::/../../outside\n", "nonsense\n\n::\n", "0::/not/there\n"])
def test_a_path_outside_the_container_is_its_root(
    tmp_path: Path, meminfo: Path, cgroup: Path, text: str
) -> None:
    (cgroup / "memory.max").write_text("8000000000\n")
    assert machine.total_memory(meminfo, cgroup, membership(tmp_path, text)) == 8_000_000_000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_freed_memory_goes_back_to_the_system() -> None:
    if machine._c_function("malloc_trim") is None:
        machine.return_freed_memory()  # does nothing, and does not fail
        return
    # Small enough for the heap; the last block keeps the heap from shrinking by itself.
    blocks = [np.ones(100_000, np.uint8) for _ in range(500)]
    last = blocks.pop()
    del blocks
    before = resident_bytes()
    machine.return_freed_memory()
    assert resident_bytes() < before - 40_000_000
    assert last[0] == 1


FREED = """
import os, sys
import numpy as np
from pathlib import Path
from impasto.engine import machine

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if sys.argv[1] == "at once":
    machine.return_large_blocks_when_freed()
del machine
np.ones(30_000_000, np.uint8)  # that it is freed makes glibc keep blocks of this size
blocks = [np.ones(5_000_000, np.uint8) for _ in range(20)]
last = np.ones(100_000, np.uint8)  # behind them in the heap
before = resident()
del blocks
print(before - resident())
"""


@pytest.mark.skipif(machine._c_function("mallopt") is None, reason="glibc's")
@pytest.mark.parametrize("when", ["at once", "later"])
def test_large_blocks_go_back_to_the_system_when_they_are_freed(when: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FREED, when], check=True, capture_output=True, text=True
    )
    returned = int(done.stdout)
    assert returned > 90_000_000 if when == "at once" else returned < 50_000_000


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
