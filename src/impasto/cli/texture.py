"""``impasto texture``: the style of paintings, without a photo."""

from __future__ import annotations

import contextlib
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.cli.arguments import Preset, Styles, pictures_and_options
from impasto.cli.flags import options_from, with_option_flags
from impasto.cli.interruption import Interruption
from impasto.cli.messages import Debug
from impasto.cli.output_flags import AsJson, Overwrite
from impasto.cli.plan import print_plan
from impasto.cli.preview import PreviewChoice
from impasto.cli.running import other_inputs, print_result
from impasto.cli.session import check_outputs, painted
from impasto.cli.shown import Animate, AnimateSize, Report, Shown, Wanted
from impasto.engine.options import CONTENT_FREE, CONTENT_INITS, LOOK, OUTPUT, SEARCH, Options
from impasto.errors import OptionError, OutputPathError

__all__ = ["texture"]

_OWN = ("size", "init")
"""Options that have a flag of another meaning here."""

_OPTIONS = [item.name for item in fields(Options) if item.name not in (*_OWN, *CONTENT_FREE)]


@with_option_flags(_OPTIONS)
def texture(
    styles: Styles,
    output: Annotated[
        Path | None,
        typer.Option(
            *("-o", "--output", "--output-image"),
            metavar="FILE",
            help="Picture to write: .png, .jpg, .webp, .avif, .tif or .bmp.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            *("--size", "--image-size"),
            metavar="WxH",
            help="Width and height in pixels; one number is a square. [default: 512]",
            show_default=False,
            rich_help_panel=LOOK,
        ),
    ] = "512",
    init: Annotated[
        str,
        typer.Option(
            *("--init", "--init-image"),
            metavar="NAME",
            help="First image: noise, or a picture file. [default: noise]",
            show_default=False,
            rich_help_panel=SEARCH,
        ),
    ] = "noise",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    report: Report = None,
    animate: Animate = None,
    animate_size: AnimateSize = 480,
    preview: PreviewChoice = "auto",
    only_plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Predict memory and time, as `impasto plan` does, and make nothing.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    preset: Preset = "default",
    debug: Debug = False,
    **given: Any,
) -> None:
    """Make a texture: a picture of any size with a style and no content.

    What is large in it follows --style-scale: 0.5 makes everything half as large. Progress is shown
    on standard error. The last line on standard output is the path of the picture. Ctrl-C saves the
    best picture so far, and `impasto resume` goes on from a checkpoint.
    """
    from impasto.engine.canvas import canvas_of, parsed_size
    from impasto.engine.network import check_layers
    from impasto.engine.texture import texture_options

    if init in CONTENT_INITS:
        raise OptionError(
            f"--init is {init!r}, but a texture has no content picture; give noise or a picture "
            "file."
        )
    canvas = canvas_of(parsed_size(size))
    # A preset's layers for a content have nothing to say here.
    nothing = {"content_layers": "", "content_weight": "0", "init": init}
    options = texture_options(options_from(preset, {**given, **nothing}), canvas)
    check_layers(options)
    pictures, options = pictures_and_options(styles, options)
    if only_plan:
        from impasto.engine.preparation import plan_pictures

        print_plan(plan_pictures(canvas, pictures, options), as_json)
        return
    if output is None:
        raise OutputPathError("No output is given; say where the picture goes with -o FILE.")
    inputs = [*pictures, *other_inputs(options)]
    check_outputs(output, overwrite, inputs, options)
    shown = Shown(Wanted(report, animate, animate_size, preview))
    shown.check(output, overwrite, inputs)
    with Interruption() as interruption, contextlib.ExitStack() as stack:
        result = painted(canvas, pictures, options, output, overwrite, interruption, stack, shown)
        shown.finish(result, canvas, pictures, output)
    print_result(output, result, as_json, shown.files)
    if interruption.signal is not None:
        raise typer.Exit(interruption.exit_code)
    shown.exit_if_failed()
