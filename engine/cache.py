"""What is kept from run to run, besides weights: how much it is, and removing it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from impasto.models.weights.cache import cache_directory

__all__ = ["KINDS", "Kept", "clear", "kept"]

KINDS = {
    "targets": "style targets (Gram matrices and the like), by pixels, weights, layers and size",
    "verdicts": "runtimes that were verified",
    "speeds": "what this machine does in a second",
}
"""Folders of the cache that only save time, and what is in them."""


@dataclass(frozen=True)
class Kept:
    """What one folder of the cache holds.

    Parameters
    ----------
    kind : str
        Of :data:`KINDS`.
    directory : Path
    files, size : int
        How many files, and their bytes.
    """

    kind: str
    directory: Path
    files: int
    size: int


def kept() -> tuple[Kept, ...]:
    """Return what there is of each kind."""
    found = []
    for kind in KINDS:
        directory = cache_directory().parent / kind
        sizes = [size for _, size in _files(directory)]
        found.append(Kept(kind, directory, len(sizes), sum(sizes)))
    return tuple(found)


def clear() -> None:
    """Remove all of it; weights that were fetched stay.

    Only plain files right in those folders are removed, whatever else somebody put there.

    Raises
    ------
    OSError
        If a file cannot be removed.
    """
    for kind in KINDS:
        directory = cache_directory().parent / kind
        for path, _ in list(_files(directory)):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not there, or not empty
            directory.rmdir()


def _files(directory: Path) -> Iterator[tuple[Path, int]]:
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            about = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(about.st_mode):
                yield Path(entry.path), about.st_size
