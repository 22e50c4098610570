"""The picture of docs/gallery.md's section on batches: photos times paintings, in one command."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from panel import ROOT, save_panel

EXAMPLES = ROOT / "examples"
PHOTOS = ("astronaut", "chelsea", "pagoda")
PAINTINGS = ("great_wave", "summertime", "village_street")


def main() -> None:
    """Paint the batch, and put all of it beside the photos: batches.jpg."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        styles = [flag for each in PAINTINGS for flag in ("--style", EXAMPLES / f"{each}.jpg")]
        subprocess.run(
            [
                *(sys.executable, "-m", "impasto", "paint"),
                *(EXAMPLES / f"{photo}.jpg" for photo in PHOTOS),
                *(*styles, "--each-style", "--out-dir", folder),
                *("--size", "256", "--iterations", "80"),
            ],
            check=True,
        )
        pictures = {}
        for photo in PHOTOS:
            pictures[f"{photo}.jpg"] = EXAMPLES / f"{photo}.jpg"
            for painting in PAINTINGS:
                path = folder / f"{photo}-{painting}.png"
                pictures[path.name] = path
        print(save_panel(pictures, "batches", height=150, columns=1 + len(PAINTINGS)))


if __name__ == "__main__":
    main()
