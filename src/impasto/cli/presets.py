"""``impasto presets``: which presets there are, and one as a file to begin from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from impasto.cli.completion import complete_preset
from impasto.cli.grouped_help import GroupedHelp
from impasto.cli.messages import Debug, say

__all__ = ["presets"]

presets = typer.Typer(rich_markup_mode=None, epilog="`impasto presets show --help` has examples.")


@presets.callback(invoke_without_command=True)
def list_presets(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    debug: Debug = False,
) -> None:
    """List the presets, and what they change.

    A file NAME.toml in the directory of your presets, which the list ends with, is the preset NAME;
    any other is given by its path. Its lines are options: `style-weight = 5000`. With a line
    `extends = "nin"` it begins from another preset.
    """
    if context.invoked_subcommand is not None:
        return
    from impasto.engine.preset_files import preset_directory, preset_text
    from impasto.engine.presets import Preset, list_presets

    found = list(list_presets())
    usable = [each for each in found if isinstance(each, Preset)]
    if as_json:
        print(json.dumps([_entry(each.name, each.description, each.changes) for each in usable]))
    else:
        for each in usable:
            print(f"{each.name}: {each.description}" if each.description else each.name)
            for line in preset_text(each.changes).splitlines() or ["changes nothing"]:
                print(f"    {line}")
            print()
        print(f"Your presets: {preset_directory()}")
    for odd in found:
        if not isinstance(odd, Preset):
            say(f"warning: {odd}")


@presets.command(cls=GroupedHelp)
def show(
    preset: Annotated[
        str,
        typer.Argument(
            metavar="PRESET",
            show_default=False,
            help="A name of the list, or a file.",
            autocompletion=complete_preset,
        ),
    ],
    debug: Debug = False,
) -> None:
    """Print a preset as a file of its own, to save and change."""
    from impasto.engine.presets import find_preset

    print(find_preset(preset).text(), end="")


def _entry(name: str, description: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    plain = {
        option: value if isinstance(value, bool | int | float | str | None | tuple) else str(value)
        for option, value in changes.items()
    }
    return {"name": name, "description": description, "changes": plain}
