"""Names of a batch's pictures, made from a template such as ``{content}-{style}.png``.

What a template is filled with comes from file names, that is from outside. So a name that is made
is one that is a plain file name on every system, and the template itself is no format string of
Python's, which could reach into objects.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from impasto.engine.options import Options
from impasto.engine.output_formats import OUTPUT_SUFFIXES
from impasto.errors import OptionError, OutputPathError

__all__ = ["FIELDS", "NAME", "NAME_OF_EACH", "NameTemplate", "collisions"]

NAME = "{content}.png"
NAME_OF_EACH = "{content}-{style}.png"
"""Templates of a batch in one style, and of one in each of several."""

FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "content": "the photo's file name without its suffix",
        "folder": "the name of the directory the photo is in",
        "style": "the painting's file name without its suffix; of several, joined by +",
        "number": "number of the picture in the batch, from 1; {number:03} has leading zeros",
        "size": "--size",
        "iterations": "--iterations",
        "seed": "--seed, which must be given then",
        "ext": "the photo's suffix if pictures can be written so, otherwise png",
    }
)
"""What a template may hold, and what it stands for."""

LONGEST = 200
"""Bytes of a name: file systems take 255, and a checkpoint's name is longer."""

_NUMBERS = ("number", "size", "iterations", "seed")
_WIDTH = re.compile(r"0?[1-9]?")
_UNSAFE = re.compile(r'[/\\:*?"<>|]')
_RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE)
"""Devices on Windows, whatever suffix they have."""


@dataclass(frozen=True)
class NameTemplate:
    """A template of file names.

    Parameters
    ----------
    text : str
        Plain text and fields in braces, of :data:`FIELDS`; ``{{`` and ``}}`` are braces.

    Raises
    ------
    OptionError
        If it holds something else, or names of it could not be plain file names.
    """

    text: str

    def __post_init__(self) -> None:
        try:
            pieces = list(string.Formatter().parse(self.text))
        except ValueError as error:
            raise OptionError(f"--name is {self.text!r}: {error}. {_allowed()}") from None
        for literal, field, width, conversion in pieces:
            if literal != _plain(literal):
                raise OptionError(
                    f"--name is {self.text!r}; it is the name of a file in --out-dir, and has no "
                    'directories, nor any of / \\ : * ? " < > | or control characters.'
                )
            if field is None:
                continue
            if field not in FIELDS or conversion:
                raise OptionError(f"--name is {self.text!r}: no field {{{field}}}. {_allowed()}")
            if width and not (field in _NUMBERS and _WIDTH.fullmatch(width)):
                raise OptionError(
                    f"--name is {self.text!r}: only {', '.join(_NUMBERS)} take a width, such as "
                    "{number:03}."
                )

    @property
    def fields(self) -> frozenset[str]:
        """The fields there are in it."""
        return frozenset(field for _, field, _, _ in string.Formatter().parse(self.text) if field)

    def name(self, number: int, content: Path, styles: Sequence[Path], options: Options) -> str:
        """Return the file name of a picture.

        Characters that are in no plain file name everywhere (separators, those Windows reserves,
        control characters) become ``_`` where they come from a photo's or a painting's name; so
        does what Windows would take for a device.

        Raises
        ------
        OutputPathError
            If it is too long, or has no suffix of an output.
        """
        suffix = content.suffix.lower()
        values: dict[str, str | int] = {
            "content": _plain(content.stem),
            "folder": _plain(content.absolute().parent.name),
            "style": _plain(_joined(styles)),
            "number": number,
            "size": options.size,
            "iterations": options.iterations,
            "seed": options.seed,
            "ext": (suffix if suffix in OUTPUT_SUFFIXES else ".png")[1:],
        }
        name = self.text.format_map(values)
        if _RESERVED.fullmatch(name):
            name = f"_{name}"
        if Path(name).suffix.lower() not in OUTPUT_SUFFIXES:
            raise OutputPathError(
                f"--name {self.text!r} makes {name!r}, which does not end in one of "
                f"{' '.join(OUTPUT_SUFFIXES)}."
            )
        if len(name.encode()) > LONGEST:
            raise OutputPathError(
                f"--name {self.text!r} makes a name of more than {LONGEST} bytes for {content}: "
                f"{name[:60]!r}... {{number}} is shorter."
            )
        return name


def collisions(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names that are one and the same on some file system, in groups of two or more.

    File systems of Windows and macOS do not tell upper from lower case, nor a letter with an
    accent from a letter and an accent.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
        groups.setdefault(folded, []).append(name)
    return {key: group for key, group in groups.items() if len(group) > 1}


def _joined(styles: Sequence[Path]) -> str:
    stems = [style.stem for style in styles]
    return "+".join(stems) if len(stems) <= 3 else f"{stems[0]}+{len(stems) - 1}"


def _plain(text: str) -> str:
    """Return `text` without what no plain file name has everywhere."""
    found = _UNSAFE.sub("_", text)
    odd = ("Cc", "Cs", "Zl", "Zp")  # control characters, bytes that are no text, line ends
    return "".join("_" if unicodedata.category(char) in odd else char for char in found)


def _allowed() -> str:
    return f"Fields are {', '.join(f'{{{field}}}' for field in FIELDS)}."
