"""The files of a checkpoint: arrays as raw little-endian float32, checked when they are read."""

from __future__ import annotations

import errno
import io
import math
import mmap
import os
import re
import secrets
import stat
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from impasto.engine.result import FloatArray
from impasto.errors import CheckpointError

__all__ = [
    "ArrayFile",
    "StoredArrays",
    "check_array",
    "damaged",
    "is_array_name",
    "new_array_name",
    "open_regular",
    "sync_directory",
    "unreadable",
    "write_array",
]

_ARRAY_NAME = re.compile(r"[0-9a-f]{16}\.f32")
_ENTRY = np.dtype("<f4")
_CHUNK = 2**20
"""Bytes read and written at once."""


@dataclass(frozen=True)
class ArrayFile:
    """An array on disk.

    Parameters
    ----------
    name : str
        File name, as :func:`new_array_name` makes them.
    shape : tuple of int
        Shape of the array.
    crc32 : int
        Checksum of the file.

    Notes
    -----
    The checksum is to find damage. A CRC-32 misses 1 in 4·10⁹ damaged files, and costs a third
    less than SHA-256 where the processor has instructions for that, and several times less where it
    has none: it matters at 200 MB an array and gigabytes a save. Who forges a file forges its
    checksum as well, whichever it is.
    """

    name: str
    shape: tuple[int, ...]
    crc32: int

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return math.prod(self.shape) * _ENTRY.itemsize

    def is_in(self, directory: Path) -> bool:
        """Return whether there is such a file of the right size, without reading it."""
        try:
            found = (directory / self.name).lstat()
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == self.size


class StoredArrays(Mapping[str, FloatArray]):
    """Arrays by name, each mapped read-only from its file when it is asked for.

    So arrays that are larger than memory together can be copied one after another: only what is
    still referred to stays mapped. To be asked before the next save, which may remove the files;
    arrays that were asked for stay valid.

    Parameters
    ----------
    directory : Path
        Where the files are.
    files : mapping of str to ArrayFile
        The arrays; their files have been checked.
    """

    def __init__(self, directory: Path, files: Mapping[str, ArrayFile]) -> None:
        self._directory = directory
        self._files = files

    def __getitem__(self, name: str) -> FloatArray:
        return _map_array(self._directory, self._files[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def new_array_name() -> str:
    """Return a file name that no array has had."""
    return f"{secrets.token_hex(8)}.f32"


def is_array_name(name: str) -> bool:
    """Return whether `name` is one that :func:`new_array_name` could have made."""
    return _ARRAY_NAME.fullmatch(name) is not None


def write_array(directory: Path, name: str, array: FloatArray) -> ArrayFile:
    """Write a new file and bring it to the disk.

    The array is not copied if it is contiguous.

    Raises
    ------
    OSError
        If it cannot be written; a part of it may be there.
    """
    flat = np.ascontiguousarray(array, _ENTRY).reshape(-1)
    step = _CHUNK // _ENTRY.itemsize
    crc32 = 0
    with (directory / name).open("xb") as file:
        for start in range(0, flat.size, step):
            part = flat[start : start + step].data
            crc32 = zlib.crc32(part, crc32)
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    return ArrayFile(name, array.shape, crc32)


def check_array(directory: Path, file: ArrayFile) -> None:
    """Read a file once, in small parts, and compare its size and checksum.

    Raises
    ------
    CheckpointError
        If it is missing, no regular file, or not what was written.
    """
    path = directory / file.name
    part = bytearray(_CHUNK)
    crc32 = 0
    try:
        with _open_array(path, file) as stream:
            while count := stream.readinto(part):
                crc32 = zlib.crc32(memoryview(part)[:count], crc32)
    except OSError as error:
        raise unreadable(path, error) from error
    if crc32 != file.crc32:
        raise damaged(path, f"of CRC-32 {file.crc32:08x}", f"of {crc32:08x}")


def open_regular(path: Path) -> io.FileIO:
    """Open a file for reading that is neither a link, nor a pipe or device that could block.

    Raises
    ------
    CheckpointError
        If it is something else.
    OSError
        If it cannot be opened.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise damaged(path, "a regular file", "a link, a directory or a device")
    # Also if it became one since.
    flags = os.O_RDONLY
    for flag in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"):
        flags |= getattr(os, flag, 0)
    return io.FileIO(os.open(path, flags), "rb")


def sync_directory(directory: Path) -> None:
    """Bring new and changed names in a directory to the disk, where the system has a way to.

    Windows and some network file systems have none.
    """
    if sys.platform == "win32":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def damaged(path: Path, expected: str, found: str) -> CheckpointError:
    """Return the error for a file that is not what was written."""
    return CheckpointError(
        f"Checkpoint file {path} should be {expected}, and is {found}. It was damaged or changed "
        "since it was saved: restore the directory from a copy, or start the run again."
    )


def unreadable(path: Path, error: OSError) -> CheckpointError:
    """Return the error for a file that is missing or cannot be read."""
    if isinstance(error, FileNotFoundError):
        return damaged(path, "there", "missing")
    return CheckpointError(
        f"Checkpoint file {path} cannot be read: {error.strerror or error}. See to that, restore "
        "the directory from a copy, or start the run again."
    )


def _open_array(path: Path, file: ArrayFile) -> io.FileIO:
    stream = open_regular(path)
    size = os.fstat(stream.fileno()).st_size
    if size != file.size:
        stream.close()
        raise damaged(path, f"of {file.size} bytes", f"of {size}")
    return stream


def _map_array(directory: Path, file: ArrayFile) -> FloatArray:
    path = directory / file.name
    try:
        with _open_array(path, file) as stream:
            if file.size == 0:  # which cannot be mapped
                return np.zeros(file.shape, np.float32)
            mapping = mmap.mmap(stream.fileno(), file.size, access=mmap.ACCESS_READ)
    except OSError as error:
        raise unreadable(path, error) from error
    array = np.frombuffer(mapping, _ENTRY).reshape(file.shape)
    return array.astype(np.float32, copy=False)
