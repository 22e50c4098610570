"""``impasto sweep``: a contact sheet over one or two options."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.arguments import Content, Preset, Styles, paintings
from impasto.cli.flags import options_from, values_of, with_option_flags
from impasto.cli.interruption import Interruption
from impasto.cli.messages import Debug, say
from impasto.cli.output_flags import Overwrite
from impasto.cli.progress import painting_progress
from impasto.cli.running import other_inputs
from impasto.engine.options import LOOK, OUTPUT, SEARCH, TEXTURE_ONLY, Options, flags
from impasto.errors import OptionError, OutputPathError, UnknownNameError

if TYPE_CHECKING:
    from impasto.engine.result import Iterate
    from impasto.engine.sweep import Axis, Cell

__all__ = ["sweep"]

SIZE, ITERATIONS = "256", "80"
"""Of each run, unless it is told otherwise: enough to see where it goes."""

_OWN = ("size", "iterations", "checkpoint", "save_every")
"""Options with another default here, or none at all."""

_OPTIONS = [item.name for item in fields(Options) if item.name not in (*_OWN, *TEXTURE_ONLY)]


@with_option_flags(_OPTIONS)
def sweep(
    content: Content,
    styles: Styles,
    output: Annotated[
        Path,
        typer.Option(
            *("-o", "--output"),
            metavar="FILE",
            help="Sheet to write: .png, .jpg, .webp, .avif, .tif or .bmp.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ],
    over: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=V,V,...",
            help="Option and the values to try; twice for a grid, whose rows are the first. Lists "
            "are separated by semicolons: style_layers=relu1_1,relu2_1;relu4_1.",
            show_default=False,
        ),
    ],
    size: Annotated[
        str,
        typer.Option(
            *flags("size"),
            metavar="N",
            help=f"Longest side of each picture in pixels. [default: {SIZE}]",
            show_default=False,
            rich_help_panel=LOOK,
        ),
    ] = SIZE,
    iterations: Annotated[
        str,
        typer.Option(
            *flags("iterations"),
            metavar="N",
            help=f"Optimizer steps for each picture. [default: {ITERATIONS}]",
            show_default=False,
            rich_help_panel=SEARCH,
        ),
    ] = ITERATIONS,
    cells: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also save every picture in this new folder.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object with every run's numbers instead of the path.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    preset: Preset = "default",
    debug: Debug = False,
    **given: Any,
) -> None:
    """Paint small pictures with different options side by side, to choose by eye.

    Each is 256 pixels long and painted in 80 iterations, unless --size and --iterations say
    otherwise. Below each stands its final loss, which cannot be compared between weights, layers
    or sizes. A run that fails is shown as failed. Ctrl-C draws the sheet with what there is.
    """
    from impasto.engine.sweep import check_axes, sweep_iterations

    axes = [_axis(text) for text in over]
    check_axes(axes)
    own = {"size": size, "iterations": iterations, "checkpoint": "off"}
    options = options_from(preset, {**given, **own})
    pictures = list(paintings(styles))
    _check(output, overwrite, [content, *pictures, *other_inputs(options)], cells)
    total = sweep_iterations(options, axes)
    done: list[tuple[Cell, Path | None]] = []
    with Interruption() as interruption, contextlib.ExitStack() as stack:
        reporter = stack.enter_context(painting_progress(max(1, total), options.print_every))
        say(f"{_count(axes)} pictures, {total} iterations in all.")

        def on_step(iterate: Iterate) -> bool:
            interruption.defer()
            reporter(iterate)
            return interruption.signal is None

        try:
            _paint(content, pictures, options, axes, on_step, cells, done)
        except KeyboardInterrupt:
            if not done:
                say("interrupted before the first picture was done; nothing was saved.")
                raise typer.Exit(interruption.exit_code) from None
        interruption.hold()
        _draw([cell for cell, _ in done], axes, options, output)
    print(_report(output, axes, done) if as_json else output, flush=True)
    if interruption.signal is not None:
        raise typer.Exit(interruption.exit_code)
    if all(cell.result is None for cell, _ in done):
        raise typer.Exit(1)


def _paint(
    content: Path,
    pictures: Sequence[Path],
    options: Options,
    axes: Sequence[Axis],
    on_step: Callable[[Iterate], bool],
    folder: Path | None,
    done: list[tuple[Cell, Path | None]],
) -> None:
    """Paint the cells one after the other, saving each at once if there is a folder."""
    from impasto.engine.saving import save_result
    from impasto.engine.sweep import sweep as runs

    for number, cell in enumerate(runs(content, pictures, options, axes, callback=on_step), 1):
        told = ", ".join(f"{name} {_text(value)}" for name, value in cell.values.items())
        path = None
        if cell.result is None:
            say(f"warning: {told} failed: {cell.error}")
        elif folder is not None:
            path = folder / f"{number:03}.png"
            save_result(cell.result, path)
        done.append((cell, path))


def _draw(cells: Sequence[Cell], axes: Sequence[Axis], options: Options, output: Path) -> None:
    from impasto.engine.contact_sheet import contact_sheet
    from impasto.engine.images import save_image
    from impasto.engine.provenance import metadata_of

    metadata = None if options.no_metadata else metadata_of(options)
    save_image(contact_sheet(cells, axes), output, metadata=metadata, quality=options.quality)


def _axis(text: str) -> Axis:
    """Read ``NAME=V,V,...``; the values of lists are separated by semicolons."""
    from impasto.engine.sweep import SWEPT, Axis

    name, equals, values = text.partition("=")
    names = [item.name for item in fields(Options)]
    known = {flag[2:].replace("-", "_"): each for each in names for flag in flags(each)}
    key = name.strip().removeprefix("--").replace("-", "_")
    if not equals:
        raise OptionError(f"--over is {text!r}; it takes an option and values: NAME=V,V,...")
    if key not in known:
        raise UnknownNameError("option", key, SWEPT)
    return Axis(known[key], values_of(known[key], values))


def _check(output: Path, overwrite: bool, inputs: Sequence[Path], cells: Path | None) -> None:
    from impasto.engine.images import check_output_path

    check_output_path(output, overwrite, inputs)
    if cells is None:
        return
    try:
        cells.mkdir(exist_ok=overwrite)
    except OSError as error:
        raise OutputPathError(
            f"--cells {cells}: the folder cannot be made ({error.strerror}). Give a new one, or "
            "--overwrite."
        ) from None


def _count(axes: Sequence[Axis]) -> int:
    count = 1
    for axis in axes:
        count *= len(axis.values)
    return count


def _text(value: Any) -> str:
    from impasto.engine.reproduction import flag_text

    return flag_text(value)


def _report(output: Path, axes: Sequence[Axis], done: Sequence[tuple[Cell, Path | None]]) -> str:
    cells = [
        {
            "values": cell.values,
            "file": None if path is None else str(path),
            **({"error": cell.error} if cell.result is None else cell.result.summary()),
        }
        for cell, path in done
    ]
    over = {axis.name: axis.values for axis in axes}
    return json.dumps({"output": str(output), "over": over, "cells": cells}, default=str)
