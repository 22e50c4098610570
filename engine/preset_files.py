"""Presets in TOML files: read as untrusted, and written.

A file holds option names with their values, dashes or underscores as one likes::

    description = "Loud strokes"
    extends = "nin"                 # optional: a preset to begin from, by name or by file
    style-weight = 5000
    style-layers = ["relu0", "relu3"]
    weights = "nin.caffemodel"      # relative to this file

It changes how a picture looks or is computed, and cannot say where files are written.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from impasto.engine.options import INITS, Options, current_names
from impasto.errors import OptionError, UnknownNameError

__all__ = [
    "PresetFile",
    "is_path",
    "preset_directory",
    "preset_files",
    "preset_text",
    "read_preset",
]

LIMIT = 64 * 2**10
"""Most bytes of a file; one with every option has less than 3000."""

SUFFIX = ".toml"
_NAMES = tuple(item.name for item in fields(Options))
_FILES: Mapping[str, tuple[str, ...]] = {"weights": (), "init": INITS}
"""Options that name files that are read, with their values that do not."""

_RESERVED = ("auto", "off")
"""What a preset may say of `checkpoint`, which is otherwise a directory to write to."""


@dataclass(frozen=True)
class PresetFile:
    """What a preset's file says.

    Parameters
    ----------
    path : Path
    changes : mapping of str to value
        Options' values by name, as :class:`~impasto.engine.options.Options` takes them; paths are
        absolute. They are not checked yet.
    extends : str, optional
        Preset to begin from: a name, or an absolute path.
    description : str
        For a person who chooses; empty if there is none.
    """

    path: Path
    changes: Mapping[str, Any]
    extends: str | None
    description: str


def is_path(preset: str) -> bool:
    """Return whether a preset is given by its file rather than by name."""
    return preset.endswith(SUFFIX) or any(each in preset for each in (os.sep, os.altsep) if each)


def preset_directory() -> Path:
    """Return the directory of the user's presets, which need not exist.

    It is ``presets`` in the directory named by the environment variable ``IMPASTO_CONFIG``, or
    else in the user's configuration directory (on Linux ``~/.config/impasto``).
    """
    from platformdirs import user_config_path

    root = os.environ.get("IMPASTO_CONFIG")
    return (Path(root).expanduser() if root else user_config_path("impasto")) / "presets"


def preset_files() -> dict[str, Path]:
    """Return the user's presets: files by name, sorted."""
    try:
        found = sorted(preset_directory().iterdir())
    except OSError:
        return {}
    return {
        path.stem: path
        for path in found
        if path.suffix == SUFFIX and not path.name.startswith(".") and path.is_file()
    }


def read_preset(path: Path) -> PresetFile:
    """Read a preset's file.

    Raises
    ------
    OptionError
        If it is missing, no regular file, too large, no TOML, or says what a preset cannot.
    UnknownNameError
        If it has a name that is no option's.
    """
    told = _parsed(path)
    extends, description = (told.pop(key, None) for key in ("extends", "description"))
    for key, text in (("extends", extends), ("description", description)):
        if not isinstance(text, str | None):
            raise OptionError(f"{path}: {key} is {text!r:.60}; it takes a text.")
    changes: dict[str, Any] = {}
    for key, value in told.items():
        name = key.replace("-", "_")
        if name in changes:
            raise OptionError(f"{path} has {name} twice, with dashes and with underscores.")
        changes[name] = value
    changes = current_names(changes)
    for name, value in changes.items():
        if name not in _NAMES:
            raise UnknownNameError(f"option in {path}:", name, _NAMES)
        changes[name] = _value(path, name, value)
    if extends is not None and is_path(extends):
        extends = str(_absolute(path, extends))
    return PresetFile(path, changes, extends, description or "")


def preset_text(changes: Mapping[str, Any], description: str = "") -> str:
    """Return a preset's file that makes `changes` to the defaults.

    Parameters
    ----------
    changes : mapping of str to value
        As in :class:`PresetFile`.
    description : str
        Left out if empty.
    """
    lines = [f"description = {_toml(description)}"] if description else []
    lines += [
        f"{name.replace('_', '-')} = {_toml(value)}"
        for name, value in changes.items()
        if value is not None  # TOML has no word for it, and no default is anything else
    ]
    return "".join(f"{line}\n" for line in lines)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        if path.is_dir() or (path.exists() and not path.is_file()):
            raise OptionError(f"{path} is no regular file; a preset in TOML was expected.")
        with path.open("rb") as file:
            content = file.read(LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"The preset {path} cannot be read: {reason}.") from None
    if len(content) > LIMIT:
        raise OptionError(f"{path} has more than {LIMIT} bytes; no preset is that long.")
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise OptionError(
            f"{path} is no preset in TOML ({reason}). `impasto presets show default` and the names "
            "in docs/options.md show what one looks like."
        ) from None


def _value(path: Path, name: str, value: Any) -> Any:
    """Return the value of an option as `Options` takes it."""
    if isinstance(value, list):
        return tuple(value)
    if name == "checkpoint" and value not in _RESERVED:
        raise OptionError(
            f"{path}: a preset cannot say where checkpoints are written; give --checkpoint beside "
            f"it. In a preset it takes {' or '.join(_RESERVED)}."
        )
    if name in _FILES and isinstance(value, str) and value and value not in _FILES[name]:
        found = _absolute(path, value)
        return str(found) if name == "init" else found
    return value


def _absolute(path: Path, value: str) -> Path:
    """Return a path that is written in the file at `path`, and relative to it."""
    try:
        return (path.absolute().parent / Path(value).expanduser()).absolute()
    except RuntimeError:  # ~ of nobody
        return (path.absolute().parent / value).absolute()


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = repr(value)
        return text if any(each in text for each in ".e") else f"{text}.0"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    # JSON's strings are TOML's, but for the one control character that JSON leaves alone.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
