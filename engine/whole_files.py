"""Files that appear whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from impasto.engine.srgb import in_a_line
from impasto.errors import ImpastoError

__all__ = ["reason_of", "whole_file", "whole_path"]


@contextlib.contextmanager
def whole_path(path: str | Path) -> Iterator[Path]:
    """Give the path of a draft, which takes the place of `path` when the block ends well.

    An existing file is replaced; a symbolic link is followed.

    Parameters
    ----------
    path : str or Path
        The draft is beside it and has the same suffix.

    Raises
    ------
    ImpastoError
        If the block raises an `OSError` or a `ValueError`: disk full, no permission, directory
        gone, too large for the format.

    Notes
    -----
    Without fsync: a power cut may cost the file, but no full disk or Ctrl-C leaves half of it.
    """
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".impasto-{secrets.token_hex(8)}{target.suffix.lower()}")
    try:
        yield draft
        draft.replace(target)
    except (OSError, ValueError) as error:
        raise ImpastoError(
            f"{path} could not be written: {reason_of(error)}. Make room, or give another output "
            "path."
        ) from error
    finally:
        # After the rename there is no draft: this cleans up after errors and Ctrl-C only.
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """Give a file to write to, which takes the place of `path` when the block ends well.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    ImpastoError
        As :func:`whole_path`.
    """
    with whole_path(path) as draft, io.BufferedWriter(_CheckedFile(draft, "xb")) as file:
        yield file


class _CheckedFile(io.FileIO):
    """A file whose every write is checked.

    Given a file descriptor, Pillow's JPEG and BMP writers hand it to the system without looking
    whether all of it was written, and a full disk goes unnoticed. So they get none.

    Not of `tempfile`: this one gets the permissions any new file of the user's gets.
    """

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def reason_of(error: Exception) -> str:
    """Return why a file cannot be written, as it stands in a sentence."""
    reason = error.strerror if isinstance(error, OSError) else None
    return reason or in_a_line(error)
