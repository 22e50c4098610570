"""The picture of docs/gallery.md's section on image files.

One photo in four files that are easy to get wrong: as a program sees it that takes the stored
values as they are, and painted.

Given a folder, it keeps the pictures there, and goes on where it was stopped.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from panel import ROOT, save_panel
from PIL import Image, ImageCms

from impasto.engine.deep_png import write_deep_png
from impasto.engine.srgb import srgb_profile

EXAMPLES = ROOT / "examples"
PHOTO, PAINTING = EXAMPLES / "chelsea.jpg", EXAMPLES / "composition_viii.jpg"
ORIENTATION = 274


def wide_profile() -> bytes:
    """Return the sRGB profile with its colours moved a third of the way away from white.

    Of the tags rXYZ, gXYZ and bXYZ (ICC.1:2022, section 9.2) each gives a colorant; their sum,
    which is white, stays.
    """
    profile = bytearray(srgb_profile())
    places = {}
    for number in range(struct.unpack_from(">I", profile, 128)[0]):
        name, place, _ = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        places[name] = place + 8
    colorants = {
        name: np.array(struct.unpack_from(">3i", profile, places[name]))
        for name in (b"rXYZ", b"gXYZ", b"bXYZ")
    }
    white = np.sum(list(colorants.values()), axis=0)
    for name, colorant in colorants.items():
        share = colorant[1] / white[1]  # of the light: grey stays grey
        moved = colorant + (colorant - share * white) / 3
        struct.pack_into(">3i", profile, places[name], *np.rint(moved).astype(int))
    return bytes(profile)


def turned(path: Path) -> None:
    """Write the photo on its side, and how to turn it."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    with Image.open(PHOTO) as photo:
        photo.transpose(Image.Transpose.ROTATE_90).save(path, quality=95, exif=exif)


def wide(path: Path) -> None:
    """Write the photo in colours of a wide gamut."""
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    with tempfile.NamedTemporaryFile(suffix=".icc") as file, Image.open(PHOTO) as photo:
        file.write(wide_profile())
        file.flush()
        moved = ImageCms.profileToProfile(photo, own, ImageCms.ImageCmsProfile(file.name))
        assert moved is not None
        moved.save(path, icc_profile=wide_profile())


def inked(path: Path) -> None:
    """Write the photo in four inks, which JPEG files store inverted."""
    with Image.open(PHOTO) as photo:
        photo.convert("CMYK").save(path, quality=95)


def cut_out(path: Path) -> None:
    """Write the middle of the photo in 16 bits, transparent around it."""
    with Image.open(PHOTO) as photo:
        pixels = np.asarray(photo.convert("RGB"))
    y, x = np.mgrid[-1 : 1 : pixels.shape[0] * 1j, -1 : 1 : pixels.shape[1] * 1j]
    alpha = np.clip(255 * (1.02 - np.hypot(x, y)) / 0.04, 0, 255).astype(np.uint8)
    deep = pixels.astype(np.uint16) * 257
    deep[alpha == 0] = 0
    with path.open("wb") as file:
        write_deep_png(deep, file, alpha=alpha, text={})


FILES: Mapping[str, tuple[str, Callable[[Path], None]]] = {
    "EXIF orientation": ("turned.jpg", turned),
    "wide-gamut profile": ("wide.png", wide),
    "CMYK": ("inked.jpg", inked),
    "16 bits with alpha": ("cutout.png", cut_out),
}


def raw(path: Path) -> Path:
    """Write what is stored in a file: no orientation, no profile, no alpha, inks as light."""
    with Image.open(path) as image:
        bands = image.split()[:3]
    stored = path.with_name(f"{path.stem}-stored.png")
    Image.merge("RGB", bands).save(stored)
    return stored


def painted(path: Path, output: Path) -> Path:
    """Paint a file, unless that is done, and return the picture's path."""
    if not output.exists():
        pictures = [str(path), str(PAINTING), "-o", str(output)]
        size = ("--size", "256", "--iterations", "100", "--seed", "1")
        command = [sys.executable, "-m", "impasto", "paint", *pictures, *size]
        subprocess.run(command, check=True)
    return output


def on_white(path: Path) -> Path:
    """Lay a picture on white."""
    laid = path.with_name(f"{path.stem}-white.png")
    with Image.open(path) as image:
        picture = image.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        ground.alpha_composite(picture)
        ground.convert("RGB").save(laid)
    return laid


def main(folder: Path) -> None:
    """Write the files, paint each, and write the panel: image_files.jpg."""
    stored, done = {}, {}
    for label, (name, write) in FILES.items():
        path = folder / name
        write(path)
        stored[f"stored: {label}"] = raw(path)
        done[f"painted: {label}"] = on_white(painted(path, folder / f"painted-{path.stem}.png"))
    print(save_panel({**stored, **done}, "image_files", height=170, columns=4))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if sys.argv[1:] else temporary))
