"""``impasto paint``: a photo in the style of paintings."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.cli.arguments import Content, Preset, Styles, paintings
from impasto.cli.flags import options_from, with_option_flags
from impasto.cli.interruption import Interruption
from impasto.cli.messages import Debug
from impasto.cli.preview import PreviewChoice
from impasto.cli.running import other_inputs, print_result
from impasto.cli.session import check_outputs, painted
from impasto.cli.shown import Animate, AnimateSize, Report, Shown, Wanted
from impasto.engine.options import OUTPUT

__all__ = ["paint"]


@with_option_flags()
def paint(
    content: Content,
    styles: Styles,
    output: Annotated[
        Path,
        typer.Option(
            *("-o", "--output", "--output-image"),
            metavar="FILE",
            help="Picture to write: .png, .jpg, .webp, .avif, .tif or .bmp.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing files.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object with the run's numbers instead of the path.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    report: Report = None,
    animate: Animate = None,
    animate_size: AnimateSize = 480,
    preview: PreviewChoice = "auto",
    preset: Preset = "default",
    debug: Debug = False,
    **given: Any,
) -> None:
    """Paint a photo in the style of one or more paintings.

    Progress is shown on standard error. The last line on standard output is the path of the
    picture. Ctrl-C saves the best picture so far.
    """
    options = options_from(preset, given)
    from impasto.engine.network import check_layers

    check_layers(options)
    pictures = list(paintings(styles))
    inputs = [content, *pictures, *other_inputs(options)]
    check_outputs(output, overwrite, inputs, options)
    shown = Shown(Wanted(report, animate, animate_size, preview))
    shown.check(output, overwrite, inputs)
    with Interruption() as interruption, contextlib.ExitStack() as stack:
        result = painted(content, pictures, options, output, overwrite, interruption, stack, shown)
        shown.finish(result, content, pictures, output)
    print_result(output, result, as_json, shown.files)
    if interruption.signal is not None:
        raise typer.Exit(interruption.exit_code)
    shown.exit_if_failed()
