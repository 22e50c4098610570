"""The pictures of a sweep on one sheet, with the values that made them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from impasto.engine.images import ByteArray, fit
from impasto.engine.reproduction import flag_text
from impasto.engine.result import Status
from impasto.engine.srgb import Cutout
from impasto.engine.sweep import Axis, Cell

__all__ = ["MOST_PIXELS", "contact_sheet"]

MOST_PIXELS = 8192
"""Longest side of a sheet; cells are made smaller for it."""

MOST_COLUMNS = 6
"""Of a sweep over one option; further cells go into the next row."""

GAP, CAPTION, MARGIN = 10, 20, 12
TEXT = 13
PAPER, INK, SOFT, FAILED = "#ffffff", "#1d1b18", "#66615a", "#ece7de"


def contact_sheet(cells: Sequence[Cell], axes: Sequence[Axis], cell_size: int = 256) -> ByteArray:
    """Draw the pictures of a sweep in a grid.

    With two axes there is a row for each value of the first and a column for each of the second;
    with one, the cells go on from left to right. Below each picture stands its final loss, which
    cannot be compared between weights, layers or sizes.

    Parameters
    ----------
    cells : sequence of Cell
        In the order of `impasto.engine.sweep.sweep`; those that are missing were not painted.
    axes : sequence of Axis
    cell_size : int
        Longest side of a picture on the sheet, in pixels; less if the sheet became too large.

    Returns
    -------
    ndarray of shape (H, W, 3)
        uint8 RGB.
    """
    columns = len(axes[-1].values)
    rows = len(axes[0].values) if len(axes) > 1 else 1
    if len(axes) == 1 and columns > MOST_COLUMNS:
        rows, columns = -(-columns // MOST_COLUMNS), MOST_COLUMNS
    side = min(cell_size, MOST_PIXELS // max(rows, columns) - GAP - 3 * CAPTION)
    pictures = [_small(cell, side) for cell in cells]
    height, width = _cell_size(pictures, side)
    font = ImageFont.load_default(TEXT)
    row_names = [flag_text(value) for value in axes[0].values] if len(axes) > 1 else []
    left = MARGIN + _label_width([axes[0].name, *row_names], font) if row_names else MARGIN
    top = MARGIN + (2 * CAPTION if row_names else 0)
    step_x, step_y = width + GAP, height + CAPTION + GAP
    sheet = Image.new("RGB", (left + columns * step_x - GAP + MARGIN, top + rows * step_y), PAPER)
    draw = ImageDraw.Draw(sheet)
    if row_names:
        _draw_heads(draw, axes, (left, top), (step_x, step_y), width, height, font)
    for index in range(_count(axes)):
        row, column = divmod(index, columns)
        corner = (left + column * step_x, top + row * step_y)
        cell = cells[index] if index < len(cells) else None
        picture = pictures[index] if index < len(cells) else None
        _draw_cell(sheet, draw, cell, picture, corner, (height, width), font)
        caption = _caption(cell)
        if not row_names:
            value = flag_text(axes[0].values[index])
            caption = f"{axes[0].name.replace('_', ' ')} {value}  {caption}"
        _text(draw, (corner[0], corner[1] + height + 3), caption, width, font, INK)
    return np.asarray(sheet)


def _count(axes: Sequence[Axis]) -> int:
    return int(np.prod([len(axis.values) for axis in axes]))


def _small(cell: Cell, side: int) -> ByteArray | None:
    if cell.result is None:
        return None
    image = Cutout(cell.result.image, cell.result.alpha).on_white()
    return fit(image, side) if max(image.shape[:2]) > side else image


def _cell_size(pictures: Sequence[ByteArray | None], side: int) -> tuple[int, int]:
    """Return the height and width that hold every picture."""
    shapes = [picture.shape[:2] for picture in pictures if picture is not None]
    if not shapes:
        return side // 2, side
    # A caption needs some room.
    return max(shape[0] for shape in shapes), max(150, *(shape[1] for shape in shapes))


def _caption(cell: Cell | None) -> str:
    if cell is None:
        return "not painted"
    if cell.result is None:
        return "failed"
    stopped = "stopped, " if cell.result.status is Status.CANCELLED else ""
    return f"{stopped}loss {cell.result.loss:.4g}"


def _draw_heads(
    draw: ImageDraw.ImageDraw,
    axes: Sequence[Axis],
    origin: tuple[int, int],
    step: tuple[int, int],
    width: int,
    height: int,
    font: _Font,
) -> None:
    """Write the values above the columns and beside the rows."""
    rows, columns = axes
    (left, top), (step_x, step_y) = origin, step
    _text(draw, (left, MARGIN - 2), columns.name.replace("_", " "), 10_000, font, SOFT)
    _text(draw, (MARGIN, top - CAPTION), rows.name.replace("_", " "), left, font, SOFT)
    for number, value in enumerate(columns.values):
        place = (left + number * step_x, MARGIN + CAPTION - 2)
        _text(draw, place, flag_text(value), width, font, INK)
    for number, value in enumerate(rows.values):
        lines = textwrap.fill(flag_text(value), LABEL_LETTERS)
        draw.text((MARGIN, top + number * step_y + height // 2 - 10), lines, INK, font)


def _draw_cell(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    cell: Cell | None,
    picture: ByteArray | None,
    corner: tuple[int, int],
    size: tuple[int, int],
    font: _Font,
) -> None:
    height, width = size
    if picture is not None:
        sheet.paste(Image.fromarray(picture), corner)
        return
    x, y = corner
    draw.rectangle((x, y, x + width - 1, y + height - 1), FAILED)
    if cell is not None:
        letters = max(10, width // 7)
        lines = textwrap.wrap(cell.error, letters)[: max(1, (height - 12) // 17)]
        draw.text((x + 8, y + 6), "\n".join(lines), SOFT, font)


LABEL_LETTERS = 18
_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def _label_width(names: Sequence[str], font: _Font) -> int:
    lines = [line for name in names for line in textwrap.wrap(name, LABEL_LETTERS)]
    return round(max((font.getlength(line) for line in lines), default=0)) + GAP


def _text(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    width: int,
    font: _Font,
    colour: str,
) -> None:
    """Write a line, cut off where the next cell begins."""
    while len(text) > 1 and font.getlength(text) > width:
        text = text[:-2] + "…"
    draw.text(place, text, colour, font)
