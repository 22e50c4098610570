"""The picture of the gallery's section "Style statistics": one pair, each statistic."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from panel import ROOT, save_panel
from PIL import Image

from impasto import Options, stylize
from impasto.export.losses.form import STATISTICS

PHOTO, PAINTING = (ROOT / "examples" / name for name in ("pagoda.jpg", "village_street.jpg"))


def main() -> None:
    """Paint with each statistic, and write the panel."""
    with TemporaryDirectory() as folder:
        pictures = {"photo": PHOTO, "painting": PAINTING}
        for statistic in STATISTICS:
            options = Options(
                size=256, iterations=60, seed=1, precision="f32", style_statistic=statistic
            )
            path = Path(folder) / f"{statistic}.png"
            Image.fromarray(stylize(PHOTO, [PAINTING], options).image).save(path)
            pictures[f"--style-statistic {statistic}"] = path
        print(save_panel(pictures, "style-statistics", height=200, columns=3))


if __name__ == "__main__":
    main()
