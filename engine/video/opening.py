"""Which reader and which writer a path stands for."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from impasto.engine.output_formats import Metadata
from impasto.engine.video.animations import ANIMATION_INPUTS, Animation, write_animation
from impasto.engine.video.frames import FrameDirectory
from impasto.engine.video.movie_reader import Movie
from impasto.engine.video.movie_writer import write_movie
from impasto.engine.video.options import VideoOptions
from impasto.engine.video.pyav import pyav
from impasto.engine.video.report import FrameReport, VideoResult
from impasto.engine.video.source import Source
from impasto.engine.video.target import ANIMATION_SUFFIXES, MOVIE_SUFFIXES
from impasto.engine.whole_files import whole_path
from impasto.errors import ImpastoError

__all__ = ["check_writer", "encode", "open_source", "times_of"]


def open_source(path: Path, video: VideoOptions, max_pixels: int) -> Source:
    """Open a video: a directory of frames, an animation, or a video file.

    Raises
    ------
    UsageError
        If it cannot be read, or is larger or longer than what is accepted.
    """
    if path.is_dir():
        return FrameDirectory(path, video, max_pixels)
    if path.suffix.lower() in ANIMATION_INPUTS:
        return Animation(path, video, max_pixels)
    return Movie(path, video, max_pixels)


def check_writer(output: Path) -> None:
    """Refuse to begin without what encodes the output.

    Raises
    ------
    MissingExtraError
    """
    if output.suffix.lower() in MOVIE_SUFFIXES and not output.is_dir():
        pyav()


def encode(frames: Path, result: VideoResult, source: Source, metadata: Metadata) -> None:
    """Write the frames in a directory to the result's file: whole, or nothing changes on disk.

    Raises
    ------
    ImpastoError
        If it cannot be written.
    """
    files = [frames / report.name for report in result.frames]
    times, end = times_of(result.frames, source.end, result.video.fps)
    try:
        with whole_path(result.output) as draft:
            if draft.suffix in ANIMATION_SUFFIXES:
                write_animation(draft, files, times, end)
            else:
                sound = source.path if isinstance(source, Movie) else None
                write_movie(draft, files, times, end, sound, metadata.get("Software", "Impasto"))
    except ImpastoError as error:
        raise ImpastoError(
            f"{error} The frames are in {frames}; the same command tries again."
        ) from error


def times_of(
    reports: Sequence[FrameReport], end: Fraction | None, fps: float
) -> tuple[list[Fraction], Fraction]:
    """Return when each frame is shown and when the last one ends, in seconds.

    Parameters
    ----------
    reports : sequence of FrameReport
    end : Fraction, optional
        When the source's last frame ends.
    fps : float
        Frames a second where the frames have no times of their own.
    """
    step = 1 / Fraction(fps).limit_denominator(1001)
    told = [report.shown_at for report in reports]
    times = [time for time in told if time is not None]
    if len(times) < len(told) or any(after <= before for before, after in pairwise(times)):
        return [index * step for index in range(len(told))], len(told) * step
    if end is None or end <= times[-1]:
        steps = len(times) - 1
        end = times[-1] + ((times[-1] - times[0]) / steps if steps else step)
    return times, end
