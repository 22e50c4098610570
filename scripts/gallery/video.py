"""Pictures of docs/gallery.md, "Video": frames painted together and one by one.

    python scripts/gallery/video.py

A window wanders over a photo; the frames are painted by `impasto.stylize_video` in both ways.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from panel import PICTURES, ROOT, save_panel
from PIL import Image

import impasto

FRAMES, WIDTH, HEIGHT = 6, 216, 160
STEP = 7
ZOOM = 1.01
SHOWN = (1, 2, 3)
ITERATIONS, NEXT_ITERATIONS = 60, 30

PHOTO = ROOT / "examples" / "pagoda.jpg"
PAINTING = ROOT / "examples" / "composition_viii.jpg"


def write_frames(folder: Path) -> None:
    """Write a pan with a slow zoom."""
    with Image.open(PHOTO) as opened:
        photo = opened.convert("RGB")
    photo = photo.resize((500, round(500 * photo.height / photo.width)), Image.Resampling.LANCZOS)
    for number in range(FRAMES):
        x, y = 190 + STEP * number, 130 + 2 * number
        across, down = (side / ZOOM**number / 2 for side in (WIDTH, HEIGHT))
        box = (x - across, y - down, x + across, y + down)
        frame = photo.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box=box)
        frame.save(folder / f"{number + 1:02}.png")


def main() -> None:
    """Paint and save."""
    options = impasto.Options(size=WIDTH, iterations=ITERATIONS, precision="f32", seed=1)
    alone = impasto.VideoOptions(
        temporal_weight=0, next_init="content", next_iterations=ITERATIONS, fps=8
    )
    together = impasto.VideoOptions(next_iterations=NEXT_ITERATIONS, fps=8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "frames").mkdir()
        write_frames(folder / "frames")
        shown = {f"frame {n}": folder / "frames" / f"{n:02}.png" for n in SHOWN}
        for kind, video in (("together", together), ("alone", alone)):
            result = impasto.stylize_video(
                folder / "frames", [PAINTING], folder / kind, options, video
            )
            print(f"{kind}: flicker {result.flicker}, the content's {result.content_flicker}")
            shown |= {f"{kind}, frame {n}": folder / kind / f"{n:02}.png" for n in SHOWN}
        save_panel(shown, "video", columns=3, height=HEIGHT)
        write_animation(folder)


def write_animation(folder: Path) -> None:
    """Write both ways side by side, forth and back, as an animated WebP."""
    pairs = []
    for number in range(1, FRAMES + 1):
        pair = Image.new("RGB", (2 * WIDTH + 8, HEIGHT), "white")
        for x, kind in ((0, "together"), (WIDTH + 8, "alone")):
            with Image.open(folder / kind / f"{number:02}.png") as frame:
                pair.paste(frame, (x, 0))
        pairs.append(pair)
    there_and_back = [*pairs, *pairs[-2:0:-1]]
    path = PICTURES / "video.webp"
    there_and_back[0].save(
        path, save_all=True, append_images=there_and_back[1:], duration=120, loop=0, quality=60
    )


if __name__ == "__main__":
    main()
