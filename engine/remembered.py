"""Small results that are remembered from run to run, one JSON file each.

They only save time: a file that is absent, damaged or cannot be written is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["key_of", "recall", "remember"]

logger = logging.getLogger(__name__)


def key_of(*parts: str | bytes | memoryview) -> str:
    """Return a file name for a result that depends on `parts`."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()[:32]


def recall(directory: Path | None, key: str) -> Mapping[str, Any] | None:
    """Return the result remembered under `key`, if there is one; its values are not checked."""
    if directory is None:
        return None
    try:
        found = json.loads((directory / f"{key}.json").read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def remember(directory: Path | None, key: str, result: Mapping[str, Any]) -> None:
    """Write a result to be found under `key`."""
    if directory is None:
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        temporary = directory / f"{key}.{os.getpid()}.tmp"
        temporary.write_text(json.dumps(result))
        temporary.replace(directory / f"{key}.json")
    except OSError as error:
        logger.info("A measurement is not remembered: %s", error)
