"""Video files written through PyAV (FFmpeg)."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from impasto.engine.images import load_image
from impasto.engine.srgb import ByteArray
from impasto.engine.video.movie_reader import BT709, FULL, LIMITED, opened_movie
from impasto.engine.video.pyav import pyav

__all__ = ["write_movie"]

logger = logging.getLogger(__name__)

CODECS = {
    ".mp4": ("libx264", {"crf": "17", "preset": "medium"}),
    ".mov": ("libx264", {"crf": "17", "preset": "medium"}),
    ".mkv": ("libx264", {"crf": "17", "preset": "medium"}),
    ".webm": ("libvpx-vp9", {"crf": "24", "b": "0", "row-mt": "1"}),
}
"""Encoder by suffix. Strokes are fine detail: the quality is high."""

FINEST = 1_000_000
"""Largest denominator of the time base: mp4 holds 32 bits."""

COMMON = 90_000
"""Denominator where times have no common one: MPEG's clock."""


def write_movie(
    target: Path,
    frames: Sequence[Path],
    times: Sequence[Fraction],
    end: Fraction,
    sound: Path | None,
    comment: str,
) -> None:
    """Encode frames.

    Parameters
    ----------
    target : Path
        The suffix says the container: .mp4, .mov and .mkv hold H.264, .webm VP9.
    frames : sequence of Path
        Picture files of one size.
    times : sequence of Fraction
        When each is shown, in seconds; growing.
    end : Fraction
        When the last one ends.
    sound : Path, optional
        A video file whose first audio stream is copied, from the first frame's time to `end`, if
        the container holds its codec.
    comment : str

    Notes
    -----
    4:2:0, BT.709 in the limited range, and said so in the file. A side of an odd number of pixels
    gets its last row or column twice, for 4:2:0 halves it. Times are kept, also where they are not
    evenly spaced.
    """
    av = pyav()
    codec, options = CODECS[target.suffix.lower()]
    with ExitStack() as stack:
        flags = {"movflags": "+faststart"} if target.suffix.lower() in (".mp4", ".mov") else {}
        output = stack.enter_context(av.open(str(target), "w", options=flags))
        output.metadata["comment"] = comment
        rate = Fraction(len(frames)) / max(end - times[0], Fraction(1, 1000))
        stream = output.add_stream(codec, rate=rate.limit_denominator(1001), options=options)
        first = load_image(frames[0])
        stream.height, stream.width = (side + side % 2 for side in first.shape[:2])
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = _time_base(times)
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        packets = iter(())
        if sound is not None:
            packets = _sound(stack, output, sound, times[0], end)
        waiting = next(packets, None)
        for path, time in zip(frames, times, strict=True):
            frame = _encoded(load_image(path))
            frame.time_base = context.time_base
            frame.pts = round((time - times[0]) / context.time_base)
            output.mux(stream.encode(frame))
            while waiting is not None and waiting.pts * waiting.time_base <= time - times[0]:
                output.mux(waiting)
                waiting = next(packets, None)
        output.mux(stream.encode(None))
        while waiting is not None:
            output.mux(waiting)
            waiting = next(packets, None)


def _time_base(times: Sequence[Fraction]) -> Fraction:
    denominator = math.lcm(*(time.denominator for time in times))
    return Fraction(1, denominator if denominator <= FINEST else COMMON)


def _encoded(picture: ByteArray) -> Any:
    """Return a picture as a frame of 4:2:0."""
    av = pyav()
    height, width, _ = picture.shape
    even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    how = av.video.reformatter.Interpolation
    frame = av.VideoFrame.from_ndarray(even, format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=BT709,
        src_color_range=FULL,
        dst_color_range=LIMITED,
        interpolation=how.AREA | how.FULL_CHR_H_INP | how.ACCURATE_RND,
    )
    frame.colorspace, frame.color_range = BT709, LIMITED
    return frame


def _sound(
    stack: ExitStack, output: Any, source: Path, start: Fraction, end: Fraction
) -> Iterator[Any]:
    """Yield packets of the source's first audio stream, with times that count from `start`."""
    container = stack.enter_context(opened_movie(source))
    if not container.streams.audio:
        return iter(())
    stream = container.streams.audio[0]
    if stream.codec_context is None or stream.codec_context.name not in output.supported_codecs:
        logger.warning("The sound of %s does not fit into this container; it is left out.", source)
        return iter(())
    copied = output.add_stream_from_template(stream)

    def packets() -> Iterator[Any]:
        for packet in container.demux(stream):
            if packet.pts is None or packet.size == 0:
                continue
            time = packet.pts * Fraction(packet.time_base)
            if start <= time < end:
                shift = round(start / packet.time_base)
                packet.pts -= shift
                if packet.dts is not None:
                    packet.dts -= shift
                packet.stream = copied
                yield packet

    return packets()
