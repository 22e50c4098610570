"""Make the pictures of ``examples/`` from the packages they come from.

::

    python scripts/collect_examples.py paintings.rcc scikit_image-*.whl scikit_learn-*.whl examples

``paintings.rcc`` is ``/usr/share/gcompris-qt/rcc/paintings.rcc`` of Debian's ``gcompris-qt-data``.
Its paintings are cut into puzzle pieces, which are laid back at the places the puzzle's board
gives them. ``examples/SOURCES.md`` says who made the pictures and how they are licensed.
"""

from __future__ import annotations

import io
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

LONGEST_SIDE = 640
JPEG_QUALITY = 90
PAINTINGS = {
    "village_street.jpg": "board22_0.qml",
    "great_wave.jpg": "board7_0.qml",
    "composition_viii.jpg": "board19_0.qml",
    "summertime.jpg": "board21_0.qml",
}
PHOTOS = {
    "astronaut.jpg": "skimage/data/astronaut.png",
    "chelsea.jpg": "skimage/data/chelsea.png",
    "pagoda.jpg": "sklearn/datasets/images/china.jpg",
}
RESOURCES = "gcompris/src/activities/paintings/resource"
BOARD_SIZE = (702, 515)
RAGGED = 3
PIECE = re.compile(r'"pixmapfile" : "(.*\.webp)",\s*"x" : "([\d.]+)",\s*"y" : "([\d.]+)"')


def main(arguments: list[str]) -> None:
    """Write every picture into the last argument, a folder."""
    resource_file, *wheels, folder = arguments
    resources = dict(qt_resources(Path(resource_file).read_bytes()))
    for name, board in PAINTINGS.items():
        save(lay_pieces(resources, board), Path(folder) / name)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name, member in PHOTOS.items():
                if member in archive.namelist():
                    save(Image.open(io.BytesIO(archive.read(member))), Path(folder) / name)


def save(picture: Image.Image, path: Path) -> None:
    """Fit `picture` into `LONGEST_SIDE` without enlarging it and write it as a JPEG."""
    picture = picture.convert("RGB")
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    picture.save(path, quality=JPEG_QUALITY, subsampling=0, optimize=True)


def lay_pieces(resources: dict[str, bytes], board: str) -> Image.Image:
    """Put a puzzle together; a board gives each piece's centre as fractions of its own size."""
    text = resources[f"{RESOURCES}/board/{board}"].decode()
    pieces: list[tuple[Image.Image, int, int]] = []
    for name, x, y in PIECE.findall(text):
        piece = Image.open(io.BytesIO(resources[f"{RESOURCES}/{name}"])).convert("RGBA")
        left = round(float(x) * BOARD_SIZE[0] - piece.width / 2)
        top = round(float(y) * BOARD_SIZE[1] - piece.height / 2)
        pieces.append((piece, left, top))
    left, top = min(left for _, left, _ in pieces), min(top for _, _, top in pieces)
    painting = Image.new("RGBA", BOARD_SIZE)
    for piece, x, y in pieces:
        painting.alpha_composite(piece, (x - left, y - top))
    left, top, right, bottom = painting.getbbox() or (0, 0, *BOARD_SIZE)
    # Pieces are placed to the nearest pixel, which leaves the outermost ones ragged.
    return painting.crop((left + RAGGED, top + RAGGED, right - RAGGED, bottom - RAGGED))


def qt_resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the bytes of each file in a Qt binary resource file.

    Header (big endian): ``qres``, version, offsets of the tree, the data and the names. A tree
    entry holds the offset of its name and its flags, then for a folder (flag 2) the number and
    the index of its children, for a file its language and the offset of its data; version 2
    added a time stamp of 8 bytes. Data and names are prefixed by their length.
    """
    magic, version, tree, contents, names = struct.unpack_from(">4sIIII", data)
    if magic != b"qres":
        raise SystemExit("The first argument is no Qt binary resource file.")
    entry_size = 14 if version < 2 else 22

    def walk(index: int, path: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
        name_at, flags, first, second = struct.unpack_from(">IHII", data, tree + index * entry_size)
        if index:
            (length,) = struct.unpack_from(">H", data, names + name_at)
            start = names + name_at + 6  # the length is followed by a hash of 4 bytes
            path = (*path, data[start : start + 2 * length].decode("utf-16-be"))
        if flags & 2:
            for child in range(second, second + first):
                yield from walk(child, path)
            return
        (length,) = struct.unpack_from(">I", data, contents + second)
        body = data[contents + second + 4 :][:length]
        # zlib data is prefixed by its expanded length.
        yield "/".join(path), zlib.decompress(body[4:]) if flags & 1 else body

    return walk(0, ())


if __name__ == "__main__":
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    main(sys.argv[1:])
