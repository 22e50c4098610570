"""Pictures in a terminal: half blocks in 24-bit colour, and three protocols for real pixels.

Each function returns text to print where the picture's upper left corner is to be. Sources: the
documents "Terminal graphics protocol" of kitty and "Images" of iTerm2, and the VT330/VT340
Programmer Reference Manual, chapter 14, for sixels.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Literal

import numpy as np
from PIL import Image

from impasto.engine.images import ByteArray, resize

__all__ = [
    "Protocol",
    "blocks",
    "fitted_cells",
    "iterm",
    "kitty",
    "kitty_removed",
    "protocol_of",
    "sixel",
]

Protocol = Literal["kitty", "iterm", "sixel", "blocks"]

CELL = (20, 10)
"""Height and width of a character cell in pixels, where the terminal does not tell: those of the
VT340, and near to what most are."""

KITTY_CHUNK = 4096
SIXEL_COLOURS = 96
IMAGE_ID = 7157
"""Kitty's number for the picture: the same each time, so that a new one takes the old one's place.
Any other program's number is likely to be smaller."""


def protocol_of(environment: Mapping[str, str]) -> Protocol | None:
    """Return how the terminal shows pictures, going by the environment; None if it does not say.

    The terminal is never asked: an answer that comes late would be read as typed text. Inside tmux
    and screen, which do not pass pictures on by default, there is none.
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if "TMUX" in environment or "STY" in environment or term.startswith(("tmux", "screen")):
        return None
    if "KITTY_WINDOW_ID" in environment or term in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    if program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm", "mintty") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    if term.startswith(("foot", "mlterm", "yaft")) or "sixel" in term:
        return "sixel"
    return None


def fitted_cells(
    height: int, width: int, rows: int, columns: int, cell: tuple[int, int] = CELL
) -> tuple[int, int]:
    """Return the rows and columns that a picture takes, within limits and in its proportions.

    Parameters
    ----------
    height, width : int
        Of the picture, in pixels.
    rows, columns : int
        At most.
    cell : tuple of int
        Height and width of a character cell, in pixels.
    """
    proportion = (width / cell[1]) / (height / cell[0])  # columns a row
    columns = max(1, min(columns, round(rows * proportion)))
    return max(1, min(rows, round(columns / proportion))), columns


def blocks(image: ByteArray, rows: int, columns: int) -> str:
    """Return `rows` lines of upper half blocks: two pixels a cell, in ANSI 24-bit colours.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3)
        uint8 RGB.
    rows, columns : int
    """
    pixels = resize(image, columns, 2 * rows)
    lines = []
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        cells = (
            f"\x1b[38;2;{a[0]};{a[1]};{a[2]};48;2;{b[0]};{b[1]};{b[2]}m▀"
            for a, b in zip(upper.tolist(), lower.tolist(), strict=True)
        )
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)


def kitty(image: ByteArray, rows: int, columns: int) -> str:
    """Return kitty's graphics command: a PNG file in pieces of base64, scaled to the cells.

    The cursor stays where it is, and the terminal answers nothing.
    """
    data = _png(image)
    pieces = [data[begin : begin + KITTY_CHUNK] for begin in range(0, len(data), KITTY_CHUNK)]
    head = f"a=T,f=100,i={IMAGE_ID},p=1,q=2,C=1,c={columns},r={rows},"
    text = ""
    for index, piece in enumerate(pieces):
        more = int(index + 1 < len(pieces))
        text += f"\x1b_G{'' if index else head}m={more};{piece}\x1b\\"
    return text


def kitty_removed() -> str:
    """Return the command that takes kitty's picture away again."""
    return f"\x1b_Ga=d,d=I,i={IMAGE_ID},q=2\x1b\\"


def iterm(image: ByteArray, rows: int, columns: int) -> str:
    """Return iTerm2's inline image: a PNG file as base64, scaled to the cells."""
    place = f"inline=1;width={columns};height={rows};preserveAspectRatio=0"
    return f"\x1b]1337;File={place}:{_png(image)}\x07"


def sixel(image: ByteArray, rows: int, columns: int, cell: tuple[int, int] = CELL) -> str:
    """Return a sixel picture: a palette, then bands of six lines, run-length encoded.

    Parameters
    ----------
    image, rows, columns
        As for the other functions.
    cell : tuple of int
        Height and width of a character cell, in pixels.
    """
    height, width = rows * cell[0], columns * cell[1]
    small = Image.fromarray(resize(image, width, height)).quantize(SIXEL_COLOURS)
    palette = (small.getpalette() or [])[: 3 * SIXEL_COLOURS]
    indices = np.asarray(small)
    colours = "".join(
        f"#{index};2;" + ";".join(str(round(value / 2.55)) for value in palette[3 * index :][:3])
        for index in range(len(palette) // 3)
    )
    bands = (_band(indices[top : top + 6]) for top in range(0, height, 6))
    return f'\x1bP0;1;0q"1;1;{width};{height}{colours}{"-".join(bands)}\x1b\\'


def _band(indices: ByteArray) -> str:
    """Return six lines of palette indices: one pass a colour, from its first to its last pixel."""
    bits = 1 << np.arange(len(indices))
    passes = []
    for colour in np.unique(indices):
        values = ((indices == colour) * bits[:, np.newaxis]).sum(axis=0)
        passes.append(f"#{colour}" + _runs(values[: np.flatnonzero(values)[-1] + 1]))
    return "$".join(passes)


def _runs(values: np.ndarray[tuple[int], np.dtype[np.int64]]) -> str:
    edges = np.flatnonzero(np.diff(values)) + 1
    starts = [0, *edges.tolist()]
    text = ""
    for begin, end in zip(starts, [*starts[1:], len(values)], strict=True):
        sign, count = chr(63 + int(values[begin])), end - begin
        text += f"!{count}{sign}" if count > 3 else sign * count
    return text


def _png(image: ByteArray) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode("ascii")
