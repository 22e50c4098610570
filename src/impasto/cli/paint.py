"""``impasto paint``: a photo in the style of paintings."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto import __version__
from impasto.cli.flags import options_from, with_option_flags
from impasto.cli.interruption import Interruption
from impasto.cli.messages import Debug, say
from impasto.cli.progress import Reporter, painting_progress
from impasto.engine.options import INITS, LOOK, OUTPUT, PRESETS, Options
from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from impasto.engine.result import Iterate, StylizeResult

__all__ = ["paint"]


@with_option_flags()
def paint(
    content: Annotated[
        Path, typer.Argument(metavar="CONTENT", show_default=False, help="The photo to paint.")
    ],
    styles: Annotated[
        list[Path],
        typer.Argument(
            metavar="STYLE",
            show_default=False,
            help="Paintings to take the style from; a directory stands for all pictures in it.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            *("-o", "--output", "--output-image"),
            metavar="FILE",
            help="Picture to write: .png, .jpg, .webp, .tif or .bmp.",
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
    preset: Annotated[
        str,
        typer.Option(
            metavar="|".join(PRESETS),
            help="Changed defaults; flags given beside it win. [default: default]",
            show_default=False,
            rich_help_panel=LOOK,
        ),
    ] = "default",
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
    paintings = list(_paintings(styles))
    _check_outputs(output, overwrite, [content, *paintings, *_other_inputs(options)], options)
    with (
        Interruption() as interruption,
        painting_progress(options.iterations, options.print_every) as reporter,
    ):
        result = _painted(content, paintings, options, output, interruption, reporter)
    print(json.dumps(_report(output, result)) if as_json else output, flush=True)
    if interruption.signal is not None:
        raise typer.Exit(interruption.exit_code)


def _painted(
    content: Path,
    paintings: Sequence[Path],
    options: Options,
    output: Path,
    interruption: Interruption,
    reporter: Reporter,
) -> StylizeResult:
    """Paint the picture and save it."""
    from impasto.engine.images import save_image
    from impasto.engine.stylize import stylize

    def on_step(iterate: Iterate) -> bool:
        interruption.defer()
        reporter(iterate)
        if _is_milestone(iterate.iteration, options):
            _save_milestone(iterate, output, options)
        return interruption.signal is None

    try:
        result = stylize(content, paintings, options, callback=on_step)
    except KeyboardInterrupt:
        raise _nothing_saved(interruption) from None
    interruption.hold()
    if result.iterations == 0 and interruption.signal is not None:
        raise _nothing_saved(interruption)
    try:
        save_image(result.image, output, metadata=_metadata(result.options))
    except ImpastoError as error:
        raise _rescued(result, output, error) from error
    say(_summary(result))
    return result


def _nothing_saved(interruption: Interruption) -> typer.Exit:
    say("interrupted before the first step was done; nothing was saved.")
    return typer.Exit(interruption.exit_code)


def _rescued(result: StylizeResult, output: Path, error: ImpastoError) -> ImpastoError:
    """Save a picture that cannot be written where it should be; return what to say."""
    from impasto.engine.images import save_image

    spare = Path(tempfile.mkdtemp(prefix="impasto-")) / output.name
    save_image(result.image, spare)
    return ImpastoError(f"{error} The picture is in {spare} instead.")


def _paintings(styles: Sequence[Path]) -> Iterator[Path]:
    """Yield the style pictures, those of directories included."""
    from impasto.engine.images import list_pictures

    for style in styles:
        if style.is_dir():
            yield from list_pictures(style)
        else:
            yield style


def _other_inputs(options: Options) -> Iterator[Path]:
    """Yield the files named in options."""
    if options.init not in INITS:
        yield Path(options.init)
    if options.weights is not None:
        yield options.weights


def _check_outputs(output: Path, overwrite: bool, inputs: Sequence[Path], options: Options) -> None:
    """Refuse outputs that could not, or should not, be written at the end."""
    from impasto.engine.images import check_output_path

    check_output_path(output, overwrite, inputs, longest_side=options.size)
    for milestone in _existing_milestones(output, options):
        check_output_path(milestone, overwrite, inputs)


# --save-every: OUT_<iteration>.png beside OUT.png, as neural-style names them. The last iteration
# has none: its picture is the output itself.


def _is_milestone(iteration: int, options: Options) -> bool:
    every = options.save_every
    return every > 0 and iteration % every == 0 and 0 < iteration < options.iterations


def _existing_milestones(output: Path, options: Options) -> Iterator[Path]:
    """Yield the files there are where the run is going to save milestones."""
    if options.save_every == 0:
        return
    named = re.compile(f"{re.escape(output.stem)}_([1-9][0-9]{{0,9}}){re.escape(output.suffix)}")
    for path in output.parent.iterdir():
        match = named.fullmatch(path.name)
        if match and _is_milestone(int(match[1]), options):
            yield path


def _save_milestone(iterate: Iterate, output: Path, options: Options) -> None:
    from impasto.engine.images import save_image

    path = output.with_name(f"{output.stem}_{iterate.iteration}{output.suffix}")
    try:
        save_image(iterate.picture(), path, metadata=_metadata(options))
    except ImpastoError as error:
        # Hours of work may hang on it: the run goes on without this file.
        say(f"warning: {error}")


def _metadata(options: Options) -> dict[str, str]:
    """Return what a saved picture says of its making; of files, the names only."""
    shared = replace(
        options,
        weights=options.weights and Path(options.weights.name),
        init=options.init if options.init in INITS else Path(options.init).name,
    )
    return {"Software": f"Impasto {__version__}", "Impasto": json.dumps(shared.to_dict())}


def _summary(result: StylizeResult) -> str:
    height, width, _ = result.image.shape
    seed = f", seed {result.options.seed}" if result.options.init == "noise" else ""
    steps = f"{result.iterations} of {result.options.iterations} iterations"
    return (
        f"{result.status.value} {width}x{height} pixels, {steps}, loss {result.loss:.6g}, "
        f"{result.seconds['total']:.1f} s with {result.backend} {result.precision}{seed}."
    )


def _report(output: Path, result: StylizeResult) -> dict[str, Any]:
    from impasto.engine.machine import peak_rss_bytes

    return {"output": str(output), **result.summary(), "peak_rss_bytes": peak_rss_bytes()}
