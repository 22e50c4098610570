"""PyAV, imported where it is needed."""

from __future__ import annotations

from typing import Any

from impasto.errors import MissingExtraError

__all__ = ["pyav"]


def pyav() -> Any:
    """Return the module ``av``.

    Raises
    ------
    MissingExtraError
        With the command that installs it.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("PyAV, for video files", "video", error) from error
    # FFmpeg's own messages, about every odd byte of a file, are not for whoever gave it.
    av.logging.set_level(None)
    return av
