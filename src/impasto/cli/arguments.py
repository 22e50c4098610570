"""What ``paint`` and ``plan`` are given besides options: pictures and a preset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.cli.completion import complete_preset
from impasto.engine.options import LOOK, Options

__all__ = ["Content", "OptionalStyles", "Preset", "Styles", "paintings", "pictures_and_options"]

Content = Annotated[
    Path, typer.Argument(metavar="CONTENT", show_default=False, help="The photo to paint.")
]

_STYLES: Any = typer.Argument(
    metavar="STYLE",
    show_default=False,
    help="Paintings to take the style from; a directory stands for all pictures in it.",
)

Styles = Annotated[list[Path], _STYLES]

OptionalStyles = Annotated[list[Path] | None, _STYLES]

Preset = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Changed defaults, by name or from a .toml file: see `impasto presets`. Flags given "
        "beside it win. [default: default]",
        show_default=False,
        autocompletion=complete_preset,
        rich_help_panel=LOOK,
    ),
]


def pictures_and_options(styles: Sequence[Path], options: Options) -> tuple[list[Path], Options]:
    """Return the style pictures, those of directories included, and the options for them.

    What `options` say once for each of `styles` holds for every picture of a directory.
    """
    from impasto.engine.mixture import spread

    groups = [list(paintings([style])) for style in styles]
    return [each for group in groups for each in group], spread(options, list(map(len, groups)))


def paintings(styles: Sequence[Path]) -> Iterator[Path]:
    """Yield the style pictures, those of directories and patterns included."""
    from impasto.engine.listing import is_many, pictures_named

    for style in styles:
        if is_many(style):
            yield from pictures_named([style])
        else:
            yield style
