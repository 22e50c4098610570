"""The picture of docs/gallery.md's section on presets: one photo with built-in ones and files.

Given a folder, it keeps the pictures there, and goes on where it was stopped. The preset nin is not
among them: its weights are not part of this package.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from panel import ROOT, save_panel

EXAMPLES = ROOT / "examples"
PHOTO, PAINTING = EXAMPLES / "chelsea.jpg", EXAMPLES / "great_wave.jpg"

FILES = {
    "loud.toml": 'style-weight = 10000\ncolor = "style-match"\n',
    "poster.toml": 'style-statistic = "covariance"\nstyle-weight = 200\n',
}


def painted(preset: str, folder: Path) -> Path:
    """Paint the pair with a preset, unless that is done, and return the picture's path."""
    path = folder / f"{Path(preset).stem}.png"
    if not path.exists():
        flags = ["--preset", preset, "--size", "256", "--seed", "1"]
        pictures = [str(PHOTO), str(PAINTING), "-o", str(path)]
        subprocess.run([sys.executable, "-m", "impasto", "paint", *pictures, *flags], check=True)
    return path


def main(folder: Path) -> None:
    """Write the files, paint with each preset, and write the panel: presets.jpg."""
    for name, text in FILES.items():
        (folder / name).write_text(text)
    pictures = {"photo": PHOTO, "painting": PAINTING}
    for preset in ("default", "neural-style"):
        pictures[f"--preset {preset}"] = painted(preset, folder)
    for name in FILES:
        pictures[f"--preset {name}"] = painted(str(folder / name), folder)
    print(save_panel(pictures, "presets", height=190, columns=3))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if sys.argv[1:] else temporary))
