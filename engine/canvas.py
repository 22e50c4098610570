"""What a texture is painted on: a size, where other runs have a content picture."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from impasto.engine.options import MAX_SIZE
from impasto.errors import OptionError

__all__ = ["LEAST_SIDE", "Canvas", "canvas_of", "parsed_size"]

LEAST_SIDE = 16
"""Least side in pixels, as of ``--size``."""


@dataclass(frozen=True)
class Canvas:
    """The size of a picture that has no content.

    Parameters
    ----------
    height, width : int
        In pixels, `LEAST_SIDE` to `MAX_SIZE`.

    Raises
    ------
    OptionError
        If a side is out of range.
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        for side in self.size:
            if not LEAST_SIDE <= side <= MAX_SIZE:
                raise OptionError(
                    f"--size is {self.width}x{self.height}; each side takes {LEAST_SIDE} to "
                    f"{MAX_SIZE} pixels."
                )

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def longest_side(self) -> int:
        """The longer of the two, in pixels."""
        return max(self.size)

    def to_dict(self) -> dict[str, int]:
        """Return it as plain JSON values, for :meth:`from_dict`."""
        return {"width": self.width, "height": self.height}

    @staticmethod
    def from_dict(told: Mapping[str, Any]) -> Canvas:
        """Return what :meth:`to_dict` told.

        Raises
        ------
        ValueError
            If it is not that.
        OptionError
            If a side is out of range.
        """
        values = told.get("height"), told.get("width")
        if set(told) != {"height", "width"} or any(type(value) is not int for value in values):
            raise ValueError(f"{dict(told)!r:.80} is no canvas")
        return Canvas(told["height"], told["width"])


def canvas_of(size: int | tuple[int, int]) -> Canvas:
    """Return the canvas of `size`: (width, height) in pixels, or one number for a square.

    Raises
    ------
    OptionError
        If it is neither, or a side is out of range.
    """
    sides = (size, size) if isinstance(size, int) else size
    numbers = isinstance(sides, tuple | list) and len(sides) == 2
    if not numbers or any(type(side) is not int for side in sides):
        raise OptionError(
            f"The size is {size!r:.60}; it takes (width, height) in pixels, or one number for a "
            "square."
        )
    width, height = sides
    return Canvas(height, width)


def parsed_size(text: str) -> tuple[int, int]:
    """Return (width, height) from ``WxH``, or from ``N`` for a square.

    Raises
    ------
    OptionError
        If it is neither.
    """
    match = re.fullmatch(r"([0-9]{1,8})(?:[xX]([0-9]{1,8}))?", text.strip())
    if match is None:
        raise OptionError(
            f"--size is {text!r:.60}; it takes WIDTHxHEIGHT in pixels, such as 768x512, or one "
            "number for a square."
        )
    width, height = match[1], match[2] or match[1]
    return int(width), int(height)
