"""``impasto resume``: go on with a run that was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.interruption import Interruption
from impasto.cli.messages import Debug, say
from impasto.cli.preview import PreviewChoice
from impasto.cli.progress import painting_progress
from impasto.cli.running import other_inputs, print_result, run_and_save
from impasto.cli.shown import Animate, AnimateSize, Report, Shown, Wanted
from impasto.errors import CheckpointError

__all__ = ["resume"]


def resume(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", show_default=False, help="The run's checkpoint: OUTPUT.checkpoint."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            *("-o", "--output", "--output-image"),
            metavar="FILE",
            help="Picture to write instead of the one the run was started with.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file of -o if it exists.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object with the run's numbers."),
    ] = False,
    report: Report = None,
    animate: Animate = None,
    animate_size: AnimateSize = 480,
    preview: PreviewChoice = "auto",
    debug: Debug = False,
) -> None:
    """Go on with a run that was stopped, killed or cut off.

    Options, pictures and the output are those the run was started with. On ONNX Runtime in float32
    the picture is the one the run would have given.
    """
    from impasto.engine.checkpoint import CheckpointStore
    from impasto.engine.images import check_output_path
    from impasto.engine.resumption import recorded_in
    from impasto.engine.stylize import resume_from

    with CheckpointStore(directory, create=False) as store:
        snapshot = store.load()
        recorded = recorded_in(snapshot)
        # Neither -o nor a checkpoint somebody made up may replace one of them.
        pictures = [Path(path) for path in (recorded.content, *recorded.styles) if path]
        inputs = [*pictures, *other_inputs(recorded.options)]
        if output is not None:
            check_output_path(output, overwrite, inputs, longest_side=recorded.options.size)
        elif recorded.note.get("output"):
            # Replaced without asking: a cancelled run has left its unfinished picture there.
            output = Path(recorded.note["output"])
            check_output_path(output, True, inputs, longest_side=recorded.options.size)
        else:
            raise CheckpointError(
                "The run was started by a program, which did not say where its picture goes; give "
                "-o FILE."
            )
        target = output
        shown = Shown(Wanted(report, animate, animate_size, preview))
        shown.check(output, overwrite, inputs)
        with (
            Interruption() as interruption,
            painting_progress(
                recorded.iterations,
                recorded.options.print_every,
                recorded.options.schedule,
                shown.preview,
            ) as reporter,
        ):
            result = run_and_save(
                lambda callback: resume_from(store, snapshot, callback=callback),
                recorded.options,
                target,
                store,
                interruption,
                shown.beside(reporter),
            )
            styles = pictures if recorded.canvas else pictures[1:]
            shown.finish(result, recorded.canvas or pictures[0], styles, target)
        if result.resumed_from is not None:
            say(f"resumed from iteration {result.resumed_from}.")
    print_result(target, result, as_json, shown.files)
    if interruption.signal is not None:
        raise typer.Exit(interruption.exit_code)
    shown.exit_if_failed()
