"""The command that paints a picture again: what reports and pictures say of their making."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from impasto.engine.canvas import Canvas
from impasto.engine.options import CONTENT_FREE, INITS, Options, flags, is_repeated

__all__ = ["changed_options", "command_line", "flag_text", "shell_text"]


_OF_TEXTURES = ("size", "init", *CONTENT_FREE)
"""Options that say something else for ``impasto texture``, or nothing."""


def command_line(
    subject: str | os.PathLike[str] | Canvas,
    styles: Sequence[str | os.PathLike[str]],
    options: Options,
    output: str | os.PathLike[str],
) -> tuple[str, ...]:
    """Return the arguments of the command that paints with these options.

    Every option that differs from its default is named, and no preset: so the command stays right
    when a preset changes.

    Parameters
    ----------
    subject : path or Canvas
        The content picture, or the canvas of a texture.
    styles : sequence of path
        Files, or what stands for them.
    options : Options
        Those of `StylizeResult.options`: with the seed that was drawn.
    output : path

    Returns
    -------
    tuple of str
        ``impasto``, ``paint`` or ``texture``, the pictures and the flags; :func:`shell_text`
        quotes them.
    """
    names = changed_options(options)
    if isinstance(subject, Canvas):
        names = tuple(name for name in names if name not in _OF_TEXTURES)
        pictures = ["texture", *map(_as_path, styles)]
        given = ["--size", f"{subject.width}x{subject.height}"]
        if options.init not in INITS:
            given += ["--init", _as_path(options.init)]
    else:
        pictures = ["paint", _as_path(subject), *map(_as_path, styles)]
        given = []
    for name in names:
        given += _flag(options, name)
    return ("impasto", *pictures, "-o", _as_path(output), *given)


def shell_text(arguments: Sequence[str]) -> str:
    """Return arguments as one line for a POSIX shell, quoted where it is needed."""
    return shlex.join(arguments)


def changed_options(options: Options) -> tuple[str, ...]:
    """Return the names of the options that differ from their defaults, in their order."""
    return tuple(
        item.name for item in fields(options) if getattr(options, item.name) != item.default
    )


def flag_text(value: Any) -> str:
    """Return an option's value as it is typed, so exact that it reads back equal."""
    if isinstance(value, list | tuple):
        return ",".join(map(flag_text, value))
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return "" if value is None else str(value)


def _flag(options: Options, name: str) -> tuple[str, ...]:
    value, flag = getattr(options, name), flags(name)[0]
    if is_repeated(name):
        return tuple(part for entry in value for part in (flag, entry))
    return (flag,) if value is True else (flag, flag_text(value))


def _as_path(path: str | os.PathLike[str]) -> str:
    """Return a path that cannot be taken for a flag."""
    text = os.fspath(path)
    return f"./{text}" if text.startswith("-") else text
