"""A video as a directory of picture files, one a frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from impasto.engine.images import list_pictures, load_image, picture_size
from impasto.engine.video.options import VideoOptions
from impasto.engine.video.source import Frame
from impasto.errors import VideoFileError

__all__ = ["FrameDirectory", "natural_key"]

SHOWN = 3


class FrameDirectory:
    """The pictures of a directory in natural order: frame 9 comes before frame 10.

    Parameters
    ----------
    path : Path
    video : VideoOptions
        Only the frames it chooses are looked at.
    max_pixels : int
        Most pixels of a frame.

    Raises
    ------
    ImageFileError
        If there is no picture, or one has a header that cannot be read.
    VideoFileError
        If the frames have several sizes.
    OptionError
        If there are too many, or none of those chosen.
    """

    end: Fraction | None = None

    def __init__(self, path: Path, video: VideoOptions, max_pixels: int) -> None:
        self.path = path
        self._max_pixels = max_pixels
        self._files = sorted(list_pictures(path), key=lambda file: natural_key(file.name))
        _check_sizes(self._files[video.slice_of(path, len(self._files))], max_pixels)

    @property
    def count(self) -> int:
        """How many frames there are."""
        return len(self._files)

    def name_of(self, number: int) -> str:
        """Return the file name of a frame."""
        return self._files[number - 1].name

    def frames(self, first: int) -> Iterator[Frame]:
        """Yield the frames from number `first` on."""
        for number, file in enumerate(self._files[first - 1 :], first):
            yield Frame(number, file.name, load_image(file, self._max_pixels))


def natural_key(name: str) -> tuple[object, ...]:
    """Return what file names are sorted by: digits count as numbers, and case does not matter.

    >>> sorted(["f10.png", "f9.png", "F1.png"], key=natural_key)
    ['F1.png', 'f9.png', 'f10.png']
    """
    parts = re.split(r"(\d+)", name.casefold())
    # Texts and numbers alternate, so that only like is compared with like.
    numbered = tuple(int(part) if odd % 2 else part for odd, part in enumerate(parts))
    return numbered, name


def _check_sizes(files: list[Path], max_pixels: int) -> None:
    sizes = {file: picture_size(file, max_pixels) for file in files}
    height, width = sizes[files[0]]
    others = [file for file, size in sizes.items() if size != (height, width)]
    if others:
        named = ", ".join(
            f"{file.name} ({sizes[file][1]}x{sizes[file][0]})" for file in others[:SHOWN]
        )
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        raise VideoFileError(
            f"{files[0].parent}: frames must have one size. {files[0].name} is {width}x{height}, "
            f"but not {named}{more}."
        )
