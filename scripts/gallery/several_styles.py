"""The pictures of "Several styles" in docs/gallery.md.

Given a folder, it keeps them there, and goes on where it was stopped.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from panel import ROOT, save_panel

from impasto import Options, save_image, stylize

EXAMPLES = ROOT / "examples"
PHOTO = EXAMPLES / "pagoda.jpg"
STYLES = [EXAMPLES / "great_wave.jpg", EXAMPLES / "composition_viii.jpg"]
SIZE, ITERATIONS = 256, 100

CASES = {
    "wave": Options(style_blend_weights=(1, 0)),
    "composition": Options(style_blend_weights=(0, 1)),
    "half of each": Options(style_blend_weights=(1, 1)),
    "wave's strokes, composition's shapes": Options(
        layers_of=("1=relu1_1,relu2_1", "2=relu3_1,relu4_1,relu5_1")
    ),
    "the same the other way round": Options(
        layers_of=("2=relu1_1,relu2_1", "1=relu3_1,relu4_1,relu5_1")
    ),
    "composition at half its size": Options(style_blend_weights=(0, 1), style_scale=(1.0, 0.5)),
}


def main(folder: Path) -> None:
    """Paint every case that is not in `folder` yet, and write the panel."""
    pictures = {}
    for number, (label, case) in enumerate(CASES.items()):
        pictures[label] = folder / f"styles_{number}.png"
        if not pictures[label].exists():
            changes = {"size": SIZE, "iterations": ITERATIONS, "seed": 1}
            result = stylize(PHOTO, STYLES, Options(**{**case.to_dict(), **changes}))
            save_image(result.image, pictures[label])
    print(save_panel(pictures, "several_styles", quality=84, height=190, columns=3))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if sys.argv[1:] else temporary))
