"""The picture of docs/gallery.md's section on batches: photos times paintings, in one command.

Given a folder, it keeps the pictures there, and goes on where it was stopped.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from panel import ROOT, save_panel

EXAMPLES = ROOT / "examples"
PHOTOS = ("astronaut", "chelsea", "pagoda")
PAINTINGS = ("great_wave", "summertime", "village_street")


def main(folder: Path) -> None:
    """Paint the batch, and put all of it beside the photos: batches.jpg."""
    styles = [flag for each in PAINTINGS for flag in ("--style", EXAMPLES / f"{each}.jpg")]
    subprocess.run(
        [
            *(sys.executable, "-m", "impasto", "paint"),
            *(EXAMPLES / f"{photo}.jpg" for photo in PHOTOS),
            *(*styles, "--each-style", "--out-dir", folder, "--skip-existing"),
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
    print(save_panel(pictures, "batches", quality=80, height=130, columns=1 + len(PAINTINGS)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if sys.argv[1:] else temporary))
