"""``impasto paint``: a photo in the style of paintings."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.arguments import Content, Preset, Styles, paintings
from impasto.cli.flags import options_from, with_option_flags
from impasto.cli.interruption import Interruption
from impasto.cli.messages import Debug, say
from impasto.cli.plan_text import plan_sentence
from impasto.cli.progress import painting_progress
from impasto.cli.running import existing_milestones, other_inputs, print_result, run_and_save
from impasto.engine.options import OUTPUT, Options
from impasto.engine.scales import total_iterations
from impasto.errors import CheckpointError

if TYPE_CHECKING:
    from impasto.engine.checkpoint import CheckpointStore
    from impasto.engine.preparation import Prepared
    from impasto.engine.result import StylizeResult

__all__ = ["paint"]

LARGE = 1024
LONG = 600.0
"""A run of more pixels a side, or more seconds, has a checkpoint unless it is told otherwise."""


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
    _check_outputs(output, overwrite, [content, *pictures, *other_inputs(options)], options)
    with Interruption() as interruption, contextlib.ExitStack() as stack:
        result = _painted(content, pictures, options, output, overwrite, interruption, stack)
    print_result(output, result, as_json)
    if interruption.signal is not None:
        raise typer.Exit(interruption.exit_code)


def _painted(
    content: Path,
    pictures: Sequence[Path],
    options: Options,
    output: Path,
    overwrite: bool,
    interruption: Interruption,
    stack: contextlib.ExitStack,
) -> StylizeResult:
    """Plan, paint and save."""
    from impasto.engine.images import check_output_size
    from impasto.engine.painting import Stopwatch
    from impasto.engine.preparation import prepare
    from impasto.engine.stylize import paint_prepared

    clock = Stopwatch()
    try:
        with clock("load"):
            prepared = prepare(content, pictures, options)
        options = prepared.options
        height, width = prepared.plan.scales[-1].size
        check_output_size(output, width, height)
        seconds = _seconds(prepared)
        if options.print_every:
            say(plan_sentence(prepared.plan, seconds))
        store = _store(output, options, seconds, overwrite)
    except KeyboardInterrupt:
        say("interrupted before the first step was done; nothing was saved.")
        raise typer.Exit(interruption.exit_code) from None
    if store is not None:
        stack.enter_context(store)
    reporter = stack.enter_context(painting_progress(prepared.plan.iterations, options.print_every))
    return run_and_save(
        lambda callback: paint_prepared(
            prepared,
            clock=clock,
            callback=callback,
            store=store,
            note={"output": str(output.absolute())},
        ),
        options,
        output,
        store,
        interruption,
        reporter,
    )


def _seconds(prepared: Prepared) -> float | None:
    """Return about how long the run takes; None if it is short on any machine."""
    from impasto.engine.preparation import is_short, machine_speed

    if is_short(prepared.plan, LONG):
        return None
    return prepared.plan.seconds(*machine_speed(prepared.network, prepared.options))


def _store(
    output: Path, options: Options, seconds: float | None, overwrite: bool
) -> CheckpointStore | None:
    """Open the checkpoint that the options ask for, if any."""
    from impasto.engine.checkpoint import CheckpointStore, has_snapshot

    if options.checkpoint == "off":
        return None
    directory = Path(options.checkpoint)
    if options.checkpoint == "auto":
        if options.size <= LARGE and (seconds is None or seconds < LONG):
            return None
        directory = output.with_name(output.name + ".checkpoint")
    if has_snapshot(directory) and not overwrite:
        raise CheckpointError(
            f"There is a checkpoint of an earlier run in {directory}. `impasto resume {directory}` "
            "goes on with it; --overwrite starts again."
        )
    return CheckpointStore(directory)


def _check_outputs(output: Path, overwrite: bool, inputs: Sequence[Path], options: Options) -> None:
    """Refuse outputs that could not, or should not, be written at the end."""
    from impasto.engine.images import check_output_path

    check_output_path(output, overwrite, inputs, longest_side=options.size)
    for milestone in existing_milestones(output, total_iterations(options.schedule), options):
        check_output_path(milestone, overwrite, inputs)
