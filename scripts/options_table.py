"""Write the tables of docs/options.md between their markers, from engine/options.py.

Run `python scripts/options_table.py` after changing an option; a test compares the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from impasto.engine.options import Options, flags
from impasto.engine.presets import PRESETS
from impasto.engine.video.options import VideoOptions

PAGE = Path(__file__).parents[1] / "docs" / "options.md"


def shown(value: Any) -> str:
    """Return a default as one would type it."""
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "(none)"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "(none)" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def options_table() -> str:
    """Return every option, grouped as in ``impasto paint --help``."""
    return _table(Options, flags)


def video_table() -> str:
    """Return every option that only ``impasto video`` has."""
    return _table(VideoOptions, lambda name: ("--" + name.replace("_", "-"),))


def _table(options: type[Any], flags_of: Callable[[str], tuple[str, ...]]) -> str:
    groups: dict[str, list[str]] = {}
    for item in fields(options):
        names = ", ".join(f"`{flag}`" for flag in flags_of(item.name))
        short = "".join(
            f" `--{flag}` is short for `{flags_of(item.name)[0]} {value}`."
            for flag, value in item.metadata["short_for"].items()
        )
        choices = " One of " + ", ".join(f"`{c}`" for c in item.metadata["choices"]) + "."
        text = item.metadata["help"] + (choices if item.metadata["choices"] else "") + short
        row = f"| {names} | `{shown(item.default)}` | {text} |"
        groups.setdefault(item.metadata["group"], []).append(row)
    head = "| option | default | meaning |\n| --- | --- | --- |\n"
    return "\n\n".join(f"### {group}\n\n{head}" + "\n".join(rows) for group, rows in groups.items())


def presets_table() -> str:
    """Return what each preset changes."""
    rows = [
        f"| `{name}` | " + ("nothing" if not changes else " ".join(_changes(changes))) + " |"
        for name, changes in PRESETS.items()
    ]
    return "| preset | changes |\n| --- | --- |\n" + "\n".join(rows)


def _changes(changes: Any) -> list[str]:
    return [f"`{flags(name)[0]} {shown(value)}`" for name, value in changes.items()]


def filled(page: str) -> str:
    """Return `page` with the text between its markers replaced."""
    tables = {"options": options_table(), "video": video_table(), "presets": presets_table()}
    for name, table in tables.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        before, rest = page.split(begin)
        page = f"{before}{begin}\n\n{table}\n\n{end}{rest.split(end)[1]}"
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
