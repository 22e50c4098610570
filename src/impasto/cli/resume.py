"""``impasto resume``: go on with a run that was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.interruption import Interruption
from impasto.cli.messages import Debug, say
from impasto.cli.preview import PreviewChoice
from impasto.cli.progress import painting_progress
from impasto.cli.running import other_inputs, print_result, run_and_save
from impasto.cli.shown import Animate, AnimateSize, Report, Shown, Wanted
from impasto.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.engine.checkpoint import CheckpointStore, Snapshot
    from impasto.engine.options import Options
    from impasto.engine.result import StylizeResult

__all__ = ["resume", "resume_one"]


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
    from impasto.engine.saving import check_output_options

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
        check_output_options(output, recorded.options)
        shown = Shown(Wanted(report, animate, animate_size, preview))
        shown.check(output, overwrite, inputs)
        with Interruption() as interruption:
            result = _go_on(store, snapshot, output, interruption, shown)
            styles = pictures if recorded.canvas else pictures[1:]
            shown.finish(result, recorded.canvas or pictures[0], styles, output)
    print_result(output, result, as_json, shown.files)
    if interruption.signal is not None:
        raise typer.Exit(interruption.exit_code)
    shown.exit_if_failed()


def resume_one(
    directory: Path,
    content: Path,
    styles: Sequence[Path],
    options: Options,
    output: Path,
    interruption: Interruption,
    *,
    unfinished: Path | None = None,
) -> StylizeResult:
    """Go on with a picture of a batch.

    Parameters
    ----------
    directory : Path
        Its checkpoint.
    content : Path
    styles : sequence of Path
    options : Options
        What the batch is to paint now.
    output : Path
    interruption : Interruption
    unfinished : Path, optional
        Where the picture goes if it is cancelled, instead of `output`.

    Raises
    ------
    CheckpointError
        If the checkpoint is that of another picture.
    """
    from impasto.engine.checkpoint import CheckpointStore
    from impasto.engine.resumption import check_same_run, recorded_in

    with CheckpointStore(directory, create=False) as store:
        snapshot = store.load()
        check_same_run(recorded_in(snapshot), directory, content, styles, options)
        return _go_on(store, snapshot, output, interruption, Shown(), unfinished)


def _go_on(
    store: CheckpointStore,
    snapshot: Snapshot,
    output: Path,
    interruption: Interruption,
    shown: Shown,
    unfinished: Path | None = None,
) -> StylizeResult:
    from impasto.engine.resumption import recorded_in
    from impasto.engine.stylize import resume_from

    recorded = recorded_in(snapshot)
    with painting_progress(
        recorded.iterations,
        recorded.options.print_every,
        recorded.options.schedule,
        shown.preview,
    ) as reporter:
        result = run_and_save(
            lambda callback: resume_from(store, snapshot, callback=callback),
            recorded.options,
            output,
            store,
            interruption,
            shown.beside(reporter),
            unfinished=unfinished,
        )
    if result.resumed_from is not None:
        say(f"resumed from iteration {result.resumed_from}.")
    return result
