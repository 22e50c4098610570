"""``impasto models`` and ``impasto fetch``: which networks there are, and their weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.completion import complete_model
from impasto.cli.messages import Debug, say
from impasto.cli.progress import download_progress

if TYPE_CHECKING:
    from rich.table import Table

    from impasto.models import ModelSpec

__all__ = ["fetch", "models"]


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    debug: Debug = False,
) -> None:
    """List the models, their layers, and where their weights come from."""
    from impasto.models import list_models

    specs = list_models()
    if as_json:
        print(json.dumps([_entry(spec) for spec in specs]))
        return
    _print_tables(specs)


def fetch(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            show_default=False,
            help="See `impasto models`.",
            autocompletion=complete_model,
        ),
    ],
    debug: Debug = False,
) -> None:
    """Fetch a model's weights into the cache, and check them.

    The last line on standard output is the file's path. A cut download goes on where it ended.
    """
    from impasto.models import model_spec
    from impasto.models.weights.download import fetch as fetch_weights

    spec = model_spec(model)
    if spec.embedded:
        say(f"{spec.name} is part of Impasto; there is nothing to fetch.")
        return
    say(f"{spec.name}: {spec.origin}. Licence: {spec.licence}.")
    with download_progress(spec.filename) as progress:
        path = fetch_weights(spec, progress=progress)
    print(path)


def _weights_file(spec: ModelSpec) -> Path | None:
    """Return the fetched file of `spec`, if it is there."""
    from impasto.models.weights.cache import cached_file

    path = cached_file(spec)
    return path if path.is_file() else None


def _entry(spec: ModelSpec) -> dict[str, Any]:
    path = _weights_file(spec)
    return {
        "name": spec.name,
        "architecture": spec.architecture.name,
        "layers": list(spec.architecture.layer_names),
        "licence": spec.licence,
        "origin": spec.origin,
        "urls": list(spec.urls),
        "size_bytes": spec.size_bytes,
        "embedded": spec.embedded,
        "present": spec.embedded or path is not None,
        "path": None if path is None else str(path),
        "notes": spec.notes,
    }


def _print_tables(specs: Sequence[ModelSpec]) -> None:
    from rich.console import Console

    architectures = {spec.architecture.name: spec.architecture for spec in specs}.values()
    tables = (
        _table(
            ("Model", "Network", "Weights", "Licence"),
            [(spec.name, spec.architecture.name, _state(spec), spec.licence) for spec in specs],
        ),
        _table(
            ("Model", "Where its weights come from"),
            [(spec.name, spec.origin) for spec in specs],
        ),
        _table(
            ("Network", "Layers"),
            [(each.name, " ".join(each.layer_names)) for each in architectures],
        ),
    )
    console = Console(highlight=False)
    for number, table in enumerate(tables):
        if number:
            console.print()
        console.print(table)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        # Names and commands are for copying: they are never cut in two.
        table.add_column(heading, no_wrap=heading in ("Model", "Network", "Weights"))
    for row in rows:
        table.add_row(*row)
    return table


def _state(spec: ModelSpec) -> str:
    if spec.embedded:
        return "part of Impasto"
    return f"impasto fetch {spec.name}" if _weights_file(spec) is None else "fetched"
