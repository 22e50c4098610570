"""What ``paint`` and ``resume`` share: progress, pictures on the way, and saving the last one."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from impasto.cli.interruption import Interruption
from impasto.cli.messages import say
from impasto.cli.progress import Reporter
from impasto.engine.option_files import files_of
from impasto.engine.options import Options
from impasto.errors import CheckpointWriteError, ImpastoError

if TYPE_CHECKING:
    from impasto.engine.checkpoint import CheckpointStore
    from impasto.engine.result import Callback, Iterate, StylizeResult

__all__ = [
    "existing_milestones",
    "is_milestone",
    "other_inputs",
    "print_result",
    "report_of",
    "run_and_save",
    "say_what_becomes_of_alpha",
    "say_what_quality_does",
]


def run_and_save(
    run: Callable[[Callback], StylizeResult],
    options: Options,
    output: Path,
    store: CheckpointStore | None,
    interruption: Interruption,
    reporter: Reporter,
    *,
    unfinished: Path | None = None,
) -> StylizeResult:
    """Run, save the picture, and remove the checkpoint of a run that is done.

    Parameters
    ----------
    run : callable
        Given a callback, paints.
    options : Options
    output : Path
    store : CheckpointStore, optional
        The run's; it stays if the run was cancelled.
    interruption : Interruption
    reporter : Reporter
    unfinished : Path, optional
        Where the picture goes if the run is cancelled, instead of `output`.
    """
    from impasto.engine.saving import save_result

    def on_step(iterate: Iterate) -> bool:
        interruption.defer()
        reporter(iterate)
        if _is_milestone(iterate.iteration, iterate.iterations, options):
            _save_milestone(iterate, output, options)
        return interruption.signal is None

    try:
        result = run(on_step)
    except KeyboardInterrupt:
        raise _nothing_saved(interruption, store) from None
    interruption.hold()
    if result.iterations == 0 and interruption.signal is not None:
        raise _nothing_saved(interruption, store)
    if unfinished is not None and result.status.name == "CANCELLED":
        output = unfinished
    try:
        save_result(result, output)
    except ImpastoError as error:
        raise _rescued(result, output, error) from error
    say(_summary(result))
    if store is not None:
        _leave(store, result)
    return result


def print_result(
    output: Path, result: StylizeResult, as_json: bool, files: Mapping[str, Path] | None = None
) -> None:
    """Print the last line on standard output: the path, or the numbers and all `files` written."""
    named = {name: str(path) for name, path in (files or {}).items()}
    print(json.dumps({**report_of(output, result), **named}) if as_json else output, flush=True)


def other_inputs(options: Options) -> Iterator[Path]:
    """Yield the files named in options, which no output may replace."""
    yield from files_of(options)


def say_what_becomes_of_alpha(output: Path) -> None:
    """Say of a picture that is transparent in parts if its format has no place for that."""
    from impasto.engine.output_formats import holds_alpha

    if not holds_alpha(output.suffix.lower()):
        say(
            f"{output.name}: {output.suffix} files cannot be transparent, so the picture will be",
            "laid on white; .png, .webp, .avif and .tif keep its alpha.",
        )


def say_what_quality_does(output: Path, options: Options) -> None:
    """Say of ``--quality`` if the format of the picture has none."""
    from impasto.engine.output_formats import is_lossy

    if options.quality and not is_lossy(output.suffix.lower()):
        say(f"{output.name}: {output.suffix} files are lossless; --quality changes nothing.")


def _leave(store: CheckpointStore, result: StylizeResult) -> None:
    if result.status.name == "CANCELLED":
        if _was_saved(store):
            say(f"`impasto resume {store.directory}` goes on with this run.")
        return
    try:
        store.finish()
    except CheckpointWriteError as error:
        say(f"warning: {error}")


def _was_saved(store: CheckpointStore) -> bool:
    """Return whether there is something to resume: the disk may have been full all the time."""
    from impasto.engine.checkpoint import has_snapshot

    return has_snapshot(store.directory)


def _nothing_saved(interruption: Interruption, store: CheckpointStore | None) -> typer.Exit:
    way_on = ""
    if store is not None and _was_saved(store):
        way_on = f" `impasto resume {store.directory}` goes on."
    say(f"interrupted before the first step was done; nothing was saved.{way_on}")
    return typer.Exit(interruption.exit_code)


def _rescued(result: StylizeResult, output: Path, error: ImpastoError) -> ImpastoError:
    """Save a picture that cannot be written where it should be; return what to say."""
    from impasto.engine.saving import save_result

    spare = Path(tempfile.mkdtemp(prefix="impasto-")) / output.name
    save_result(result, spare)
    return ImpastoError(f"{error} The picture is in {spare} instead.")


# --save-every: OUT_<iteration>.png beside OUT.png, as neural-style names them. The last iteration
# has none: its picture is the output itself.


_ITERATION = "[1-9][0-9]{0,9}"


def is_milestone(name: str, iterations: int, options: Options) -> bool:
    """Return whether a run of so many iterations saves a picture named after this one."""
    return bool(re.fullmatch(_ITERATION, name)) and _is_milestone(int(name), iterations, options)


def _is_milestone(iteration: int, iterations: int, options: Options) -> bool:
    every = options.save_every
    return every > 0 and iteration % every == 0 and 0 < iteration < iterations


def existing_milestones(output: Path, iterations: int, options: Options) -> Iterator[Path]:
    """Yield the files there are where the run is going to save milestones."""
    if options.save_every == 0:
        return
    named = re.compile(f"{re.escape(output.stem)}_({_ITERATION}){re.escape(output.suffix)}")
    for path in output.parent.iterdir():
        match = named.fullmatch(path.name)
        if match and is_milestone(match[1], iterations, options):
            yield path


def _save_milestone(iterate: Iterate, output: Path, options: Options) -> None:
    from impasto.engine.saving import save_step

    path = output.with_name(f"{output.stem}_{iterate.iteration}{output.suffix}")
    try:
        save_step(iterate, options, path)
    except ImpastoError as error:
        # Hours of work may hang on it: the run goes on without this file.
        say(f"warning: {error}")


def _summary(result: StylizeResult) -> str:
    height, width, _ = result.image.shape
    seed = f", seed {result.options.seed}" if result.options.init == "noise" else ""
    scales = f" at {len(result.sizes)} scales" if len(result.sizes) > 1 else ""
    return (
        f"{result.status.value} {width}x{height} pixels, {result.iterations} iterations{scales}, "
        f"loss {result.loss:.6g}, {result.seconds['total']:.1f} s with {result.backend} "
        f"{result.precision}{seed}."
    )


def report_of(output: Path, result: StylizeResult) -> dict[str, Any]:
    """Return what ``--json`` tells of a run."""
    from impasto.engine.machine import peak_rss_bytes

    return {"output": str(output), **result.summary(), "peak_rss_bytes": peak_rss_bytes()}
