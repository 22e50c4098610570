"""A graph's large constants where they take no memory once a runtime has its own copies."""

from __future__ import annotations

import logging
import mmap
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.engine.mapped import MappedArray
from impasto.errors import OptionError
from impasto.models.weights.cache import cache_directory

__all__ = ["PagedArrays", "PagedConstants", "can_page"]

logger = logging.getLogger(__name__)

ALIGNMENT = 64
"""Bytes an array begins at a multiple of: a cache line, and the widest vector register."""

Array = npt.NDArray[Any]


class PagedConstants:
    """Constants in a file, out of resident memory when nothing reads them.

    Runtimes repack weights when they compile a graph, and keep what they were given: 104 MB of
    VGG-19's gradient, which are hardly ever read again. In the pages of a file they can leave
    memory, and come back if they are read after all.

    Parameters
    ----------
    constants : mapping of str to ndarray
    directory : Path, optional
        Of the file, which has no name; by default the cache directory.

    Attributes
    ----------
    arrays : mapping of str to ndarray
        The same constants. They are writable, and nobody writes to them.

    Raises
    ------
    OptionError
        If there is no space for the file, or the directory cannot be written to.
    """

    def __init__(self, constants: Mapping[str, Array], directory: Path | None = None) -> None:
        sizes = [-(-value.nbytes // ALIGNMENT) * ALIGNMENT for value in constants.values()]
        ends = np.cumsum(sizes)
        place = directory or _default_directory()
        self._mapped = MappedArray((int(ends[-1]),), np.uint8, place)
        self.arrays: dict[str, Array] = {}
        for (name, value), begin in zip(constants.items(), [0, *ends], strict=False):
            held = self._mapped.array[begin : begin + value.nbytes].view(value.dtype)
            self.arrays[name] = held.reshape(value.shape)
            np.copyto(self.arrays[name], value)
            # As it is written, lest the whole be in memory beside what it is a copy of.
            self._mapped.release(held)

    @classmethod
    def of(cls, constants: Mapping[str, Array]) -> PagedConstants | None:
        """Return them in a file; None where there are none, or that is not possible or no use."""
        if not constants or not can_page():
            return None
        try:
            return cls(constants)
        except OptionError as error:
            logger.info("Weights stay in memory: %s", error)
            return None

    def release(self) -> None:
        """Take them out of resident memory until they are read."""
        self._mapped.release(self._mapped.array)


class PagedArrays(Mapping[str, Array]):
    """Arrays that are in memory only where they were asked for: each time as a new copy.

    Parameters
    ----------
    constants : PagedConstants
    """

    def __init__(self, constants: PagedConstants) -> None:
        self._constants = constants

    def __getitem__(self, name: str) -> Array:
        """Return a copy of the array called `name`."""
        found = self._constants.arrays[name].copy()
        self._constants.release()
        return found

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._constants.arrays)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._constants.arrays)


def can_page() -> bool:
    """Return whether the system takes pages out of memory when told to, as Linux does."""
    return sys.platform == "linux" and hasattr(mmap, "MADV_DONTNEED")


def _default_directory() -> Path:
    # Not the system's temporary directory, which is often memory.
    directory = cache_directory().parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{directory} cannot be made: {error}") from error
    return directory
