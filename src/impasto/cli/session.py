"""From pictures and options to a saved picture: what ``paint`` and ``texture`` share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from impasto.cli.interruption import Interruption
from impasto.cli.messages import say
from impasto.cli.plan_text import plan_sentence
from impasto.cli.progress import painting_progress
from impasto.cli.running import (
    existing_milestones,
    run_and_save,
    say_what_becomes_of_alpha,
    say_what_quality_does,
)
from impasto.cli.shown import Shown
from impasto.engine.options import Options
from impasto.engine.scales import total_iterations
from impasto.errors import CheckpointError

if TYPE_CHECKING:
    from impasto.engine.checkpoint import CheckpointStore
    from impasto.engine.inputs import Subject
    from impasto.engine.preparation import Prepared
    from impasto.engine.result import StylizeResult
    from impasto.engine.studio import Studio

__all__ = ["check_outputs", "checkpoint_directory", "painted"]

LARGE = 1024
LONG = 600.0
"""A run of more pixels a side, or more seconds, has a checkpoint unless it is told otherwise."""


def painted(
    subject: Subject,
    pictures: Sequence[Path],
    options: Options,
    output: Path,
    overwrite: bool,
    interruption: Interruption,
    stack: contextlib.ExitStack,
    shown: Shown,
    *,
    unfinished: Path | None = None,
    tell: Callable[[str], None] = say,
    studio: Studio | None = None,
) -> StylizeResult:
    """Plan, paint and save.

    Parameters
    ----------
    subject : Path or Canvas
        The content picture, or the canvas of a texture.
    pictures : sequence of Path
        Of the style.
    options : Options
    output : Path
    overwrite : bool
        Whether a checkpoint of an earlier run may go.
    interruption : Interruption
    stack : ExitStack
        Closes the checkpoint and the progress.
    shown : Shown
        Records the run for what is written besides the picture.
    unfinished : Path, optional
        Where the picture goes if it is cancelled, instead of `output`.
    tell : callable
        Given the plan in a sentence, unless there is to be no progress.
    studio : Studio, optional
        Has what is shared with other pictures of the same options.
    """
    from impasto.engine.images import check_output_size
    from impasto.engine.painting import Stopwatch
    from impasto.engine.preparation import prepare
    from impasto.engine.stylize import paint_prepared

    clock = Stopwatch()
    try:
        with clock("load"):
            if studio is None:
                prepared = prepare(subject, pictures, options)
            else:
                prepared = studio.prepare(subject, pictures)
        options = prepared.options
        height, width = prepared.plan.scales[-1].size
        check_output_size(output, width, height)
        if prepared.inputs.cutout is not None:
            say_what_becomes_of_alpha(output)
        seconds = _seconds(prepared)
        if options.print_every:
            tell(plan_sentence(prepared.plan, seconds))
        store = _store(output, options, seconds, overwrite)
    except KeyboardInterrupt:
        say("interrupted before the first step was done; nothing was saved.")
        raise typer.Exit(interruption.exit_code) from None
    if store is not None:
        stack.enter_context(store)
    reporter = stack.enter_context(
        painting_progress(
            prepared.plan.iterations, options.print_every, options.schedule, shown.preview
        )
    )
    return run_and_save(
        lambda callback: (studio.paint if studio else paint_prepared)(
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
        shown.beside(reporter),
        unfinished=unfinished,
    )


def checkpoint_directory(output: Path) -> Path:
    """Return where ``--checkpoint auto`` saves the state of the run that makes `output`."""
    return output.with_name(output.name + ".checkpoint")


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
        directory = checkpoint_directory(output)
    if has_snapshot(directory) and not overwrite:
        raise CheckpointError(
            f"There is a checkpoint of an earlier run in {directory}. `impasto resume {directory}` "
            "goes on with it; --overwrite starts again."
        )
    return CheckpointStore(directory)


def check_outputs(output: Path, overwrite: bool, inputs: Sequence[Path], options: Options) -> None:
    """Refuse outputs that could not, or should not, be written at the end."""
    from impasto.engine.images import check_output_path
    from impasto.engine.saving import check_output_options

    check_output_path(output, overwrite, inputs, longest_side=options.size)
    check_output_options(output, options)
    say_what_quality_does(output, options)
    for milestone in existing_milestones(output, total_iterations(options.schedule), options):
        check_output_path(milestone, overwrite, inputs)
