"""What a video is read from, whatever it is stored in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from impasto.engine.srgb import ByteArray

__all__ = ["Frame", "Source"]


@dataclass(frozen=True)
class Frame:
    """A frame.

    Parameters
    ----------
    number : int
        From 1.
    name : str
        Name of its own file, or one made of its number.
    picture : ndarray of shape (H, W, 3)
        uint8 RGB, turned upright, sRGB.
    time : Fraction, optional
        When it is shown, in seconds; None where files stand for frames.
    """

    number: int
    name: str
    picture: ByteArray
    time: Fraction | None = None


class Source(Protocol):
    """A video to read. Opening one checks what can be checked without decoding it."""

    @property
    def path(self) -> Path:
        """The file or the directory."""

    @property
    def count(self) -> int:
        """How many frames there are; of a container, as many as it says."""

    @property
    def end(self) -> Fraction | None:
        """When the last frame ends, in seconds; None where files stand for frames."""

    def name_of(self, number: int) -> str:
        """Return the file name of a frame, its own or one made of its number."""

    def frames(self, first: int) -> Iterator[Frame]:
        """Yield the frames from number `first` on, in order.

        Raises
        ------
        UsageError
            If one cannot be read, or has another size than the first.
        """
