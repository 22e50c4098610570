"""One run a checkpoint directory: a lock that the system drops when the run ends, however it does.

Unlike `impasto.models.weights.lock`, whose file stays, this one's is removed when a run is done;
so who gets the lock looks whether its file is still the one with the name.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from impasto.errors import CheckpointError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["DirectoryLock"]


class DirectoryLock:
    """A lock file that is held until :meth:`release` or the end of the process.

    Parameters
    ----------
    path : Path
        The file; made if it is not there.

    Raises
    ------
    CheckpointError
        If another run holds it, or the file system has no locks or cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        try:
            while self._descriptor is None:
                self._descriptor = _locked(path)
        except BlockingIOError:
            raise CheckpointError(
                f"Checkpoint {path.parent} is in use by another run. Wait until that one ends, "
                "stop it, or give another directory."
            ) from None
        except OSError as error:
            raise CheckpointError(
                f"Checkpoint {path.parent} cannot be locked: {error.strerror or error}. Give "
                "another directory."
            ) from error

    @property
    def held(self) -> bool:
        """Whether the lock is held."""
        return self._descriptor is not None

    def release(self) -> None:
        """Let others have the lock; does nothing if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Remove the file and let go of the lock."""
        if sys.platform == "win32":
            # Open files cannot be removed there, and by now somebody else may hold this one.
            self.release()
            with contextlib.suppress(PermissionError):
                self._path.unlink(missing_ok=True)
        else:
            self._path.unlink(missing_ok=True)
            self.release()


def _locked(path: Path) -> int | None:
    """Return a descriptor that holds the lock; ``None`` if the file was removed meanwhile."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o644)
    try:
        _lock(descriptor)
        if _is_at(descriptor, path):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError from error
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
