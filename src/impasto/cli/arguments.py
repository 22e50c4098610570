"""What ``paint`` and ``plan`` are given besides options: pictures and a preset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from impasto.engine.options import LOOK, PRESETS

__all__ = ["Content", "Preset", "Styles", "paintings"]

Content = Annotated[
    Path, typer.Argument(metavar="CONTENT", show_default=False, help="The photo to paint.")
]

Styles = Annotated[
    list[Path],
    typer.Argument(
        metavar="STYLE",
        show_default=False,
        help="Paintings to take the style from; a directory stands for all pictures in it.",
    ),
]

Preset = Annotated[
    str,
    typer.Option(
        metavar="|".join(PRESETS),
        help="Changed defaults; flags given beside it win. [default: default]",
        show_default=False,
        rich_help_panel=LOOK,
    ),
]


def paintings(styles: Sequence[Path]) -> Iterator[Path]:
    """Yield the style pictures, those of directories included."""
    from impasto.engine.images import list_pictures

    for style in styles:
        if style.is_dir():
            yield from list_pictures(style)
        else:
            yield style
