"""The picture of docs/gallery.md's section on textures: plain ones, and copies of tileable ones.

Given a folder, it keeps the pictures there, and goes on where it was stopped.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from panel import ROOT, save_panel
from PIL import Image

from impasto import Options, save_image, texture

EXAMPLES = ROOT / "examples"
PAINTINGS = ("village_street", "great_wave")
SIZE = 256


def painted(name: str, folder: Path, *, tileable: bool) -> Path:
    """Make the texture of a painting, unless it is there, and return its path."""
    path = folder / f"{name}{'-tileable' * tileable}.png"
    if not path.exists():
        options = Options(seed=1, tileable=tileable)
        save_image(texture([EXAMPLES / f"{name}.jpg"], SIZE, options).image, path)
    return path


def four_copies(path: Path) -> Path:
    """Lay a picture beside and below itself."""
    both = path.with_name(f"{path.stem}-copies.png")
    with Image.open(path) as tile:
        copies = Image.new("RGB", (2 * tile.width, 2 * tile.height))
        for x in (0, tile.width):
            for y in (0, tile.height):
                copies.paste(tile, (x, y))
    copies.save(both)
    return both


def main(folder: Path) -> None:
    """Make all, and write the panel: textures.jpg."""
    pictures = {}
    for name in PAINTINGS:
        pictures[f"{name}.jpg"] = EXAMPLES / f"{name}.jpg"
        pictures[f"{name}, a texture"] = painted(name, folder, tileable=False)
        tile = painted(name, folder, tileable=True)
        pictures[f"{name}, four tiles"] = four_copies(tile)
    print(save_panel(pictures, "textures", quality=83, height=200, columns=3))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if sys.argv[1:] else temporary))
