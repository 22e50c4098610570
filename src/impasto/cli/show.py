"""``impasto show``: how a picture was made, from its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.messages import Debug, printable
from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from impasto.engine.provenance import Provenance

__all__ = ["show"]


def show(
    picture: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="A picture.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with all settings.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Show how a picture was made: the settings and versions in its file.

    The last line is the command that paints it again, with files by their names. --no-metadata
    leaves all of this out of a picture; .bmp files have no place for it.
    """
    from impasto.engine.provenance import read_provenance

    found = read_provenance(picture)
    if not found.settings:
        by = f"; it was made by {printable(found.software)}" if found.software else ""
        raise ImpastoError(
            f"{picture} tells nothing of how it was painted{by}. Impasto writes it into "
            ".png, .jpg, .webp, .avif and .tif files, unless it is told --no-metadata; other "
            "programs often leave it out when they save."
        )
    print(json.dumps(_told(picture, found)) if as_json else _described(picture, found), flush=True)


def _told(picture: Path, found: Provenance) -> dict[str, Any]:
    height, width = found.size
    command = found.command(picture.name)
    return {
        "file": str(picture),
        "format": found.format,
        "size": [width, height],
        **found.settings,
        "command": None if command is None else list(command),
    }


def _described(picture: Path, found: Provenance) -> str:
    from impasto.engine.reproduction import shell_text

    told, (height, width) = found.settings, found.size
    lines = [f"{picture}: {found.format}, {width}x{height} pixels, {found.software}"]
    for name in ("content", "styles", "model", "backend", "precision", "iterations", "loss"):
        value = told.get(name)
        if value not in (None, []):
            lines.append(f"{name:<10}  {_text(value)}")
    versions = told.get("versions")
    if isinstance(versions, dict):
        lines.append(f"{'versions':<10}  {', '.join(f'{k} {v}' for k, v in versions.items())}")
    command = found.command(picture.name)
    if command is not None:
        lines.append(shell_text(command))
    elif "options" in told:
        lines.append(f"{'options':<10}  {json.dumps(told['options'])}")
    return "\n".join(map(printable, lines))


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
