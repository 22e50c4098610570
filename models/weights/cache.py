"""Where fetched weights are kept."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

from impasto.models.registry import ModelSpec

__all__ = ["cache_directory", "cached_file"]


def cache_directory() -> Path:
    """Return the directory of fetched weights, which need not exist.

    It is ``weights`` in the directory named by the environment variable ``IMPASTO_CACHE``, or
    else in the user's cache directory (on Linux ``~/.cache/impasto``).
    """
    root = os.environ.get("IMPASTO_CACHE")
    return (Path(root).expanduser() if root else user_cache_path("impasto")) / "weights"


def cached_file(spec: ModelSpec, directory: Path | None = None) -> Path:
    """Return where the file of `spec` is, or would be, in `directory` or in the cache."""
    return (directory or cache_directory()) / spec.filename
