"""Arrays for a history that is larger than memory: in a file without a name."""

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

__all__ = ["empty_mapped"]

_GIB = 2**30
_CHUNK = bytes(2**20)


def empty_mapped(shape: tuple[int, ...], dtype: npt.DTypeLike, directory: Path) -> FloatArray:
    """Return an array of zeros whose memory is a file in `directory`.

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

    Raises
    ------
    OptionError
        If the directory cannot be written to, or its disk has too little space.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
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
            # The mapping keeps the file open, and the array keeps the mapping.
            mapping = mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise OptionError(
            f"The optimizer's history, {size / _GIB:.2f} GiB, cannot be kept in {directory}: "
            f"{error.strerror or error}. Take another directory, a smaller --history, or "
            "--optimizer adam, which has none."
        ) from error
    return np.frombuffer(mapping, dtype).reshape(shape)


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
