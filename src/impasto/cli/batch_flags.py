"""Flags of ``paint`` that are for many pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["BATCH", "EachStyle", "FailFast", "Name", "OutDir", "SkipExisting", "StyleFlag"]

BATCH = "Batch"

OutDir = Annotated[
    Path | None,
    typer.Option(
        "--out-dir",
        metavar="DIR",
        help="Paint many pictures into this directory: CONTENT is a directory or a pattern in "
        "quotes ('photos/**/*.jpg').",
        show_default=False,
        rich_help_panel=BATCH,
    ),
]

Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="TEMPLATE",
        help="Names of the pictures, of {content}, {folder}, {style}, {number}, {size}, "
        "{iterations}, {seed} and {ext}. [default: {content}.png, or {content}-{style}.png with "
        "--each-style]",
        show_default=False,
        rich_help_panel=BATCH,
    ),
]

StyleFlag = Annotated[
    list[Path] | None,
    typer.Option(
        "--style",
        metavar="STYLE",
        help="A painting, or a directory or pattern of them; may be repeated. All that is named "
        "without a flag is then CONTENT: impasto paint a.jpg b.jpg --style wave.jpg --out-dir DIR.",
        show_default=False,
        rich_help_panel=BATCH,
    ),
]

EachStyle = Annotated[
    bool,
    typer.Option(
        "--each-style",
        help="Paint every photo in every style by itself, instead of in all of them blended.",
        rich_help_panel=BATCH,
    ),
]

SkipExisting = Annotated[
    bool,
    typer.Option(
        "--skip-existing",
        help="Leave pictures that are there, and go on from checkpoints: a batch that was "
        "stopped goes on where it was.",
        rich_help_panel=BATCH,
    ),
]

FailFast = Annotated[
    bool,
    typer.Option(
        "--fail-fast",
        help="Stop at the first picture that fails, instead of going on with the rest.",
        rich_help_panel=BATCH,
    ),
]
