"""The pictures of "Regions" in docs/gallery.md; the masks are drawn here.

Given a folder, it keeps the pictures there, and goes on where it was stopped.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from panel import ROOT, save_panel
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from impasto import Options, save_image, stylize
from impasto.engine.images import Cutout

EXAMPLES = ROOT / "examples"
PHOTO = EXAMPLES / "pagoda.jpg"
STYLES = [EXAMPLES / "village_street.jpg", EXAMPLES / "great_wave.jpg"]
QUICK = Options(size=256, iterations=100, seed=1)

TOWER = [
    *((205, 24), (216, 62), (262, 108), (322, 124), (316, 150), (330, 172), (322, 240), (352, 252)),
    *(
        (346, 318),
        (373, 338),
        (336, 372),
        (318, 400),
        (300, 427),
        (240, 427),
        (228, 392),
        (150, 360),
    ),
    *((110, 334), (78, 326), (84, 280), (60, 264), (92, 244), (82, 176), (96, 150), (93, 128)),
    *((146, 108), (192, 62)),
]
"""The pagoda in examples/pagoda.jpg, of 640 by 427 pixels."""


def draw_masks(folder: Path) -> None:
    """Write the masks, and a photo of which all but the tower is transparent."""
    photo = Image.open(PHOTO).convert("RGB")
    tower = Image.new("L", photo.size)
    ImageDraw.Draw(tower).polygon(TOWER, fill=255)
    tower = tower.filter(ImageFilter.GaussianBlur(2))
    ramp = Image.linear_gradient("L").rotate(90).resize(photo.size)
    masks = {"tower": tower, "rest": ImageOps.invert(tower), "right": ramp}
    for name, mask in {**masks, "left": ImageOps.invert(ramp)}.items():
        mask.save(folder / f"{name}.png")
    photo.putalpha(tower)
    photo.save(folder / "cut_out.png")


def main(folder: Path) -> None:
    """Paint every case that is not in `folder` yet, and write the panel."""
    draw_masks(folder)

    def masks(*names: str) -> tuple[str, ...]:
        return tuple(str(folder / f"{each}.png") for each in names)

    cases = {
        "tower and rest in two styles": replace(QUICK, mask=masks("tower", "rest")),
        "the same, --mask-edges inside": replace(
            QUICK, mask=masks("tower", "rest"), mask_edges="inside"
        ),
        "soft, from left to right": replace(QUICK, mask=masks("left", "right")),
        "the tower kept, the rest free": replace(QUICK, content_mask=masks("tower")[0]),
        "transparent around the tower": QUICK,
    }
    pictures = {"mask of the tower": folder / "tower.png"}
    for number, (label, options) in enumerate(cases.items()):
        pictures[label] = folder / f"regions_{number}.png"
        if not pictures[label].exists():
            cut_out = label.startswith("transparent")
            result = stylize(folder / "cut_out.png" if cut_out else PHOTO, STYLES, options)
            save_image(Cutout(result.image, result.alpha).on_white(), pictures[label])
    print(save_panel(pictures, "regions", height=190, columns=3))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if sys.argv[1:] else temporary))
