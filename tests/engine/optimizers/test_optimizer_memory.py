"""What optimizers say about their memory, and a history that is kept in a file."""

from __future__ import annotations

import errno
import math
import mmap
import os
import shutil
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import scipy.fft  # what these imports allocate is not the optimizer's
import scipy.optimize  # noqa: F401

from impasto.engine.mapped import MappedArray
from impasto.engine.optimizers import Adam, BestSoFar, Lbfgs, Lbfgsb, Optimizer, make_optimizer
from impasto.engine.optimizers.arrays import BLOCK, blocks
from impasto.engine.optimizers.lbfgs import Preconditioner
from impasto.engine.optimizers.long_rows import columns_of
from impasto.engine.optimizers.spectral import MIXED_AT_A_TIME
from impasto.engine.options import Options
from impasto.engine.result import FloatArray
from impasto.errors import OptionError

SHAPE = (1, 3, 400, 360)
SIZE = math.prod(SHAPE)


def valley(x: FloatArray) -> tuple[float, FloatArray]:
    stiffness = np.geomspace(1, 300, x.size).astype(np.float32).reshape(x.shape)
    away: FloatArray = x - np.float32(100)
    return float(np.sum(stiffness * away**2) / 2), stiffness * away


def start(size: int) -> FloatArray:
    return np.random.default_rng(5).uniform(0, 255, size).astype(np.float32)


def iterates(
    optimizer: Optimizer, x0: FloatArray, iterations: int, broken: int = 0
) -> list[FloatArray]:
    found: list[FloatArray] = []

    def function(x: FloatArray) -> tuple[float, FloatArray]:
        loss, gradient = valley(x)
        return (np.nan if search.evaluations == broken else loss), gradient

    search = BestSoFar(function, x0)
    optimizer.minimize(
        search, iterations=iterations, on_step=lambda step: found.append(step.x.copy())
    )
    return found


@pytest.mark.parametrize("size", [33, BLOCK + 1])
@pytest.mark.parametrize("preconditioner", ["none", "spectral"])
def test_a_history_in_a_file_gives_the_same_numbers(
    tmp_path: Path, size: int, preconditioner: Preconditioner
) -> None:
    x0 = start(size).reshape(1, 1, 1, size)
    optimizer = Lbfgs(3, preconditioner=preconditioner)
    in_memory = iterates(optimizer, x0, 15, broken=8)
    in_file = iterates(replace(optimizer, directory=tmp_path), x0, 15, broken=8)
    assert [x.tobytes() for x in in_memory] == [x.tobytes() for x in in_file]


def mapped_files(directory: Path) -> list[str]:
    """Return this process's mappings of files in `directory`, deleted ones too, where told."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    return [line for line in lines if str(directory.resolve()) in line]


def test_the_file_is_gone_after_the_run(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    Lbfgs(3, directory=tmp_path).minimize(
        BestSoFar(valley, start(500)),
        iterations=5,
        on_step=lambda _: seen.append(mapped_files(tmp_path)),
    )
    assert os.listdir(tmp_path) == []
    assert mapped_files(tmp_path) == []
    assert all(seen) or sys.platform != "linux"


def resident_bytes(directory: Path) -> int:
    """Return how much of the mappings of files in `directory` is in memory, where told."""
    smaps = Path("/proc/self/smaps")
    total, inside = 0, False
    for line in smaps.read_text().splitlines() if smaps.exists() else []:
        key, *values = line.split()
        if not key.endswith(":"):
            inside = str(directory.resolve()) in line
        elif inside and key == "Rss:":
            total += 1024 * int(values[0])
    return total


@pytest.mark.parametrize("preconditioner", ["none", "spectral"])
def test_a_history_in_a_file_is_out_of_memory_during_evaluations(
    tmp_path: Path, preconditioner: Preconditioner
) -> None:
    resident: list[int] = []

    def function(x: FloatArray) -> tuple[float, FloatArray]:
        resident.append(resident_bytes(tmp_path))
        return valley(x)

    search = BestSoFar(function, start(SIZE).reshape(1, 1, 1, SIZE))
    optimizer = Lbfgs(4, directory=tmp_path, preconditioner=preconditioner)
    optimizer.minimize(search, iterations=9, on_step=lambda _: None)
    rows = 2 * (4 + 1)
    assert max(resident) <= rows * 2 * mmap.PAGESIZE < SIZE


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_the_file_is_gone_after_an_exception(tmp_path: Path, error: type[BaseException]) -> None:
    calls = 0

    def interrupted(x: FloatArray) -> tuple[float, FloatArray]:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise error
        return valley(x)

    search = BestSoFar(interrupted, start(500))
    try:
        Lbfgs(3, directory=tmp_path).minimize(search, iterations=9, on_step=lambda _: None)
    except error:
        assert calls == 4
    assert os.listdir(tmp_path) == []
    assert mapped_files(tmp_path) == []


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_full_disk_is_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizer = Lbfgs(3, directory=tmp_path)
    needed = optimizer.history_bytes(500, 9)
    search = BestSoFar(valley, start(500))
    for free, fits in ((needed - 1, False), (needed, True)):
        usage = Usage(10 * needed, 10 * needed - free, free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _path, usage=usage: usage)
        if fits:
            optimizer.minimize(search, iterations=9, on_step=lambda _: None)
        else:
            with pytest.raises(OptionError, match="are free"):
                optimizer.minimize(search, iterations=9, on_step=lambda _: None)
            assert search.evaluations == 0
            assert os.listdir(tmp_path) == []


def test_a_disk_that_is_full_after_all_is_an_error_and_not_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int, _offset: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OptionError, match="No space left"):
        MappedArray((5,), np.float32, tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="nowhere"):
        MappedArray((5,), np.float32, tmp_path / "nowhere")


def test_space_is_taken_also_where_the_system_has_no_call_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    array = MappedArray((3, 100_001), np.float32, tmp_path).array
    assert array.shape == (3, 100_001)
    assert not array.any()
    array[:] = 1
    assert array.all()


@pytest.mark.parametrize("row", range(3))
def test_released_memory_keeps_its_numbers(tmp_path: Path, row: int) -> None:
    mapped = MappedArray((3, 100_001), np.float32, tmp_path)
    numbers = start(300_003).reshape(3, -1)
    mapped.array[:] = numbers
    mapped.release(mapped.array[row])
    np.testing.assert_array_equal(mapped.array, numbers)


def test_the_directory_of_the_history_can_be_told(tmp_path: Path) -> None:
    options = Options(optimizer="lbfgs-numpy", history=7)
    assert make_optimizer(options, tmp_path) == Lbfgs(7, 1.0, "safe", tmp_path, "spectral")
    adam = make_optimizer(Options(optimizer="adam"), tmp_path)
    assert adam == Adam()


@pytest.mark.parametrize("iterations", [2, 6, 12])
@pytest.mark.parametrize(
    "optimizer",
    [
        Lbfgs(4),
        Lbfgs(4, first_step="safe"),
        Lbfgs(4, first_step="safe", preconditioner="spectral"),
        Adam(),
        Lbfgsb(4),
        "in a file",
    ],
    ids=["lbfgs-numpy", "safe", "spectral", "adam", "lbfgs", "in a file"],
)
def test_memory_is_what_is_allocated(
    optimizer: Optimizer | str, iterations: int, tmp_path: Path
) -> None:
    if isinstance(optimizer, str):
        optimizer = Lbfgs(4, directory=tmp_path)
    gradient = np.empty(SHAPE, np.float32)

    def function(x: FloatArray) -> tuple[float, FloatArray]:
        np.subtract(x, 100, out=gradient)
        loss = float(np.vdot(gradient, gradient)) / 2
        # An evaluation that is not finite, so that a restart is among what is measured.
        return (np.nan if search.evaluations == 5 else loss), gradient

    search = BestSoFar(function, start(SIZE).reshape(SHAPE))
    tracemalloc.start()
    optimizer.minimize(search, iterations=iterations, on_step=lambda _: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    predicted = optimizer.memory(SIZE, iterations)
    if isinstance(optimizer, Lbfgs) and optimizer.directory is not None:
        # What is in the file is no memory of Python's.
        predicted = 4 * (SIZE + columns_of(SIZE))
    if not isinstance(optimizer, Lbfgsb):
        # Threads that share the products need not have their blocks at the same moment.
        fewer = mixed = 0
        if isinstance(optimizer, Lbfgs) and optimizer.directory is None:
            fewer = 4 * (optimizer.working_threads - 1) * columns_of(SIZE)
        if isinstance(optimizer, Lbfgs) and optimizer.preconditioner == "spectral":
            # The first step as a picture, while no page of most pairs has been touched.
            room = optimizer.room(iterations)
            written = 4 * room.written_at_a_time(optimizer.remembered(SIZE))
            predicted += max(0, 4 * SIZE - optimizer.working_threads * written)
            fewer = 4 * SIZE // 3 + (optimizer.working_threads - 1) * written
            mixed = optimizer.working_threads * 4 * MIXED_AT_A_TIME  # of mixed colours
        tolerance = max(50_000, 0.01 * predicted)
        assert predicted - fewer - tolerance <= peak <= predicted + tolerance + mixed
    else:
        # SciPy allocates bounds, of 20 bytes, and pairs that it never touches: no resident memory.
        untouched = SIZE * (20 + 16 * (4 - min(4, iterations - 1)))
        assert peak == pytest.approx(predicted + untouched, rel=0.03)


@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_blocks_cover_every_entry_once(size: int) -> None:
    times = np.zeros(size, int)
    for block in blocks(size):
        times[block] += 1
        assert 0 < block.stop - block.start <= BLOCK
    assert (times == 1).all()


def test_adam_treats_all_blocks_alike() -> None:
    """Adam moves every entry by itself, so a repeated picture has repeated iterates."""
    period, times = 1000, 2 * BLOCK // 1000 + 3

    def repeated(x: FloatArray) -> tuple[float, FloatArray]:
        loss, gradient = valley(x[:period])
        return loss, np.tile(gradient, x.size // period)

    def iterates_of(x0: FloatArray) -> list[FloatArray]:
        found: list[FloatArray] = []
        search = BestSoFar(repeated, x0)
        Adam().minimize(search, iterations=5, on_step=lambda step: found.append(step.x.copy()))
        return found

    small, large = iterates_of(start(period)), iterates_of(np.tile(start(period), times))
    for one, many in zip(small, large, strict=True):
        np.testing.assert_array_equal(np.tile(one, times), many)
