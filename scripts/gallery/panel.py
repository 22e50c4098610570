"""Pictures side by side with a label under each: what every section of docs/gallery.md shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

__all__ = ["PICTURES", "panel", "save_panel"]

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures" / "gallery"

GAP = 8
LABEL_HEIGHT = 22


def panel(pictures: Mapping[str, Path], height: int = 240, columns: int = 4) -> Image.Image:
    """Return the pictures in rows, each `height` pixels high, with their labels below.

    Parameters
    ----------
    pictures : mapping of str to path
        Picture files by label.
    height : int
        Of a picture, in pixels.
    columns : int
        Most pictures in a row.
    """
    font = ImageFont.load_default(14)
    cells = []
    for label, path in pictures.items():
        with Image.open(path) as opened:
            width = max(1, round(opened.width * height / opened.height))
            cell = opened.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        cells.append((label, cell, max(width, math.ceil(font.getlength(label)) + 4)))
    rows = [cells[begin : begin + columns] for begin in range(0, len(cells), columns)]
    widths = [sum(width + GAP for _, _, width in row) - GAP for row in rows]
    row_height = height + LABEL_HEIGHT
    sheet = Image.new("RGB", (max(widths), len(rows) * (row_height + GAP) - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        x, y = 0, number * (row_height + GAP)
        for label, cell, width in row:
            sheet.paste(cell, (x, y))
            draw.text((x + 2, y + height + 3), label, "black", font)
            x += width + GAP
    return sheet


def save_panel(
    pictures: Mapping[str, Path], name: str, *, quality: int = 88, **layout: int
) -> Path:
    """Write a panel to docs/pictures/gallery/NAME.jpg and return its path."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.jpg"
    panel(pictures, **layout).save(path, quality=quality, optimize=True)
    return path
