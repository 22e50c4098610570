"""Values of a checkpoint's header, which comes from a file: nothing in it is what it should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from impasto.errors import CheckpointError

__all__ = ["damaged", "typed"]


def typed(group: Mapping[str, Any], key: str, kind: type) -> Any:
    """Return an entry that is of a type.

    Raises
    ------
    CheckpointError
        If it is not there, or of another type.
    """
    value = group.get(key)
    if type(value) is not kind:
        raise damaged(key)
    return value


def damaged(key: str) -> CheckpointError:
    """Return the error that names the entry `key`."""
    return CheckpointError(
        f"The checkpoint's header is damaged: {key!r} is not what it should be. Start the run "
        "again."
    )
