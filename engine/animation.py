"""The optimisation as a moving picture: frames chosen on the way, encoded at the end."""

from __future__ import annotations

import importlib.util
import tempfile
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from impasto.engine.images import ByteArray, fit, resize
from impasto.engine.result import Iterate
from impasto.engine.srgb import srgb_profile
from impasto.engine.whole_files import reason_of, whole_path
from impasto.errors import ImpastoError, OptionError, OutputPathError

__all__ = ["ANIMATION_SUFFIXES", "Animation", "check_animation_path", "frame_iterations"]

FRAMES = 80
"""Frames at most, by default; the last picture is one more."""

SIZE = 480
"""Longest side in pixels, by default."""

MOST_SIZE = 2048
MOST_FRAMES = 1000

FRAME_MS, LAST_MS = 80, 2000
"""How long a frame is shown, and the last one."""

RATE = 25
"""Frames a second of a film: two for each of ours."""

PALETTE_SAMPLE = 12
"""Frames whose colours a GIF's palette is made for."""


def check_animation_path(path: str | Path) -> None:
    """Refuse a path that no animation can be written to, because of its format.

    Raises
    ------
    OutputPathError
        If the suffix is none of :data:`ANIMATION_SUFFIXES`, or needs PyAV, which is not there.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        raise OutputPathError(
            f"Animation {path}: the suffix {suffix!r} is none of {' '.join(ANIMATION_SUFFIXES)}."
        )
    if suffix == ".mp4" and importlib.util.find_spec("av") is None:
        raise OutputPathError(
            f"Animation {path}: an MP4 film needs PyAV, which is not installed. Install it with "
            "pip install 'impasto[video]', or use .webp or .gif."
        )


def frame_iterations(iterations: int, frames: int = FRAMES) -> frozenset[int]:
    """Return the iterations that are shown: the first, the last, and evenly by their logarithm.

    The picture changes most in the first steps; halfway through a run it hardly moves.

    Parameters
    ----------
    iterations : int
        Of the run; at least 1.
    frames : int
        How many there are, unless there are fewer iterations; at least 2.
    """
    if iterations <= frames:
        return frozenset(range(1, iterations + 1))
    points = frames
    while True:
        # The first few round to the same numbers, so more are drawn until enough differ.
        rounded = np.unique(np.rint(np.geomspace(1, iterations, points)).astype(np.int64))
        if len(rounded) >= frames:
            kept = np.rint(np.linspace(0, len(rounded) - 1, frames)).astype(np.int64)
            return frozenset(int(each) for each in rounded[kept])
        points += max(1, (frames - len(rounded)) // 2)


class Animation:
    """Collects frames of a run; give it to `impasto.stylize` as callback, then :meth:`write` it.

    Frames wait in a temporary file, scaled down, and are encoded one after the other (but those of
    a PNG file, which Pillow wants at once): neither a long run nor a large picture takes more
    memory.

    Parameters
    ----------
    path : str or Path
        The suffix gives the format: GIF, WebP, animated PNG (.png, .apng), or MP4 (H.264), which
        needs PyAV.
    size : int
        Longest side in pixels, 16 to 2048; smaller pictures are not enlarged.
    frames : int
        Frames at most, 2 to 1000, besides the last picture.

    Raises
    ------
    OutputPathError
        As :func:`check_animation_path`.
    OptionError
        If a number is out of range.

    Examples
    --------
    ::

        animation = Animation("painting.webp")
        result = stylize("photo.jpg", ["painting.jpg"], callback=animation)
        animation.write(result.image)
    """

    def __init__(self, path: str | Path, *, size: int = SIZE, frames: int = FRAMES) -> None:
        check_animation_path(path)
        for value, name, low, high in (
            (size, "size", 16, MOST_SIZE),
            (frames, "number of frames", 2, MOST_FRAMES),
        ):
            if not low <= value <= high:
                raise OptionError(
                    f"The {name} of an animation is {value}; it takes {low} to {high}."
                )
        self._path = Path(path)
        self._size = size
        self._frames = frames
        self._chosen: frozenset[int] = frozenset()
        self._spool = tempfile.TemporaryFile(prefix="impasto-")  # noqa: SIM115 - lives on
        weakref.finalize(self, self._spool.close)
        self._shapes: list[tuple[int, int]] = []

    def __call__(self, iterate: Iterate) -> None:
        """Keep a step, if it is one of those to show."""
        if not self._chosen:
            self._chosen = frame_iterations(iterate.iterations, self._frames)
        if iterate.iteration in self._chosen:
            self.add(iterate.picture())

    def add(self, picture: ByteArray) -> None:
        """Add a frame.

        Parameters
        ----------
        picture : ndarray of shape (H, W, 3)
            uint8 RGB.

        Raises
        ------
        ImpastoError
            If there is no room for it on the disk.
        """
        small = fit(picture, self._size) if max(picture.shape[:2]) > self._size else picture
        try:
            self._spool.write(small.tobytes())
        except OSError as error:
            raise ImpastoError(
                f"There is no room for the frames of {self._path} in {tempfile.gettempdir()}: "
                f"{reason_of(error)}."
            ) from error
        self._shapes.append(small.shape[:2])

    def write(self, last: ByteArray) -> None:
        """Write the file, which appears whole or not at all; existing ones are replaced.

        Parameters
        ----------
        last : ndarray of shape (H, W, 3)
            The result, uint8 RGB: shown last, and longer. All frames get its size, or what
            `size` allows of it.

        Raises
        ------
        ImpastoError
            If the file cannot be written.
        """
        self.add(last)
        suffix = self._path.suffix.lower()
        try:
            with whole_path(self._path) as draft:
                _WRITERS[suffix](self, draft)
        finally:
            self._spool.close()

    def pictures(self, multiple_of: int = 1) -> Iterator[ByteArray]:
        """Yield the frames so far, all of the size of the last one.

        Parameters
        ----------
        multiple_of : int
            Height and width are rounded down to multiples of it.
        """
        height, width = (max(multiple_of, side - side % multiple_of) for side in self._shapes[-1])
        self._spool.seek(0)
        for shape in self._shapes:
            data = self._spool.read(3 * shape[0] * shape[1])
            pixels = np.frombuffer(data, np.uint8).reshape(*shape, 3)
            yield resize(pixels, width, height)

    @property
    def frame_count(self) -> int:
        """How many frames there are so far."""
        return len(self._shapes)

    @property
    def durations(self) -> list[int]:
        """Milliseconds of each frame."""
        return [FRAME_MS] * (self.frame_count - 1) + [LAST_MS]


def _write_gif(animation: Animation, draft: Path) -> None:
    """Write with one palette for all frames, so that colours do not jump, and with dithering."""
    palette = _palette(animation)

    def frames() -> Iterator[Image.Image]:
        for pixels in animation.pictures():
            image = Image.fromarray(pixels)
            yield image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)

    _save(frames(), draft, animation, format="GIF", loop=0, optimize=False)


def _palette(animation: Animation) -> Image.Image:
    """Return an image with the palette that fits frames from all over the animation best."""
    count = animation.frame_count
    wanted = set(np.linspace(0, count - 1, min(count, PALETTE_SAMPLE)).round().astype(int))
    rows = [
        pixels[::2, ::2].reshape(-1, 3)
        for index, pixels in enumerate(animation.pictures())
        if index in wanted
    ]
    colours = np.concatenate(rows)
    sample = Image.fromarray(colours.reshape(-1, 1, 3))
    return sample.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=1)


def _write_webp(animation: Animation, draft: Path) -> None:
    frames = map(Image.fromarray, animation.pictures())
    look: dict[str, Any] = {"quality": 82, "method": 4, "icc_profile": srgb_profile()}
    _save(frames, draft, animation, format="WEBP", loop=0, **look)


def _write_png(animation: Animation, draft: Path) -> None:
    frames = map(Image.fromarray, animation.pictures())
    _save(frames, draft, animation, format="PNG", loop=0, icc_profile=srgb_profile())


def _save(frames: Iterator[Image.Image], draft: Path, animation: Animation, **look: Any) -> None:
    first = next(frames)
    # Pillow looks at a PNG file's frames twice: all of them have to be in memory.
    rest = list(frames) if look["format"] == "PNG" else frames
    durations = animation.durations
    first.save(draft, save_all=True, append_images=rest, duration=durations, **look)


def _write_mp4(animation: Animation, draft: Path) -> None:
    """Write H.264 in the form that plays everywhere: 8 bits, colour at half resolution (4:2:0)."""
    import av
    from av.video.reformatter import Colorspace

    with av.open(str(draft), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream: Any = container.add_stream(
            "libx264", rate=RATE, options={"crf": "17", "preset": "medium"}
        )
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, RATE)
        shown = zip(animation.pictures(multiple_of=2), animation.durations, strict=True)
        number = 0
        for pixels, duration in shown:
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
                # BT.709, limited range: what players take HD video for.
                context = stream.codec_context
                context.color_primaries = context.color_trc = context.colorspace = 1
                context.color_range = 1
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
            for _ in range(round(duration * RATE / 1000)):
                frame.pts = number
                number += 1
                container.mux(stream.encode(frame))
        container.mux(stream.encode())


_WRITERS: dict[str, Callable[[Animation, Path], None]] = {
    ".gif": _write_gif,
    ".webp": _write_webp,
    ".png": _write_png,
    ".apng": _write_png,
    ".mp4": _write_mp4,
}

ANIMATION_SUFFIXES = tuple(_WRITERS)
"""Suffixes of animations, in lower case; upper case is accepted."""
