"""Video files read through PyAV (FFmpeg), as untrusted: a closed list of containers, checked sizes.

Some of FFmpeg's demuxers read playlists that name other files and addresses; the list holds none of
those, and no protocol but the open file is allowed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from impasto.engine.resampling import resize
from impasto.engine.srgb import ByteArray, in_a_line
from impasto.engine.video.options import VideoOptions
from impasto.engine.video.pyav import pyav
from impasto.engine.video.source import Frame
from impasto.errors import UsageError, VideoFileError

__all__ = ["MOVIE_INPUTS", "Movie", "opened_movie", "video_stream"]

logger = logging.getLogger(__name__)

MOVIE_INPUTS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
"""Suffixes of the containers that are read; what a file is, its content says."""

DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"

HD_HEIGHT = 720
"""Rows from which a file that does not say its matrix has BT.709's, by custom; below, BT.601's."""

BT709, BT601, BT2020 = 1, 5, 9
MATRICES = {1: BT709, 4: 4, 5: BT601, 6: BT601, 7: 7, 9: BT2020, 10: BT2020}
"""libswscale's matrix by the number in the file (ITU-T H.273, table 4)."""

FULL, LIMITED = 2, 1
"""Numbers of FFmpeg's ranges: 0-255, and 16-235."""

HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}


class Movie:
    """A video file.

    Parameters
    ----------
    path : Path
    video : VideoOptions
        Frames beyond those it chooses are not counted.
    max_pixels : int
        Most pixels of a frame.

    Raises
    ------
    MissingExtraError
        Without PyAV.
    VideoFileError
        If the file is missing, damaged, of an unknown kind, without video, or has larger frames.
    OptionError
        If it has more frames than are accepted, or none of those chosen.
    """

    def __init__(self, path: Path, video: VideoOptions, max_pixels: int) -> None:
        self.path = path
        self._max_pixels = max_pixels
        # One more than is accepted tells that there are too many.
        enough = video.start - 1 + (video.frames or video.max_frames + 1)
        with opened_movie(path) as container:
            stream = video_stream(container, path, max_pixels)
            self.count, self.end = _counted(container, stream, enough)
            if not self.count:
                raise VideoFileError(f"{path}: there are no frames in it; it is cut short.")
            self._warn(stream)
        video.slice_of(path, self.count)

    def name_of(self, number: int) -> str:
        """Return a file name for a frame."""
        return f"{number:06}.png"

    def frames(self, first: int) -> Iterator[Frame]:
        """Yield the frames from number `first` on, in order of their time."""
        size = None
        number = 0
        with opened_movie(self.path) as container:
            stream = video_stream(container, self.path, self._max_pixels)
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                number += 1
                if size is None:
                    size = frame.width, frame.height
                if (frame.width, frame.height) != size:
                    raise VideoFileError(
                        f"{self.path}: frame {number} is {frame.width}x{frame.height} and the "
                        f"first {size[0]}x{size[1]}; frames must have one size."
                    )
                if number < first:
                    continue
                time = None if frame.pts is None else frame.pts * Fraction(frame.time_base)
                yield Frame(number, self.name_of(number), _upright(frame, stream), time)

    def _warn(self, stream: Any) -> None:
        context = stream.codec_context
        curve = HIGH_DYNAMIC_RANGE.get(int(context.color_trc or 0))
        if curve:
            logger.warning(
                "%s is of high dynamic range (%s), which is not mapped to what a screen shows; "
                "colours will be pale. Convert it to BT.709 first.",
                self.path,
                curve,
            )
        elif int(context.color_primaries or 0) == BT2020:
            logger.warning("%s has wide-gamut colours, which are taken as sRGB's.", self.path)


@contextmanager
def opened_movie(path: Path) -> Iterator[Any]:
    """Open a video file; what FFmpeg says of it becomes a `VideoFileError`."""
    av = pyav()
    try:
        if not path.is_file():
            raise VideoFileError(f"{path}: there is no such file.")
        with path.open("rb") as file:
            options = {"format_whitelist": DEMUXERS, "protocol_whitelist": ""}
            with av.open(file, "r", options=options, metadata_errors="replace") as container:
                yield container
    except UsageError:
        raise
    except (av.FFmpegError, ValueError, OSError) as error:
        raise VideoFileError(
            f"{path} cannot be read as a video ({in_a_line(error)}). Files of these kinds are: "
            f"{' '.join(MOVIE_INPUTS)}; also .gif, .webp and .apng, and directories of frames."
        ) from error


def video_stream(container: Any, path: Path, max_pixels: int) -> Any:
    """Return the first stream of moving pictures.

    Raises
    ------
    VideoFileError
        If there is none, or its frames have more than `max_pixels`.
    """
    av = pyav()
    still = av.stream.Disposition.attached_pic  # a song's cover
    streams = [each for each in container.streams.video if not each.disposition & still]
    if not streams:
        raise VideoFileError(f"{path} has no video in it.")
    context = streams[0].codec_context
    if context is None or not context.width or not context.height:
        raise VideoFileError(f"{path}: the codec of its video is not known.")
    width, height = context.width, context.height
    if width * height > max_pixels:
        raise VideoFileError(
            f"{path} is {width}x{height}, {width * height:,} pixels; at most {max_pixels:,} are "
            "accepted. Give a smaller video, or a higher --max-pixels if you trust the file."
        )
    # What is inside may differ from what the head says; the decoder refuses it before it has room.
    context.options = {"max_pixels": str(max_pixels)}
    return streams[0]


def _counted(container: Any, stream: Any, enough: int) -> tuple[int, Fraction | None]:
    """Return how many frames there are, up to `enough`, and when they end."""
    count, end = 0, None
    for packet in container.demux(stream):
        if packet.pts is None or packet.size == 0:
            continue
        count += 1
        ends = (packet.pts + (packet.duration or 0)) * Fraction(packet.time_base)
        end = ends if end is None else max(end, ends)
        if count >= enough:
            break
    return count, end


def _upright(frame: Any, stream: Any) -> ByteArray:
    """Return a frame as it is meant to be seen: sRGB, square pixels, turned upright."""
    how = pyav().video.reformatter.Interpolation
    matrix = MATRICES.get(int(frame.colorspace))
    if matrix is None:
        matrix = BT709 if frame.height >= HD_HEIGHT else BT601
    rgb = frame.reformat(
        format="rgb24",
        src_colorspace=matrix,
        src_color_range=FULL if int(frame.color_range) == FULL else LIMITED,
        dst_color_range=FULL,
        # Colour between its samples, and no shortcuts.
        interpolation=how.BICUBIC | how.FULL_CHR_H_INT | how.ACCURATE_RND,
    )
    picture: ByteArray = rgb.to_ndarray()
    shape = stream.sample_aspect_ratio or Fraction(1)
    if shape > 0 and shape != 1:
        height, width, _ = picture.shape
        wide = max(1, round(width * shape)) if shape > 1 else width
        high = max(1, round(height / shape)) if shape < 1 else height
        picture = resize(picture, wide, high)
    quarters = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, quarters))
