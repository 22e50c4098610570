"""Save snapshots into a directory, whole or not at all, and load them back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from impasto.engine.checkpoint.files import (
    ArrayFile,
    StoredArrays,
    check_array,
    is_array_name,
    new_array_name,
    sync_directory,
    write_array,
)
from impasto.engine.checkpoint.lock import DirectoryLock
from impasto.engine.checkpoint.manifest import (
    DRAFT,
    MANIFEST,
    Manifest,
    read_manifest,
    write_manifest,
)
from impasto.engine.result import FloatArray
from impasto.errors import CheckpointError, CheckpointWriteError

__all__ = ["CheckpointStore", "Snapshot", "has_snapshot", "load_snapshot"]

LOCK = "impasto-checkpoint.lock"


@dataclass(frozen=True)
class Snapshot:
    """Everything a run needs to go on.

    Parameters
    ----------
    header : mapping
        Plain JSON of at most 32 MiB, with string keys and finite numbers; the store does not look
        into it. Tuples come back as lists.
    arrays : mapping of str to ndarray
        float32 of any shape: current values, which every save writes anew.
    pairs : mapping of str to ndarray
        float32 of any shape: arrays that never change under their name within a run. Each is
        written once, and deleted when a save no longer names it.
    """

    header: Mapping[str, Any]
    arrays: Mapping[str, FloatArray] = field(default_factory=dict)
    pairs: Mapping[str, FloatArray] = field(default_factory=dict)


class CheckpointStore:
    """A checkpoint directory that belongs to this run until it is closed.

    A new run saves; one that goes on calls :meth:`load` first. A snapshot that is there already
    stays until the first save, which replaces it: whether it may is the caller's to ask, with
    :func:`has_snapshot`.

    Parameters
    ----------
    directory : Path
        Made if it is not there, with its parents. Other files in it are left alone, but only a
        directory that is empty or a checkpoint's is taken.
    create : bool
        ``False``: take only a directory with a snapshot, and leave anything else as it is.

    Raises
    ------
    CheckpointError
        If the directory is none of these, cannot be made or written to, or is another run's.

    Notes
    -----
    During a save the disk holds two snapshots' `arrays`. Names reach the disk with `fsync`, which
    directories have on POSIX only; on Windows a power cut, though not a killed run, may bring the
    snapshot before the last one back, whose files may be gone then.
    """

    def __init__(self, directory: Path, *, create: bool = True) -> None:
        self._directory = Path(directory)
        if create:
            _make_ours(self._directory)
        else:
            read_manifest(self._directory)
        self._lock = DirectoryLock(self._directory / LOCK)
        self._pairs: Mapping[str, ArrayFile] = {}
        self._remove_leftovers()

    @property
    def directory(self) -> Path:
        """The directory."""
        return self._directory

    def load(self) -> Snapshot:
        """Return the snapshot that is here, to go on with: its pairs are not written again.

        See :func:`load_snapshot`; unlike there, no other run can be writing.

        Raises
        ------
        CheckpointError
        """
        self._require_lock()
        manifest, snapshot = _load(self._directory)
        self._pairs = manifest.pairs
        return snapshot

    def save(self, snapshot: Snapshot) -> None:
        """Replace the snapshot on disk; when this returns the new one lasts.

        Killed at any moment, it leaves the old snapshot or the new one.

        Parameters
        ----------
        snapshot : Snapshot
            Its arrays are not copied if they are contiguous, nor kept. A pair of the same name and
            shape as in the save before, or in what was loaded, is taken to be the same one.

        Raises
        ------
        CheckpointWriteError
            If the disk is full or fails. The snapshot before is still there, and what was written
            of this one is removed; a later save may succeed.
        ValueError, TypeError
            If the header is not plain JSON or too large, or an array is not of float32; nothing
            is changed then either.
        """
        self._require_lock()
        fresh: list[str] = []
        try:
            manifest = self._write(snapshot, fresh)
        except OSError as error:
            self._discard(fresh)
            raise CheckpointWriteError(
                f"The checkpoint in {self._directory} could not be written: "
                f"{error.strerror or error}. What was saved before is still there. Make room, or "
                "give another directory."
            ) from error
        except BaseException:
            self._discard(fresh)
            raise
        self._pairs = manifest.pairs
        self._remove(self._array_files() - manifest.files)

    def finish(self) -> None:
        """Remove the checkpoint, and the directory if nothing else is in it: the run is done.

        Raises
        ------
        CheckpointWriteError
            If something cannot be removed. The lock is released all the same.
        """
        self._require_lock()
        try:
            # First, and for good: without it, whatever stays is a leftover.
            (self._directory / MANIFEST).unlink(missing_ok=True)
            sync_directory(self._directory)
            for name in (*self._array_files(), DRAFT):
                (self._directory / name).unlink(missing_ok=True)
            self._lock.remove()
            if not os.listdir(self._directory):
                self._directory.rmdir()
        except OSError as error:
            raise CheckpointWriteError(
                f"The checkpoint in {self._directory} could not be removed: "
                f"{error.strerror or error}. Remove it by hand."
            ) from error
        finally:
            self.close()

    def close(self) -> None:
        """Let other runs have the directory; what was saved stays. May be called again."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, snapshot: Snapshot, fresh: list[str]) -> Manifest:
        """Write a snapshot; the names of the files made for it are added to `fresh`."""
        for name, array in (*snapshot.arrays.items(), *snapshot.pairs.items()):
            if array.dtype != np.float32:
                raise ValueError(f"The array {name!r} is of {array.dtype}, not float32.")
        arrays = {name: self._written(array, fresh) for name, array in snapshot.arrays.items()}
        pairs = {
            name: self._kept(name, array) or self._written(array, fresh)
            for name, array in snapshot.pairs.items()
        }
        manifest = Manifest(snapshot.header, arrays, pairs)
        write_manifest(self._directory, manifest.encode())
        return manifest

    def _written(self, array: FloatArray, fresh: list[str]) -> ArrayFile:
        fresh.append(new_array_name())
        return write_array(self._directory, fresh[-1], array)

    def _kept(self, name: str, array: FloatArray) -> ArrayFile | None:
        """Return the file this pair has already, if so."""
        file = self._pairs.get(name)
        if file is None or file.shape != array.shape or not file.is_in(self._directory):
            return None
        return file

    def _discard(self, fresh: Collection[str]) -> None:
        """Remove what a save that failed has written, unless it had replaced the manifest."""
        named = self._named()
        if named is not None:
            self._remove({*fresh, DRAFT} - named)

    def _remove_leftovers(self) -> None:
        """Remove what killed runs have left."""
        named = self._named()
        if named is not None:
            self._remove({*self._array_files(), DRAFT} - named)

    def _named(self) -> frozenset[str] | None:
        """Return the files the manifest on disk names; ``None`` if that cannot be told."""
        if not has_snapshot(self._directory):
            return frozenset()
        try:
            return read_manifest(self._directory).files
        except CheckpointError:
            return None

    def _array_files(self) -> frozenset[str]:
        return frozenset(filter(is_array_name, os.listdir(self._directory)))

    def _remove(self, names: Collection[str]) -> None:
        """Remove files as far as it can be done; the rest is left over for the next time."""
        for name in names:
            with contextlib.suppress(OSError):
                (self._directory / name).unlink(missing_ok=True)

    def _require_lock(self) -> None:
        if not self._lock.held:
            raise ValueError(f"The checkpoint in {self._directory} has been closed.")


def has_snapshot(directory: Path) -> bool:
    """Return whether there is a snapshot in a directory, be it damaged or not."""
    return os.path.lexists(Path(directory) / MANIFEST)


def load_snapshot(directory: Path) -> Snapshot:
    """Return the snapshot in a directory, after every file has been read and checked once.

    Parameters
    ----------
    directory : Path
        With no run writing to it: files may be gone halfway otherwise. To go on with the run, use
        :meth:`CheckpointStore.load`.

    Returns
    -------
    Snapshot
        Its arrays are read-only, and mapped from the files each time one is asked for, not before:
        see :class:`impasto.engine.checkpoint.files.StoredArrays`. Checking needs 1 MiB of memory.

    Raises
    ------
    CheckpointError
        If there is none; if it is of another version; if any file is missing, truncated, changed
        or not a regular file.
    """
    return _load(Path(directory))[1]


def _load(directory: Path) -> tuple[Manifest, Snapshot]:
    manifest = read_manifest(directory)
    for group in (manifest.arrays, manifest.pairs):
        for file in group.values():
            check_array(directory, file)
    arrays, pairs = (StoredArrays(directory, g) for g in (manifest.arrays, manifest.pairs))
    return manifest, Snapshot(manifest.header, arrays, pairs)


def _make_ours(directory: Path) -> None:
    """Make the directory, or refuse one that is somebody else's."""
    try:
        if not directory.is_dir():
            directory.mkdir(parents=True)
            # One may be allowed to write there, but not to read.
            with contextlib.suppress(PermissionError):
                sync_directory(directory.parent)
        names = os.listdir(directory)
    except OSError as error:
        raise CheckpointError(
            f"Checkpoint directory {directory} cannot be made or read: {error.strerror or error}. "
            "Give another one."
        ) from error
    if names and LOCK not in names:
        # A checkpoint somebody copied may lack the lock, but then it has to be one.
        try:
            read_manifest(directory)
        except CheckpointError:
            raise CheckpointError(
                f"Directory {directory} is not empty and holds no checkpoint. Give an empty or a "
                "new one: files in it will be removed when the run is done."
            ) from None
