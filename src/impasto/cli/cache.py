"""``impasto cache``: what is kept from run to run, and removing it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from impasto.cli.messages import Debug
from impasto.engine.amounts import memory_text

__all__ = ["cache"]


def cache(
    empty: Annotated[
        bool, typer.Option("--clear", help="Remove all of it. Fetched weights stay.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Debug = False,
) -> None:
    """Show what is kept from run to run to save time, or remove it.

    A style's targets are kept by the content of the picture, so that the next picture in the same
    style need not compute them again; those not used for longest go when there are more than
    256 MB.
    """
    from impasto.engine.cache import KINDS, clear, kept

    if empty:
        clear()
    found = kept()
    if as_json:
        print(
            json.dumps(
                {
                    each.kind: {
                        "directory": str(each.directory),
                        "files": each.files,
                        "bytes": each.size,
                    }
                    for each in found
                }
            )
        )
        return
    for each in found:
        print(f"{each.kind:<9} {each.files:>5} files {memory_text(each.size):>8}  {each.directory}")
        print(f"          {KINDS[each.kind]}")
