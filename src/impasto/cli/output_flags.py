"""Flags of every command that writes a picture: whether over another, and what is printed."""

from __future__ import annotations

from typing import Annotated

import typer

from impasto.engine.options import OUTPUT

__all__ = ["AsJson", "Overwrite"]

Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace existing files.", rich_help_panel=OUTPUT)
]

AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object with the run's numbers instead of the path.",
        rich_help_panel=OUTPUT,
    ),
]
