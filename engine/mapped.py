"""Arrays in a file without a name, for what is larger than memory or seldom read."""

from __future__ import annotations

import errno
import math
import mmap
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from impasto.engine.result import FloatArray
from impasto.errors import OptionError

__all__ = ["MappedArray"]

_GIB = 2**30
_CHUNK = bytes(2**20)


class MappedArray:
    """An array of zeros whose memory is a file.

    The file is gone with the array, whatever ends the process: on POSIX it has no name from the
    start, on Windows it is deleted when it is closed. Its space is taken at once, so that a disk
    that fills up later cannot crash the run, which writes to the file as to memory.

    Parameters
    ----------
    shape : tuple of int
        Shape, not empty.
    dtype : dtype
        Type of the entries.
    directory : Path
        Existing directory. On a file system that lives in memory (tmpfs) nothing is gained.

    Attributes
    ----------
    array : ndarray
        The array; it keeps the file open as long as there is a view of it.

    Raises
    ------
    OptionError
        If the directory cannot be written to, or its disk has too little space; in the words of
        L-BFGS, which cannot do without.
    """

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike, directory: Path) -> None:
        self._mapping = _map_file(math.prod(shape) * np.dtype(dtype).itemsize, directory)
        self.array: FloatArray = np.frombuffer(self._mapping, dtype).reshape(shape)

    def release(self, view: FloatArray) -> None:
        """Take the pages of a contiguous view out of resident memory; its numbers stay.

        The system would do so when memory runs short, but resident memory is what budgets are
        measured by. Written pages stay in the system's cache until they are on the disk. Does
        nothing where there is no such call (Windows).
        """
        if not hasattr(mmap, "MADV_DONTNEED"):
            return
        begin = view.ctypes.data - self.array.ctypes.data
        # Whole pages only; what is left belongs to a neighbour as well.
        first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
        last = (begin + view.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
        if last > first:
            self._mapping.madvise(mmap.MADV_DONTNEED, first, last - first)


def _map_file(size: int, directory: Path) -> mmap.mmap:
    """Return a mapping of a new file of `size` bytes, which has no name."""
    try:
        free = shutil.disk_usage(directory).free
        if free < size:
            raise OptionError(
                f"The optimizer's history takes {size / _GIB:.2f} GiB in {directory}, where "
                f"{free / _GIB:.2f} GiB are free. Free some space, take another directory, a "
                "smaller --history, or --optimizer adam, which has none."
            )
        with tempfile.TemporaryFile(dir=directory) as file:
            _take_space(file, size)
            # The mapping keeps the file open.
            return mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise OptionError(
            f"The optimizer's history, {size / _GIB:.2f} GiB, cannot be kept in {directory}: "
            f"{error.strerror or error}. Take another directory, a smaller --history, or "
            "--optimizer adam, which has none."
        ) from error


def _take_space(file: IO[bytes], size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
        else:
            return
    for start in range(0, size, len(_CHUNK)):
        file.write(_CHUNK[: size - start])
    file.flush()
