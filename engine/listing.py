"""Which pictures are meant by files, directories and patterns; no picture is opened for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from impasto.engine.picture_files import PICTURE_SUFFIXES, list_pictures
from impasto.errors import ImageFileError

__all__ = ["is_many", "is_pattern", "pictures_named"]

_MAGIC = re.compile(r"[*?\[]")


def is_pattern(path: str | Path) -> bool:
    """Return whether `path` is a pattern and not the name of a file or directory there is.

    Patterns are those of `pathlib.Path.glob`: ``*``, ``?``, ``[...]``, and ``**`` for directories
    at any depth.
    """
    return _MAGIC.search(str(path)) is not None and not _exists(Path(path))


def is_many(path: str | Path) -> bool:
    """Return whether `path` stands for any number of pictures: a directory or a pattern."""
    return is_pattern(path) or Path(path).is_dir()


def pictures_named(
    named: Sequence[str | Path], leave_out: str | Path | None = None
) -> tuple[Path, ...]:
    """Return the picture files that `named` stands for, each once.

    Parameters
    ----------
    named : sequence of str or path
        Files, as they are; directories, for the pictures right in them
        (:func:`~impasto.engine.picture_files.list_pictures`); patterns, for the pictures that
        match: by suffix, sorted by name within each directory, hidden ones left out. ``**`` does
        not follow symbolic links to directories.
    leave_out : path, optional
        A directory whose pictures patterns do not find, unless it is where they look first:
        ``photos/**/*.jpg`` leaves out ``photos/painted``, where the results go.

    Returns
    -------
    tuple of Path
        In the order of `named`.

    Raises
    ------
    ImageFileError
        If a file is missing, or a directory or a pattern stands for no picture.
    """
    found: dict[str, Path] = {}
    for each in named:
        for path in _pictures(Path(each), None if leave_out is None else Path(leave_out)):
            found.setdefault(os.path.realpath(path), path)
    return tuple(found.values())


def _pictures(path: Path, leave_out: Path | None) -> Iterator[Path]:
    if is_pattern(path):
        yield from _matches(path, leave_out)
    elif path.is_dir():
        yield from list_pictures(path)
    elif _exists(path):
        yield path
    else:
        raise ImageFileError(f"{path}: there is no such file.")


def _matches(pattern: Path, leave_out: Path | None) -> list[Path]:
    base, rest = _split(pattern)
    inside = None
    if leave_out is not None:
        inside = Path(os.path.realpath(leave_out))
        if not inside.is_relative_to(os.path.realpath(base)) or inside == base.resolve():
            inside = None
    try:
        entries = sorted(path for path in base.glob(rest) if path.is_file())
    except (OSError, ValueError, NotImplementedError) as error:
        raise ImageFileError(f"{pattern} is no pattern that can be looked for ({error}).") from None
    pictures = [
        path
        for path in entries
        if path.suffix.lower() in PICTURE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(base).parts)
        and (inside is None or not Path(os.path.realpath(path)).is_relative_to(inside))
    ]
    if not pictures:
        others = f"; it matches {len(entries)} other files" if entries else ""
        raise ImageFileError(
            f"{pattern}: no picture matches this pattern{others}. Files are taken by suffix: "
            f"{' '.join(sorted(PICTURE_SUFFIXES))}."
        )
    return pictures


def _split(pattern: Path) -> tuple[Path, str]:
    """Return the directory a pattern begins in, and the rest of it."""
    base = Path(pattern.anchor)
    parts = pattern.parts[1:] if pattern.anchor else pattern.parts
    for number, part in enumerate(parts):
        # What is there under that very name is meant, be it "trip [2]".
        if _MAGIC.search(part) and not _exists(base / part):
            return base, "/".join(parts[number:])
        base /= part
    return base.parent, base.name


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or has a NUL in it
        return False
