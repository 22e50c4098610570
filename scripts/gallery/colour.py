"""The gallery's section "Colour": one photo and one painting in every way of `--color`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import get_args

from panel import ROOT, save_panel

from impasto.engine.options import ColorChoice

EXAMPLES = ROOT / "examples"
PHOTO, PAINTING = EXAMPLES / "pagoda.jpg", EXAMPLES / "great_wave.jpg"


def painted(color: str, folder: Path) -> Path:
    """Paint the pair with `--color`, and return the picture's path."""
    path = folder / f"{color}.png"
    flags = ["--size", "256", "--iterations", "60", "--color", color]
    pictures = [str(PHOTO), str(PAINTING), "-o", str(path)]
    subprocess.run([sys.executable, "-m", "impasto", "paint", *pictures, *flags], check=True)
    return path


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        pictures = {"photo": PHOTO, "painting": PAINTING}
        for color in get_args(ColorChoice):
            pictures[f"--color {color}"] = painted(color, Path(folder))
        print(save_panel(pictures, "colour", height=160, columns=4))
