"""The pictures of docs/gallery.md's section on looking: an animation, a sheet, a report.

The report's picture is taken by a Chromium in PATH, through Playwright: pip install '.[browser]'.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from panel import PICTURES, ROOT
from PIL import Image

EXAMPLES = ROOT / "examples"
PHOTO, PAINTING = EXAMPLES / "pagoda.jpg", EXAMPLES / "village_street.jpg"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")


def impasto(*arguments: str | Path) -> None:
    """Run the command line."""
    command = [sys.executable, "-m", "impasto", *map(str, arguments)]
    subprocess.run(command, check=True, cwd=ROOT)


def animation_and_report(folder: Path) -> None:
    """Paint once: looking-animation.webp, and a page to be photographed."""
    film = PICTURES / "looking-animation.webp"
    film.unlink(missing_ok=True)
    impasto(
        *("paint", PHOTO.relative_to(ROOT), PAINTING.relative_to(ROOT)),
        *("-o", folder / "pagoda.png", "--size", "320", "--iterations", "80"),
        *("--animate", film, "--animate-size", "208", "--report", folder / "report.html"),
    )


def sheet(folder: Path) -> None:
    """Sweep the style's weight and size: looking-sweep.jpg."""
    impasto(
        *("sweep", PHOTO, PAINTING, "-o", folder / "sheet.png", "--size", "192"),
        *("--over", "style_weight=3,100,10000", "--over", "style_scale=0.5,1,2"),
        *("--iterations", "80", "--seed", "1"),
    )
    with Image.open(folder / "sheet.png") as image:
        image.convert("RGB").save(PICTURES / "looking-sweep.jpg", quality=82)


def photograph(page: Path, folder: Path) -> None:
    """Show the report's upper part, light and dark side by side: looking-report.jpg."""
    from playwright.sync_api import sync_playwright

    shots = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(FLAGS)
        )
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": 760, "height": 1500}, color_scheme=scheme
            )
            opened = context.new_page()
            opened.goto(page.as_uri())
            shots.append(folder / f"{scheme}.png")
            opened.screenshot(path=str(shots[-1]))
        browser.close()
    left, right = (Image.open(shot).convert("RGB") for shot in shots)
    both = Image.new("RGB", (left.width + right.width, left.height))
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    small = both.resize((both.width * 2 // 3, both.height * 2 // 3), Image.Resampling.LANCZOS)
    small.save(PICTURES / "looking-report.jpg", quality=66)


def main() -> None:
    """Make all three."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        animation_and_report(folder)
        photograph(folder / "report.html", folder)
        sheet(folder)


if __name__ == "__main__":
    main()
