"""Small video files, written by PyAV directly: what the reader has to get right."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

CLOCKWISE = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
"""The display matrix of a telephone that was held upright: to be turned clockwise by 90 degrees."""


def write_movie_file(
    path: Path,
    frames: Sequence[Bytes],
    *,
    times: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    matrix: int = 1,
    full_range: bool = False,
    tagged: bool = True,
    display_matrix: Sequence[int] | None = None,
    pixel_shape: Fraction | None = None,
    sound: float = 0.0,
    codec: str = "libx264",
) -> Path:
    """Encode frames without loss, but for their colour, in 4:4:4.

    Parameters
    ----------
    matrix : int
        1 for BT.709, 5 for BT.601.
    tagged : bool
        Whether the file says its matrix and range.
    sound : float
        Seconds of a tone.
    """
    high = 2 if full_range else 1
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=25, options={"qp": "0"})
        stream.height, stream.width, _ = frames[0].shape
        stream.pix_fmt = "yuv444p"
        stream.codec_context.time_base = time_base
        if tagged:
            stream.codec_context.colorspace = matrix
            stream.codec_context.color_range = high
        if display_matrix is not None:
            stream.set_display_matrix(display_matrix)
        if pixel_shape is not None:
            stream.codec_context.sample_aspect_ratio = pixel_shape
        audio: Any = output.add_stream("aac", rate=8000) if sound else None
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv444p",
                dst_colorspace=matrix,
                src_color_range=2,
                dst_color_range=high,
            )
            frame.time_base = time_base
            frame.pts = index if times is None else times[index]
            if not tagged:
                frame.colorspace, frame.color_range = 2, 0
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if audio is not None:
            count = round(8000 * sound)
            tone = np.sin(np.arange(count) * 0.3).astype(np.float32)[None]
            samples = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            samples.sample_rate = 8000
            samples.pts = 0
            output.mux(audio.encode(samples))
            output.mux(audio.encode(None))
    return path


def patches(height: int = 48, width: int = 64) -> Bytes:
    """Even areas of colours that the matrices of BT.601 and BT.709 tell apart."""
    colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (230, 230, 230), (20, 20, 20)]
    picture = np.empty((height, width, 3), np.uint8)
    edges = np.linspace(0, width, len(colours) + 1).astype(int)
    for colour, left, right in zip(colours, edges[:-1], edges[1:], strict=True):
        picture[:, left:right] = colour
    return picture
