"""Animated GIF, WebP and PNG files, read and written by Pillow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from impasto.engine.images import load_image, picture_size
from impasto.engine.srgb import ByteArray, in_a_line
from impasto.engine.video.options import VideoOptions
from impasto.engine.video.source import Frame
from impasto.errors import UsageError, VideoFileError

__all__ = ["ANIMATION_INPUTS", "Animation", "write_animation"]

ANIMATION_INPUTS = (".gif", ".webp", ".apng", ".png")

FORMATS = ("GIF", "WEBP", "PNG")

DEFAULT_DURATION = 100
"""Milliseconds of a frame that does not say, as browsers have it."""

SAMPLED = 16
"""Frames that a GIF's palette is made from."""


class Animation:
    """An animated GIF, WebP or PNG file.

    Parameters
    ----------
    path : Path
    video : VideoOptions
    max_pixels : int
        Most pixels of a frame.

    Raises
    ------
    ImageFileError
        If the file is missing, damaged, no picture or too large.
    VideoFileError
        If it is another kind of picture.
    OptionError
        If it has more frames than are accepted, or none of those chosen.
    """

    def __init__(self, path: Path, video: VideoOptions, max_pixels: int) -> None:
        self.path = path
        picture_size(path, max_pixels, animated=True)  # says in words what is wrong with a file
        with _opened(path) as image:
            self.count = int(getattr(image, "n_frames", 1))
        self.end: Fraction | None = None
        video.slice_of(path, self.count)

    def name_of(self, number: int) -> str:
        """Return a file name for a frame."""
        return f"{number:06}.png"

    def frames(self, first: int) -> Iterator[Frame]:
        """Yield the frames from number `first` on, laid on white where they are transparent."""
        elapsed = Fraction(0)
        with _opened(self.path) as image:
            for number in range(1, self.count + 1):
                image.seek(number - 1)
                image.load()
                # Durations are read while a frame is decoded.
                duration = int(image.info.get("duration") or DEFAULT_DURATION)
                time, elapsed = elapsed, elapsed + Fraction(duration, 1000)
                self.end = elapsed
                if number >= first:
                    yield Frame(number, self.name_of(number), _on_white(image), time)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with Image.open(path, formats=FORMATS) as image:
            yield image
    except UsageError:
        raise
    # Pillow's decoders raise nearly every exception there is on a hostile or damaged file.
    except Exception as error:
        raise VideoFileError(
            f"{path} cannot be read as an animated GIF, WebP or PNG ({in_a_line(error)})."
        ) from error


def _on_white(image: Image.Image) -> ByteArray:
    if image.mode == "RGB":
        return np.array(image)
    seen = image.convert("RGBA")
    white = Image.new("RGBA", seen.size, "white")
    return np.array(Image.alpha_composite(white, seen).convert("RGB"))


def write_animation(
    target: Path, frames: Sequence[Path], times: Sequence[Fraction], end: Fraction
) -> None:
    """Encode frames; the animation repeats for ever.

    Parameters
    ----------
    target : Path
        The suffix says the format: GIF; WebP of quality 90; APNG, without loss.
    frames, times, end
        As for `impasto.engine.video.movie_writer.write_movie`. Times are rounded to what the
        format counts in: hundredths of a second in GIF, thousandths in the others.

    Notes
    -----
    The frames of a GIF share 256 colours, chosen from some of them all along the video, without
    dithering: palettes of their own, and dithering, flicker.
    """
    suffix = target.suffix.lower()
    unit = 10 if suffix == ".gif" else 1
    stops = [*times[1:], end]
    ticks = [round(time * 1000 / unit) for time in (times[0], *stops)]
    durations = [max(1, b - a) * unit for a, b in pairwise(ticks)]
    palette = _palette(frames) if suffix == ".gif" else None

    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        ".gif": ("GIF", {"optimize": False, "disposal": 1}),
        ".webp": ("WEBP", {"quality": 90, "method": 4}),
        ".apng": ("PNG", {}),
    }
    name, options = kinds[suffix]
    first = next(iter(_Pictures(frames[:1], palette)))
    first.save(
        target,
        name,
        save_all=True,
        append_images=_Pictures(frames[1:], palette),
        duration=durations if len(durations) > 1 else durations[0],
        loop=0,
        **options,
    )


class _Pictures:
    """Pictures, loaded when they come up; Pillow goes over those of a PNG twice."""

    def __init__(self, frames: Sequence[Path], palette: Image.Image | None) -> None:
        self._frames, self._palette = frames, palette

    def __iter__(self) -> Iterator[Image.Image]:
        for path in self._frames:
            picture = Image.fromarray(load_image(path))
            if self._palette is not None:
                picture = picture.quantize(palette=self._palette, dither=Image.Dither.NONE)
            yield picture


def _palette(frames: Sequence[Path]) -> Image.Image:
    """Return a palette for all frames, from some of them side by side."""
    chosen = frames[:: max(1, len(frames) // SAMPLED)]
    side = [Image.fromarray(load_image(path)) for path in chosen]
    for picture in side:
        picture.thumbnail((160, 160), Image.Resampling.NEAREST)
    sheet = Image.new("RGB", (sum(p.width for p in side), max(p.height for p in side)))
    x = 0
    for picture in side:
        sheet.paste(picture, (x, 0))
        x += picture.width
    return sheet.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
