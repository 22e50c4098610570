"""Which reader and which writer a path stands for."""

from __future__ import annotations

from pathlib import Path

from impasto.engine.output_formats import Metadata
from impasto.engine.video.frames import FrameDirectory
from impasto.engine.video.options import VideoOptions
from impasto.engine.video.report import VideoResult
from impasto.engine.video.source import Source
from impasto.errors import VideoFileError

__all__ = ["encode", "open_source"]


def open_source(path: Path, video: VideoOptions, max_pixels: int) -> Source:
    """Open a video: a directory of frames.

    Raises
    ------
    UsageError
        If it cannot be read, or is larger or longer than what is accepted.
    """
    if path.is_dir():
        return FrameDirectory(path, video, max_pixels)
    raise VideoFileError(f"{path} is no directory of frames.")


def encode(frames: Path, result: VideoResult, source: Source, metadata: Metadata) -> None:
    """Write the frames in a directory to the result's file."""
    raise NotImplementedError
