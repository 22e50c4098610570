"""``impasto paint``: a photo in the style of paintings, or many photos."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.cli.arguments import Content, OptionalStyles, Preset, pictures_and_options
from impasto.cli.batch_flags import EachStyle, FailFast, Name, OutDir, SkipExisting, StyleFlag
from impasto.cli.flags import options_from, with_option_flags
from impasto.cli.interruption import Interruption
from impasto.cli.messages import Debug
from impasto.cli.output_flags import AsJson, Overwrite
from impasto.cli.preview import PreviewChoice
from impasto.cli.running import other_inputs, print_result
from impasto.cli.session import check_outputs, painted
from impasto.cli.shown import Animate, AnimateSize, Report, Shown, Wanted
from impasto.cli.streams import STANDARD, Outlet, check_streams, with_standard_input
from impasto.engine.options import OUTPUT
from impasto.errors import OptionError

__all__ = ["paint"]


@with_option_flags()
def paint(
    content: Content,
    styles: OptionalStyles = None,
    output: Annotated[
        Path | None,
        typer.Option(
            *("-o", "--output", "--output-image"),
            metavar="FILE",
            help="Picture to write: .png, .jpg, .webp, .avif, .tif or .bmp; - is standard output.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="Format of the picture with -o -: png, jpg, webp, avif, tif or bmp. "
            "[default: png]",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    report: Report = None,
    animate: Animate = None,
    animate_size: AnimateSize = 480,
    preview: PreviewChoice = "auto",
    out_dir: OutDir = None,
    name: Name = None,
    style: StyleFlag = None,
    each_style: EachStyle = False,
    skip_existing: SkipExisting = False,
    fail_fast: FailFast = False,
    preset: Preset = "default",
    debug: Debug = False,
    **given: Any,
) -> None:
    """Paint a photo in the style of one or more paintings.

    Progress is shown on standard error. The last line on standard output is the path of the
    picture. Ctrl-C saves the best picture so far. With --out-dir, CONTENT is a directory or a
    quoted pattern, and every picture in it is painted. A picture - is standard input.
    """
    options = options_from(preset, given)
    from impasto.engine.network import check_layers

    check_layers(options)
    contents, named_styles = _roles(content, styles or [], style or [])
    if out_dir is not None:
        from impasto.cli.batch import Batch, paint_all

        for flag, value in {"-o": output, "--report": report, "--animate": animate}.items():
            if value is not None:
                raise OptionError(f"{flag} is for one picture, and --out-dir for many: give one.")
        if STANDARD in (*contents, *named_styles):
            raise OptionError("- is one picture, and --out-dir is for many: give -o instead.")
        if not style:
            _check_many(content)
        existing = _existing(skip_existing, overwrite)
        batch = Batch(contents, named_styles, out_dir, name, each_style, existing, fail_fast)
        paint_all(batch, options, as_json=as_json, debug=debug)
        return
    only = _only(contents, output, name, each_style, skip_existing, fail_fast)
    pictures, options = pictures_and_options(named_styles, options)
    check_streams([content, *pictures], only, options, as_json, form)
    if STANDARD in (content, only, *pictures):
        options = replace(options, checkpoint="off")
    with contextlib.ExitStack() as streams:
        content, *pictures = streams.enter_context(
            with_standard_input([content, *pictures], options.max_pixels)
        )
        outlet = streams.enter_context(Outlet(only, form))
        inputs = [content, *pictures, *other_inputs(options)]
        check_outputs(outlet.path, overwrite, inputs, options)
        shown = Shown(Wanted(report, animate, animate_size, preview))
        shown.check(outlet.path, overwrite, inputs)
        with Interruption() as interruption, contextlib.ExitStack() as stack:
            result = painted(
                content, pictures, options, outlet.path, overwrite, interruption, stack, shown
            )
            shown.finish(result, content, pictures, outlet.path)
        if outlet.is_standard:
            outlet.deliver()
        else:
            print_result(only, result, as_json, shown.files)
    if interruption.signal is not None:
        raise typer.Exit(interruption.exit_code)
    shown.exit_if_failed()


def _roles(
    content: Path, styles: Sequence[Path], flagged: Sequence[Path]
) -> tuple[list[Path], list[Path]]:
    """Return the contents and the styles: with --style, all that is named without is content."""
    if flagged:
        return [content, *styles], list(flagged)
    if not styles:
        raise OptionError("Missing argument 'STYLE...': the paintings to take the style from.")
    return [content], list(styles)


def _check_many(content: Path) -> None:
    """Refuse a file as the content of a batch: the shell may have made it of a pattern.

    Then the next photo, meant as content, would be taken for a painting.
    """
    from impasto.engine.listing import is_many

    if not is_many(content):
        raise OptionError(
            f"With --out-dir, CONTENT is a directory or a pattern in quotes, and {content} is "
            "neither. To name photos one by one, name the paintings with --style: impasto paint "
            "PHOTO... --style PAINTING --out-dir DIR."
        )


def _existing(skip: bool, overwrite: bool) -> Any:
    if skip and overwrite:
        raise OptionError("--skip-existing and --overwrite contradict each other: give one.")
    return "skip" if skip else "replace" if overwrite else "refuse"


def _only(
    contents: Sequence[Path],
    output: Path | None,
    name: str | None,
    each_style: bool,
    skip_existing: bool,
    fail_fast: bool,
) -> Path:
    """Return the one output there is to be; refuse what only makes sense for many pictures."""
    if output is None:
        raise OptionError("Missing option '-o': the picture to write; or '--out-dir' for many.")
    flags = {
        "--name": name is not None,
        "--each-style": each_style,
        "--skip-existing": skip_existing,
        "--fail-fast": fail_fast,
    }
    for flag, given in flags.items():
        if given:
            raise OptionError(f"{flag} is for many pictures: give --out-dir DIR instead of -o.")
    if len(contents) > 1:
        raise OptionError(
            f"{len(contents)} photos for one output; give --out-dir DIR instead of -o."
        )
    return output
