"""Many pictures one after another: what there is to paint, under which names, and how it went."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal

from impasto.engine.images import picture_size
from impasto.engine.inputs import check_inputs
from impasto.engine.listing import pictures_named
from impasto.engine.machine import return_freed_memory
from impasto.engine.naming import NAME, NAME_OF_EACH, NameTemplate, collisions
from impasto.engine.options import Options
from impasto.engine.result import Callback, StylizeResult
from impasto.engine.saving import check_output_options, save_result
from impasto.engine.studio import Studio
from impasto.errors import ImpastoError, OptionError, OutputPathError

__all__ = [
    "Done",
    "Existing",
    "Job",
    "Outcome",
    "check_jobs",
    "check_styles",
    "jobs_of",
    "paint_batch",
    "run_jobs",
]

Existing = Literal["refuse", "skip", "replace"]
"""What is done about outputs there are already."""


@dataclass(frozen=True)
class Job:
    """One picture of a batch.

    Parameters
    ----------
    number : int
        From 1.
    content : Path
    styles : tuple of Path
        Blended, if several.
    output : Path
    """

    number: int
    content: Path
    styles: tuple[Path, ...]
    output: Path


class Outcome(Enum):
    """How it went with a picture; the value is the word for it."""

    PAINTED = "painted"
    UNFINISHED = "unfinished"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Done:
    """A picture of a batch that is dealt with.

    Parameters
    ----------
    job : Job
    outcome : Outcome
    result : StylizeResult, optional
        Of a picture that was painted, be it to the end or not. It holds the picture: to keep it
        is to keep that in memory.
    reason : str
        Why it failed.
    """

    job: Job
    outcome: Outcome
    result: StylizeResult | None = None
    reason: str = ""


def jobs_of(
    contents: Sequence[str | Path],
    styles: Sequence[str | Path],
    out_dir: str | Path,
    options: Options,
    *,
    name: str | None = None,
    each_style: bool = False,
) -> tuple[Job, ...]:
    """Return the pictures of a batch; nothing is read but directories.

    Parameters
    ----------
    contents : sequence of str or path
        Files, directories and patterns; see :func:`~impasto.engine.listing.pictures_named`.
    styles : sequence of str or path
        As `contents`.
    out_dir : path
        Where the pictures go; it need not exist.
    options : Options
    name : str, optional
        Template of the pictures' names; see :class:`~impasto.engine.naming.NameTemplate`. By
        default :data:`~impasto.engine.naming.NAME`, or with `each_style`
        :data:`~impasto.engine.naming.NAME_OF_EACH`.
    each_style : bool
        Paint every content in every style by itself, instead of in all of them blended.

    Raises
    ------
    ImageFileError
        If a file is missing, or a directory or pattern holds no picture.
    OptionError
        If options contradict each other.
    OutputPathError
        If two pictures would have the same name, or one that is impossible.
    """
    out_dir = Path(out_dir)
    template = NameTemplate(name or (NAME_OF_EACH if each_style else NAME))
    if "seed" in template.fields and options.seed < 0:
        raise OptionError(
            "--name has {seed}, and the seed is drawn anew for every picture: nothing could be "
            "found again under such a name. Give --seed N."
        )
    photos = pictures_named(contents, out_dir)
    paintings = pictures_named(styles)
    groups = [(style,) for style in paintings] if each_style else [paintings]
    for group in groups:
        check_inputs(group, options)
    pairs = [(photo, group) for photo in photos for group in groups]
    jobs = tuple(
        Job(number, photo, group, out_dir / template.name(number, photo, group, options))
        for number, (photo, group) in enumerate(pairs, 1)
    )
    _check_collisions(jobs)
    return jobs


def check_styles(jobs: Sequence[Job], options: Options) -> None:
    """Refuse a style that all pictures have in common and that is no picture, by its header.

    Raises
    ------
    ImageFileError
    """
    for style in frozenset.intersection(*(frozenset(job.styles) for job in jobs)):
        picture_size(style, options.max_pixels)


def check_jobs(jobs: Sequence[Job], existing: Existing, inputs: Sequence[Path] = ()) -> None:
    """Refuse outputs that could not, or should not, be written; make the directory they go to.

    Parameters
    ----------
    jobs : sequence of Job
    existing : {"refuse", "skip", "replace"}
        A file that is also one of the inputs is never replaced, nor taken for a picture that is
        there already.
    inputs : sequence of Path
        Files that are read, besides contents and styles.

    Raises
    ------
    OutputPathError
    """
    read = [*(job.content for job in jobs), *(path for job in jobs for path in job.styles), *inputs]
    taken = {os.path.realpath(path): path for path in read}
    there = []
    for job in jobs:
        if os.path.realpath(job.output) in taken:
            raise OutputPathError(
                f"Output {job.output} is one of the inputs; give another --out-dir or --name."
            )
        if os.path.lexists(job.output):
            if job.output.is_dir():
                raise OutputPathError(f"Output {job.output} is a directory.")
            there.append(job.output)
    if there and existing == "refuse":
        count = f"{len(there)} of {len(jobs)} outputs exist" if len(jobs) > 1 else "The output"
        first = f", the first of them {there[0]}" if len(there) > 1 else f": {there[0]}"
        raise OutputPathError(
            f"{count}{first}. Give --skip-existing to leave them as they are, --overwrite to "
            "replace them, or another --out-dir or --name."
        )
    for directory in {job.output.parent for job in jobs}:
        _make(directory)


def run_jobs(
    jobs: Sequence[Job],
    paint: Callable[[Job], StylizeResult],
    *,
    existing: Existing = "refuse",
    fail_fast: bool = False,
) -> Iterator[Done]:
    """Paint one picture after another; one that fails does not stop the rest.

    Parameters
    ----------
    jobs : sequence of Job
        As :func:`check_jobs` has checked them.
    paint : callable
        Paints a picture and saves it.
    existing : {"refuse", "skip", "replace"}
    fail_fast : bool
        Stop at the first that fails.

    Yields
    ------
    Done
        After every picture. The batch is over after one that was cancelled.
    """
    for job in jobs:
        if existing == "skip" and os.path.lexists(job.output):
            yield Done(job, Outcome.SKIPPED)
            continue
        done = _attempted(job, paint)
        # A run's parts refer to each other, and would keep their memory until Python looks.
        gc.collect()
        return_freed_memory()
        yield done
        failed = done.outcome is Outcome.FAILED
        if done.outcome is Outcome.UNFINISHED or (failed and fail_fast):
            return


def paint_batch(
    contents: Sequence[str | Path],
    styles: Sequence[str | Path],
    out_dir: str | Path,
    options: Options | None = None,
    *,
    name: str | None = None,
    each_style: bool = False,
    existing: Existing = "refuse",
    callback: Callback | None = None,
) -> Iterator[Done]:
    """Paint many pictures, and save each in `out_dir` as soon as it is done.

    Parameters
    ----------
    contents, styles, out_dir, options, name, each_style
        As in :func:`jobs_of`.
    existing : {"refuse", "skip", "replace"}
        What to do about outputs there are already.
    callback : callable, optional
        As in :func:`~impasto.engine.stylize.stylize`; returning ``False`` ends the batch, and the
        picture under way is not saved.

    Returns
    -------
    iterator of Done
        It paints as it is read. Nothing has been painted before.

    Raises
    ------
    UsageError
        At once, if the batch cannot be painted as asked. What fails for one picture is told by
        its :class:`Done`.

    Examples
    --------
    >>> from impasto import Options, paint_batch
    >>> for done in paint_batch(["photos"], ["wave.jpg"], "painted"):  # doctest: +SKIP
    ...     print(done.job.output, done.outcome.value, done.reason)
    """
    options = options or Options()
    jobs = jobs_of(contents, styles, out_dir, options, name=name, each_style=each_style)
    for job in jobs:
        check_output_options(job.output, options)
    check_styles(jobs, options)
    studio = Studio(options)
    check_jobs(jobs, existing)

    def paint(job: Job) -> StylizeResult:
        result = studio.paint(studio.prepare(job.content, job.styles), callback=callback)
        if result.status.name != "CANCELLED":
            save_result(result, job.output)
        return result

    return run_jobs(jobs, paint, existing=existing)


def _attempted(job: Job, paint: Callable[[Job], StylizeResult]) -> Done:
    # Of an error only its words are kept: its traceback holds all the arrays of the run.
    try:
        result = paint(job)
    except ImpastoError as error:
        return Done(job, Outcome.FAILED, reason=str(error))
    except MemoryError:
        return Done(job, Outcome.FAILED, reason="There is not enough memory for it.")
    except OSError as error:
        return Done(job, Outcome.FAILED, reason=f"{error}.")
    except Exception as error:
        # A bug, but the rest of the pictures may well be possible.
        return Done(job, Outcome.FAILED, reason=f"{type(error).__name__}: {error}.")
    cancelled = result.status.name == "CANCELLED"
    return Done(job, Outcome.UNFINISHED if cancelled else Outcome.PAINTED, result)


def _check_collisions(jobs: Sequence[Job]) -> None:
    same = collisions(job.output.name for job in jobs)
    if not same:
        return
    names = next(iter(same.values()))
    first, second = [job for job in jobs if job.output.name in names][:2]
    what = repr(names[0]) if names[0] == names[1] else f"{names[0]!r} and {names[1]!r}"
    more = f", and {len(same) - 1} other names" if len(same) > 1 else ""
    raise OutputPathError(
        f"{first.content} and {second.content} would both be painted to {what}{more}; some file "
        "systems do not tell upper from lower case. Tell them apart in --name, with {ext}, "
        "{folder}, {style} or {number}."
    )


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputPathError(
            f"--out-dir {directory} cannot be made: {error.strerror or error}."
        ) from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise OutputPathError(f"--out-dir {directory}: no permission to write in it.")
