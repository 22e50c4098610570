"""Presets: sets of changed defaults, built in or in files, and the options they give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from impasto.engine.options import Options
from impasto.engine.preset_files import (
    is_path,
    preset_files,
    preset_text,
    read_preset,
)
from impasto.errors import OptionError, UnknownNameError, UsageError

__all__ = [
    "PRESETS",
    "Preset",
    "find_preset",
    "list_presets",
    "preset_names",
    "preset_options",
]

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "default": {},
        "neural-style": {
            "init": "noise",
            "iterations": 1000,
            "optimizer": "lbfgs-numpy",
            "first_step": "reference",
            "preconditioner": "none",
            "style_weight": 100.0,
            "history": 100,
            "pool_rounding": "reference",
        },
        "nin": {
            "model": "nin",
            "content_layers": ("relu0", "relu3", "relu7", "relu12"),
            "style_layers": ("relu0", "relu3", "relu7", "relu12"),
            "content_weight": 10.0,
            "style_weight": 1000.0,
            "init": "noise",
            "optimizer": "adam",
            "iterations": 1000,
        },
    }
)
"""Changed defaults of the built-in presets; docs/options.md says where each number comes from."""

_DESCRIPTIONS = {
    "default": "From the photo, in few evaluations",
    "neural-style": "jcjohnson/neural-style as closely as it is documented",
    "nin": "Little memory: the Network in Network, with Adam",
}

MOST_EXTENDED = 8
"""Presets that may build on each other."""


@dataclass(frozen=True)
class Preset:
    """A preset with all that it builds on.

    Parameters
    ----------
    name : str
        As it is given to ``--preset``.
    changes : mapping of str to value
        Changed defaults, by option name, checked.
    description : str
        One line for a person who chooses; may be empty.
    path : Path, optional
        Its file; None for a built-in one.
    """

    name: str
    changes: Mapping[str, Any]
    description: str
    path: Path | None

    def text(self) -> str:
        """Return a file of the same preset, which builds on no other."""
        return preset_text(self.changes, self.description)


def preset_names() -> list[str]:
    """Return every name of a preset, the built-in ones first.

    A user's file with the name of a built-in preset has none: a preset that is mentioned in a
    manual must be the same for everybody.
    """
    return [*PRESETS, *(name for name in preset_files() if name not in PRESETS)]


def list_presets() -> Iterator[Preset | UsageError]:
    """Yield every preset that has a name; for a file that cannot be used, what is wrong with it."""
    for name in preset_names():
        try:
            yield find_preset(name)
        except UsageError as error:
            yield error


def find_preset(preset: str) -> Preset:
    """Return a preset by its name, or by the path of its file.

    Parameters
    ----------
    preset : str
        A path has a separator in it, or ends in ``.toml``; anything else is a name.

    Raises
    ------
    UnknownNameError
        If there is no preset of that name, or a name in its file is no option's.
    OptionError
        If a file cannot be read, a value is out of range, or a preset builds on itself.
    """
    return _found(preset, ())


def preset_options(preset: str, changes: Mapping[str, Any]) -> Options:
    """Return the options of a preset with `changes` on top.

    Parameters
    ----------
    preset : str
        As for :func:`find_preset`.
    changes : mapping of str to value

    Raises
    ------
    UnknownNameError
        If there is no such preset.
    OptionError
        If a value is out of range, or the preset's file cannot be used.
    """
    return replace(Options(), **{**find_preset(preset).changes, **changes})


def _found(preset: str, above: tuple[str, ...]) -> Preset:
    """Return a preset that those of `above` build on."""
    if preset in PRESETS:
        return Preset(preset, PRESETS[preset], _DESCRIPTIONS[preset], None)
    path = Path(preset) if is_path(preset) else preset_files().get(preset)
    if path is None:
        raise UnknownNameError("preset", preset, preset_names())
    key = str(path.absolute())
    if key in above or len(above) == MOST_EXTENDED:
        raise OptionError(
            f"The preset {path} builds on itself, or on more than {MOST_EXTENDED} others: "
            f"{' extends '.join((*above, key))}."
        )
    told = read_preset(path)
    base = {} if told.extends is None else _found(told.extends, (*above, key)).changes
    changes = {**base, **told.changes}
    try:
        replace(Options(), **changes)
    except UsageError as error:
        raise OptionError(f"{path}: {error}") from None
    return Preset(preset, changes, told.description, path)
